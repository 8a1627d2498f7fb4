//! Reloading the workflow file while the service runs.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::signal;
use crate::graph::{ServiceMode, Workflow};
use crate::service::{Event, Service};
use crate::supervisor::SupervisorError;

impl Service {
    /// Reads the workflow file again. If it has errors, logs and returns them, and changes nothing.
    pub(super) fn reload(&mut self) -> Result<(), String> {
        self.notifier.reloading();
        let result = match (self.load)() {
            Ok(workflow) => {
                match (self.mode, self.active.len()) {
                    (ServiceMode::Run, _) => info!(
                        "the workflow file was read again: [service] stop_timeout applies now, the rest when the service is \
                         started again"
                    ),
                    (_, 0) => info!("the workflow file was read again"),
                    (_, active) => info!(
                        "the workflow file was read again: new runs use it after the {active} running runs have ended; \
                         [service] max_queued_runs and stop_timeout apply now"
                    ),
                }
                // A service that runs once has begun, and callers rely on a resident one.
                if workflow.service.mode != self.mode {
                    let (new, old, rest) = match self.mode {
                        ServiceMode::Run => ("resident", "run", ""),
                        ServiceMode::Resident => ("run", "resident", "; the rest of the file applies"),
                    };
                    warn!(
                        "[service] mode is {new:?} in the file, and stays {old:?} until the service is restarted{rest}"
                    );
                }
                self.warn_of_restart(&workflow);
                self.replacement = Some(Arc::new(workflow));
                Ok(())
            }
            Err(wrong) => {
                error!(detail = wrong, "the workflow is not changed, because its file has errors:");
                Err(wrong)
            }
        };
        if self.ready_by.is_none() {
            self.notifier.ready();
        }
        result
    }

    /// Warns of changes that need a restart: the history is open already.
    fn warn_of_restart(&self, new: &Workflow) {
        let first = &self.first;
        let changed = [
            ("[history]", new.history != first.history),
            ("[service] on_crash", new.service.on_crash != first.service.on_crash),
        ];
        for (name, _) in changed.into_iter().filter(|(_, changed)| *changed) {
            warn!("{name} has changed: it applies when the service is restarted");
        }
    }

    /// Replaces the workflow by the new one, once nothing runs and the history has the ends of all runs: the old recorder records them.
    pub(in crate::service) fn replace_workflow(&mut self) -> Result<(), SupervisorError> {
        if !self.active.is_empty() || self.ending > 0 {
            return Ok(());
        }
        let Some(workflow) = self.replacement.take() else { return Ok(()) };
        self.snapshot.with(|state| state.replace(Arc::clone(&workflow)));
        let (supervisor, channels, deferred) = (&mut self.supervisor, &self.channels, &mut self.deferred);
        // Its workers may take a while to end.
        let missed = supervisor.replace_workflow(workflow, &mut |supervisor| {
            while let Ok(request) = channels.requests.try_recv() {
                deferred.extend(signal::answer(supervisor, request));
            }
        })?;
        for event in missed {
            self.on_supervisor_event(event);
        }
        let recorder = (self.recorder)(self.supervisor.workflow());
        let records = recorder.is_some();
        match (self.supervisor.record_with(recorder), records) {
            (true, true) => info!("[record] has changed: runs are recorded accordingly"),
            (true, false) => info!("[record] has changed: runs are not recorded in MongoDB any more"),
            (false, _) => {}
        }
        self.tell(Event::Replaced);
        Ok(())
    }
}
