//! Runs that an earlier process left unfinished are taken over: announced as interrupted, queued again, or resumed.

use std::sync::Arc;

use tracing::{info, warn};

use super::end::error_json;
use super::pending::EndedRun;
use super::queue::QueuedRun;
use crate::graph::ServiceMode;
use crate::history::{KeptResult, RecoveredRun, Recovery, RunRecord, RunStatus, definition, now};
use crate::payload::Payload;
use crate::service::view::RunView;
use crate::service::{Event, Service};
use crate::supervisor::RunId;

impl Service {
    pub(super) fn take_over(&mut self, run: RecoveredRun) {
        let RecoveredRun { record, recovery } = run;
        let id = RunId(record.id);
        let mut view = RunView::queued(Arc::new(record.request(Payload::new())));
        view.started_at = record.started_at;
        self.snapshot.with(|state| state.runs.insert(id, view));
        self.tell(Event::Accepted(id));
        if self.mode == ServiceMode::Run && !matches!(recovery, Recovery::Over) {
            self.only.get_or_insert(id);
        }
        match recovery {
            Recovery::Over => {
                let error = record.error.map(|error| error_json(&error.actor, &error.message));
                let at = record.ended_at.unwrap_or_default();
                self.show_end(id, EndedRun { status: record.status, shown: None, error, at });
            }
            Recovery::Queued(inputs) => {
                info!(run = id.0, "run {id} was accepted before the supervisor ended: it is queued again");
                let bytes = 2 * record.inputs.len();
                self.queue.push(id, QueuedRun { request: Arc::new(record.request(inputs)), bytes });
            }
            Recovery::Resumed { inputs, definition, results } => {
                self.resume(id, &record, inputs, &definition, results);
            }
        }
    }

    fn resume(
        &mut self,
        id: RunId,
        record: &RunRecord,
        inputs: Payload,
        recorded_definition: &str,
        results: Vec<KeptResult>,
    ) {
        let done = results.len();
        let resumed = match recorded_definition == definition(self.supervisor.workflow()) {
            true => self.supervisor.resume_run_as(id, inputs, record.timeout, results),
            false => Err("the workflow file, or pushflow, has changed since it began".to_owned()),
        };
        match resumed {
            Ok(()) => {
                info!(run = id.0, "run {id} is resumed after {done} tasks whose results were recorded");
                self.show_beginning(id);
                self.snapshot.with(|state| {
                    if let Some(run) = state.runs.get_mut(&id) {
                        run.done = done as u64;
                    }
                });
            }
            Err(why) => {
                let why = format!("the run cannot be resumed: {why}");
                warn!(run = id.0, "{why}");
                let ended = EndedRun {
                    status: RunStatus::Interrupted,
                    shown: None,
                    error: Some(error_json("", &why)),
                    at: now(),
                };
                self.write_ended_run(id, ended, None, Default::default(), None);
            }
        }
    }
}
