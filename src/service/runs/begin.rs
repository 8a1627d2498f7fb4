//! Runs begin.

use std::sync::Arc;

use tracing::info;

use super::end::ActiveRun;
use super::pending::PendingRun;
use crate::engine::Status;
use crate::history::{RunClock, RunRequest, RunStatus, now};
use crate::service::durability::Write;
use crate::service::{Event, Service};
use crate::supervisor::RunId;

impl Service {
    /// Starts the queued runs that may start.
    pub(in crate::service) fn start_runs(&mut self) {
        let most = self.supervisor.workflow().service.max_concurrent_runs as usize;
        while self.replacement.is_none() && self.active.len() + self.beginning < most {
            let Some((id, run)) = self.queue.pop() else { return };
            self.write(Write::Begin(id.0, now()), PendingRun::Begin(id, run, None));
        }
    }

    /// Ends a run whose beginning is being written, or all such runs. Whether there was one.
    pub(in crate::service) fn end_beginning(&mut self, run: Option<RunId>, status: &Status) -> bool {
        let mut found = false;
        for pending in self.durability.pending() {
            if let PendingRun::Begin(id, _, end) = pending
                && run.is_none_or(|run| run == *id)
            {
                *end = Some(status.clone());
                found = true;
            }
        }
        found
    }

    pub(super) fn begin(&mut self, id: RunId, request: &RunRequest) {
        self.show_beginning(id);
        self.supervisor.start_run_as(id, request.inputs.clone(), request.timeout);
    }

    pub(super) fn show_beginning(&mut self, id: RunId) {
        self.active.insert(id, ActiveRun::default());
        let user = self.snapshot.with(|state| {
            let run = state.runs.get_mut(&id)?;
            run.status = RunStatus::Running;
            let clock = RunClock::start();
            run.started_at = Some(clock.started_at());
            run.clock = Some(clock);
            run.request = Arc::new(run.request.without_inputs());
            run.request.uid
        });
        // Looking up the name of another user can take long.
        let by = user.map_or_else(String::new, |uid| match uid {
            0 => ", asked for by root".to_owned(),
            uid => format!(", asked for by user {uid}"),
        });
        info!(target: "run_started", run = id.0, "run {id} started{by}");
        self.tell(Event::Started(id));
        self.update_phase();
    }
}
