//! Runs end: the status, the output as JSON, and what they have used.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value as Json, json};
use tracing::{info, warn};

use super::pending::{EndedRun, PendingRun};
use crate::engine::Status;
use crate::graph::ActorId;
use crate::history::{Figures, RunEnd, RunError, RunStatus, now};
use crate::payload::{ERROR_KEY, JsonObject, Payload};
use crate::pool::EscalationStep;
use crate::service::durability::Write;
use crate::service::request::{ReplySender, send_reply};
use crate::service::view::{MAX_SHOWN_OUTPUT, RunView};
use crate::service::{End, Event, Response, Service};
use crate::supervisor::RunId;
use crate::text;

/// How much of an output is logged, bytes. Of larger values the type and the size are logged.
const MAX_LOGGED_OUTPUT: usize = 32 << 10;

/// A run that has begun.
#[derive(Debug, Default)]
pub(in crate::service) struct ActiveRun {
    /// How it ended, while its output is being written as JSON.
    ended: Option<Status>,
    /// What it has used, and its actors by path. Known when it has ended.
    used: (Figures, Vec<(String, Figures)>),
    /// Until when its tasks may finish, or its output may be written.
    pub(in crate::service) deadline: Option<Instant>,
}

impl Service {
    pub(in crate::service) fn on_failed(&mut self, run: RunId, actor: ActorId, message: &str) {
        let name = self.supervisor.workflow().actor(actor).display_name();
        let error = error_json(name, message);
        self.snapshot.with(|state| {
            if let Some(run) = state.runs.get_mut(&run) {
                run.error = Some(error);
            }
        });
    }

    pub(in crate::service) fn on_run_ended(&mut self, run: RunId, status: Status, output: Option<Payload>) {
        let used = self.durability.has_history().then(|| self.supervisor.figures(run)).flatten();
        self.account_at_end(run);
        let grace = self.supervisor.grace();
        let Some(active) = self.active.get_mut(&run) else { return };
        active.ended = Some(status);
        active.used = used.unwrap_or_default();
        active.deadline = Instant::now().checked_add(grace);
        match output {
            Some(output) => self.supervisor.describe_run(run, &output),
            None => self.on_run_described(run, None),
        }
    }

    pub(in crate::service) fn on_run_described(&mut self, run: RunId, output: Option<JsonObject>) {
        let Some(active) = self.active.remove(&run) else { return };
        let Some(status) = active.ended else { return };
        if self.only == Some(run)
            && let Some(output) = &output
        {
            // No caller can look it up: the journal has it.
            let short = output.shortened(MAX_LOGGED_OUTPUT);
            info!(run = run.0, "output: {}", text::json(&short.as_ref().unwrap_or(output).to_string()));
        }
        self.write_end(run, status.clone().into(), output, active.used, None);
        if self.only == Some(run) {
            self.end = End::Run(status, self.stop.signal());
        }
    }

    /// Ends a run that has not begun. That is announced once it is on the disk.
    pub(in crate::service) fn end_run(
        &mut self,
        run: RunId,
        status: &Status,
        output: Option<JsonObject>,
        reply: Option<ReplySender>,
    ) {
        self.write_end(run, status.clone().into(), output, Default::default(), reply);
    }

    fn write_end(
        &mut self,
        run: RunId,
        status: RunStatus,
        output: Option<JsonObject>,
        used: (Figures, Vec<(String, Figures)>),
        reply: Option<ReplySender>,
    ) {
        let error = output.as_ref().and_then(|output| output.get(ERROR_KEY)).map(Arc::from);
        let short = output.as_ref().and_then(|output| output.shortened(MAX_SHOWN_OUTPUT));
        let outputs: Option<Arc<str>> = output.map(|output| output.to_string().into());
        let shown = short.map(|short| short.to_string().into()).or_else(|| outputs.clone());
        let at = self.snapshot.run(run, RunView::now).unwrap_or_else(now);
        self.write_ended_run(run, EndedRun { status, shown, error, at }, outputs, used, reply);
    }

    pub(super) fn write_ended_run(
        &mut self,
        run: RunId,
        ended: EndedRun,
        outputs: Option<Arc<str>>,
        (figures, actors): (Figures, Vec<(String, Figures)>),
        reply: Option<ReplySender>,
    ) {
        let error = self.snapshot.run(run, |run| run.error.clone()).flatten().or_else(|| ended.error.clone());
        let end = RunEnd {
            run: run.0,
            status: ended.status.clone(),
            at: ended.at,
            outputs,
            error: error.as_deref().and_then(error_of),
            figures,
            actors,
        };
        self.write(Write::End(Box::new(end)), PendingRun::End(run, Box::new(ended), reply));
    }

    pub(super) fn on_end_written(&mut self, run: RunId, ended: EndedRun, reply: Option<ReplySender>) {
        self.show_end(run, ended);
        send_reply(reply, Ok(Response::Done));
    }

    /// Announces the end of a run.
    pub(super) fn show_end(&mut self, run: RunId, ended: EndedRun) {
        let forgotten = self.snapshot.with(|state| {
            state.finished += 1;
            state.failed += u64::from(!ended.status.is_success());
            if let Some(run) = state.runs.get_mut(&run) {
                run.status = ended.status;
                run.ended_at = Some(ended.at);
                run.error = run.error.take().or(ended.error);
                run.outputs = ended.shown;
            }
            state.ended(run)
        });
        self.tell(Event::Ended(run));
        for old in forgotten {
            self.tell(Event::Forgotten(old));
        }
        self.update_phase();
    }

    /// Ends what runs do beyond their deadlines.
    pub(in crate::service) fn enforce_deadlines(&mut self, now: Instant) {
        let mut outputs = false;
        let mut tasks = Vec::new();
        for (id, active) in &mut self.active {
            if active.deadline.is_some_and(|at| at <= now) {
                active.deadline = None;
                match active.ended {
                    Some(_) => outputs = true,
                    None => tasks.push(*id),
                }
            }
        }
        if outputs {
            warn!("no worker could write an output in time: values that need one are left out");
            self.supervisor.hurry_descriptions();
        }
        for run in tasks {
            warn!(run = run.0, "the running tasks of run {run} have not finished in time: killing them");
            self.supervisor.escalate_run(run, EscalationStep::Terminate);
        }
    }
}

/// An error as it is shown over D-Bus.
pub(super) fn error_json(actor: &str, message: &str) -> Arc<str> {
    json!({ "actor": actor, "message": message }).to_string().into()
}

/// The error in such a JSON text: made by the service, or an error's summary as Python has it.
fn error_of(json: &str) -> Option<RunError> {
    let json: Json = serde_json::from_str(json).ok()?;
    let text = |key: &str| json.get(key).and_then(Json::as_str).map(str::to_owned);
    let lines = json.get("traceBack").and_then(Json::as_array);
    let traceback = lines.into_iter().flatten().filter_map(Json::as_str).collect();
    Some(RunError {
        actor: text("actor").unwrap_or_default(),
        message: text("message").or_else(|| text("errorMessage"))?,
        traceback,
    })
}
