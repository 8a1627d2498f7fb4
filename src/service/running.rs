//! Runs: accepted, started, ended.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tracing::{info, warn};

use super::board::{MOST_OUTPUT, RunFacts};
use super::keeping::{Accepting, Reply, reply};
use super::queue::Waiting;
use super::{End, Notice, Order, Refusal, Service};
use crate::engine::{ActorEnd, FailureKind, Status};
use crate::graph::{ActorId, ServiceMode};
use crate::history::{RunClock, now};
use crate::payload::{ERROR_KEY, JsonObject, Payload};
use crate::pool::Step;
use crate::supervisor::RunId;
use crate::text;

/// So much of an output is logged, bytes; of larger values the type and the size.
const MOST_LOGGED: usize = 32 << 10;

/// A run that has begun.
#[derive(Debug, Default)]
pub(super) struct Active {
    /// How it ended, while its output is being written as JSON.
    ended: Option<Status>,
    /// When what it still does has had its time.
    pub(super) patience_ends: Option<Instant>,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct EndFacts {
    /// In a word.
    pub(super) status: String,
    pub(super) went_well: bool,
    /// Its output as JSON,
    pub(super) outputs: Option<Arc<str>>,
    /// and as it is shown over D-Bus: the same, unless it is large.
    pub(super) shown: Option<Arc<str>>,
    /// The error in it, as JSON.
    pub(super) error: Option<Arc<str>>,
    /// When, microseconds since the epoch.
    pub(super) at: u64,
}

/// How an actor's turn ended, in a word.
pub(super) fn outcome(end: ActorEnd) -> &'static str {
    match end {
        ActorEnd::Finished => "finished",
        ActorEnd::Failed(FailureKind::Raised) => "error",
        ActorEnd::Failed(FailureKind::Interrupted) => "interrupted",
        ActorEnd::Failed(FailureKind::Lost) => "lost",
        ActorEnd::Failed(FailureKind::TimedOut) => "timeout",
        ActorEnd::Failed(FailureKind::Stopped) => "stopped",
        ActorEnd::Failed(FailureKind::NoRoute) => "no-route",
    }
}

impl Service {
    /// Takes a run, or says why not: when it is on the disk, where there is a history. A service that runs once takes only
    /// its `own`.
    pub(super) fn accept(&mut self, order: Order, own: bool, answer: Option<Reply>) {
        match self.examine(order, own) {
            Ok(accepting) => self.keep_run(accepting, answer),
            Err(refusal) => reply(answer, Err(refusal)),
        }
    }

    fn examine(&self, order: Order, own: bool) -> Result<Accepting, Refusal> {
        let name = &self.supervisor.workflow().name;
        if !own && self.mode == ServiceMode::Run {
            let why = format!("{name} runs once and ends ([service] mode = \"run\"); a resident service takes runs");
            return Err(Refusal::NotSupported(why));
        }
        if self.is_ending() {
            return Err(Refusal::ShuttingDown(format!("{name} is shutting down and takes no more runs")));
        }
        // The workflow that will run it is the one whose inputs lie beneath.
        let workflow = Arc::clone(self.replacement.as_ref().unwrap_or(self.supervisor.workflow()));
        let mut inputs = workflow.inputs.clone();
        inputs.merge(&order.inputs);
        let text: Arc<str> = JsonObject::without_python(&inputs).to_string().into();
        // The text, the values, and what a pickle of them takes.
        let bytes = 2 * text.len() + order.label.len();
        let most = self.settings().max_queued_runs;
        let begins = self.can_start();
        if !begins && let Some(why) = self.queue.refuses(bytes, most) {
            return Err(Refusal::QueueFull(why));
        }
        let facts = RunFacts {
            status: "queued".to_owned(),
            label: order.label,
            uid: order.uid,
            priority: order.priority,
            queued_at: now(),
            inputs: text,
            ..RunFacts::default()
        };
        let waiting = Waiting { inputs, timeout: order.timeout, bytes };
        Ok(Accepting { facts, waiting, requester: order.requester, begins, own })
    }

    /// Whether a run that is accepted now can start now.
    fn can_start(&self) -> bool {
        let most = self.supervisor.workflow().service.max_concurrent_runs as usize;
        self.replacement.is_none() && self.queue.is_idle() && self.active.len() + self.keeping.beginning() < most
    }

    /// Starts what may start.
    pub(super) fn start_runs(&mut self) {
        let most = self.supervisor.workflow().service.max_concurrent_runs as usize;
        while self.replacement.is_none() && self.active.len() + self.keeping.beginning() < most {
            let Some((id, waiting)) = self.queue.pop() else { return };
            self.keep_beginning(id, waiting);
        }
    }

