//! Accepting runs, or refusing them with a reason.

use std::sync::Arc;

use signal_hook::consts::SIGINT;

use super::pending::{Candidate, PendingRun};
use super::queue::QueuedRun;
use crate::engine::Status;
use crate::graph::{OnCrash, ServiceMode};
use crate::history::{NewRun, RunRequest, Withdrawal, definition, now};
use crate::payload::JsonObject;
use crate::service::durability::{Write, WriteResult};
use crate::service::request::{ReplySender, send_reply};
use crate::service::view::RunView;
use crate::service::{End, Event, RequestError, Response, Service};
use crate::supervisor::RunId;

impl Service {
    /// Accepts a run, once it is on the disk if there is a history, or says why not. A service that runs once accepts only its
    /// `own`.
    pub(in crate::service) fn accept(&mut self, request: RunRequest, own: bool, reply: Option<ReplySender>) {
        let candidate = match self.examine(request, own) {
            Ok(candidate) => candidate,
            Err(error) => return send_reply(reply, Err(error)),
        };
        if !candidate.begins {
            self.queue.reserve(candidate.run.bytes);
        }
        let workflow = self.supervisor.workflow();
        let resumes = workflow.service.on_crash == OnCrash::Resume;
        let run = Arc::new(NewRun {
            request: Arc::clone(&candidate.run.request),
            workflow: workflow.name.clone(),
            begins: candidate.begins,
            survives: true,
            definition: (resumes && self.durability.has_history()).then(|| definition(workflow)),
            withdrawal: Withdrawal::default(),
        });
        self.write(Write::Accept(run), PendingRun::Accept(candidate, reply));
    }

    fn examine(&mut self, mut request: RunRequest, own: bool) -> Result<Candidate, RequestError> {
        let name = &self.supervisor.workflow().name;
        if !own && self.mode == ServiceMode::Run {
            let why = format!("{name} runs once and ends ([service] mode = \"run\"); a resident service takes runs");
            return Err(RequestError::NotSupported(why));
        }
        if self.is_ending() {
            return Err(RequestError::ShuttingDown(format!("{name} is shutting down and takes no more runs")));
        }
        // After a reload, the run is one of the new workflow.
        let workflow = self.replacement.as_ref().unwrap_or(self.supervisor.workflow());
        let mut inputs = workflow.inputs.clone();
        inputs.merge(&request.inputs);
        request.inputs_json = JsonObject::without_python(&inputs).to_string().into();
        request.inputs = inputs;
        // The text, the values, and their pickles.
        let bytes = 2 * request.inputs_json.len() + request.label.len();
        let begins = self.can_start();
        if !begins && let Some(why) = self.queue.refuses(bytes, self.settings().max_queued_runs) {
            return Err(RequestError::QueueFull(why));
        }
        request.queued_at = self.durability.acceptance_time(now());
        Ok(Candidate { run: QueuedRun { request: Arc::new(request), bytes }, begins, own })
    }

    /// Whether a run that is accepted now can begin now.
    fn can_start(&self) -> bool {
        let most = self.supervisor.workflow().service.max_concurrent_runs as usize;
        self.replacement.is_none() && self.queue.is_idle() && self.active.len() + self.beginning < most
    }

    pub(super) fn on_accept_written(&mut self, candidate: Candidate, reply: Option<ReplySender>, result: WriteResult) {
        if !candidate.begins {
            self.queue.release(candidate.run.bytes);
        }
        let id = match result {
            WriteResult::Written(id) => RunId(id),
            WriteResult::NotRecorded => self.supervisor.new_run_id(),
            // The service was started for this run.
            WriteResult::Failed(_) if candidate.own => self.supervisor.new_run_id(),
            WriteResult::Failed(why) => {
                let why = format!("the run is not accepted, because it could not be recorded: {why}");
                return send_reply(reply, Err(RequestError::NotKept(why)));
            }
        };
        let Candidate { run, begins, own } = candidate;
        if own {
            self.only = Some(id);
        }
        self.snapshot.with(|state| state.runs.insert(id, RunView::queued(Arc::clone(&run.request))));
        self.tell(Event::Accepted(id));
        send_reply(reply, Ok(Response::Run(id)));
        if let Some(signal) = self.stop.signal() {
            // The service was stopped while the run was written.
            let status = if signal == SIGINT { Status::Aborted } else { Status::Stopped };
            self.end_run(id, &status, None, None);
            if own {
                self.end = End::Run(status, Some(signal));
            }
        } else if begins && self.replacement.is_none() {
            self.begin(id, &run.request);
        } else {
            self.queue.push(id, run);
        }
    }
}