    /// A run begins.
    pub(super) fn begin(&mut self, id: RunId, waiting: Waiting) {
        self.show_beginning(id);
        self.supervisor.start_run_as(id, waiting.inputs, waiting.timeout);
    }

    pub(super) fn show_beginning(&mut self, id: RunId) {
        self.active.insert(id, Active::default());
        let by = self.board.with(|state| {
            let run = state.runs.get_mut(&id)?;
            run.status = "running".to_owned();
            let clock = RunClock::start();
            run.started_at = Some(clock.started_at());
            run.clock = Some(clock);
            run.uid
        });
        // Another user's name would have to be looked up, and that can take long.
        let by = by.map_or_else(String::new, |uid| match uid {
            0 => ", asked for by root".to_owned(),
            uid => format!(", asked for by user {uid}"),
        });
        info!(target: "run_started", run = id.0, "run {id} started{by}");
        self.tell(Notice::Started(id));
        self.update_phase();
    }

    pub(super) fn on_failed(&mut self, run: RunId, actor: ActorId, message: &str) {
        let name = self.supervisor.workflow().actor(actor).display_name();
        let error = json!({ "actor": name, "message": message }).to_string();
        self.board.with(|state| {
            if let Some(run) = state.runs.get_mut(&run) {
                run.error = Some(error.into());
            }
        });
    }

    pub(super) fn on_run_ended(&mut self, run: RunId, status: Status, output: Option<Payload>) {
        self.note_what_was_used(run);
        self.account_at_the_end(run);
        let grace = self.supervisor.grace();
        let Some(active) = self.active.get_mut(&run) else { return };
        active.ended = Some(status);
        active.patience_ends = Instant::now().checked_add(grace);
        match output {
            Some(output) => self.supervisor.describe_run(run, &output),
            None => self.on_run_described(run, None),
        }
    }

    pub(super) fn on_run_described(&mut self, run: RunId, output: Option<JsonObject>) {
        let Some(status) = self.active.remove(&run).and_then(|active| active.ended) else { return };
        if self.only == Some(run)
            && let Some(output) = &output
        {
            // Nobody asked for it who could look it up: the journal has it.
            let short = output.shortened(MOST_LOGGED);
            info!(run = run.0, "output: {}", text::json(&short.as_ref().unwrap_or(output).to_string()));
        }
        self.put_end(run, &status, output, None);
        if self.only == Some(run) {
            self.end = End::Run(status, self.stop.signal());
        }
    }

    /// A run is over, whether it has begun or not: that is told once it is on the disk.
    pub(super) fn put_end(&mut self, run: RunId, status: &Status, output: Option<JsonObject>, answer: Option<Reply>) {
        let error = output.as_ref().and_then(|output| output.get(ERROR_KEY)).map(Arc::from);
        let short = output.as_ref().and_then(|output| output.shortened(MOST_OUTPUT));
        let outputs: Option<Arc<str>> = output.map(|output| output.to_string().into());
        let shown = short.map(|short| short.to_string().into()).or_else(|| outputs.clone());
        let facts = EndFacts {
            status: status.word().to_owned(),
            went_well: matches!(status, Status::Finished | Status::Word(_)),
            outputs,
            shown,
            error,
            at: self.board.run(run, RunFacts::now).unwrap_or_else(now),
        };
        self.keep_end(run, facts, answer);
    }

    /// Tells the end of a run.
    pub(super) fn tell_end(&mut self, run: RunId, facts: EndFacts) {
        let forgotten = self.board.with(|state| {
            if let Some(run) = state.runs.get_mut(&run) {
                run.status = facts.status;
                run.ended_at = Some(facts.at);
                run.error = run.error.take().or(facts.error);
                run.outputs = facts.shown;
            }
            state.finished += 1;
            state.failed += u64::from(!facts.went_well);
            state.ended(run)
        });
        self.tell(Notice::Ended(run));
        for old in forgotten {
            self.tell(Notice::Forgotten(old));
        }
        self.update_phase();
    }

    /// Runs whose time is over.
    pub(super) fn hurry_runs(&mut self, now: Instant) {
        let mut descriptions = false;
        let mut press = Vec::new();
        for (id, active) in &mut self.active {
            if active.patience_ends.is_some_and(|at| at <= now) {
                active.patience_ends = None;
                match active.ended {
                    Some(_) => descriptions = true,
                    None => press.push(*id),
                }
            }
        }
        if descriptions {
            warn!("no worker could write an output in time: values that need one are left out");
            self.supervisor.hurry_descriptions();
        }
        for run in press {
            warn!(run = run.0, "the running tasks of run {run} have not finished in time: killing them");
            self.supervisor.press_run(run, Step::Terminate);
        }
    }
}
