//! What the service does on SIGINT, SIGTERM and SIGHUP, as the stop policy decides.

use std::time::Instant;

use tracing::{info, warn};

use crate::engine::Status;
use crate::pool::EscalationStep;
use crate::process::sys::Signal;
use crate::service::Service;
use crate::stop_policy::StopAction;

impl Service {
    pub(in crate::service) fn on_signal(&mut self, signal: i32) {
        let stop_timeout = self.settings().stop_timeout;
        match self.stop.on_signal(signal, Instant::now(), stop_timeout) {
            StopAction::Reload => {
                // What is wrong has been logged.
                let _ = self.reload();
            }
            StopAction::Kill => {
                info!("killing the running tasks");
                self.supervisor.abort_runs("the workflow was stopped twice");
                self.supervisor.escalate_tasks(EscalationStep::Terminate);
                self.supervisor.signal_leftovers(Signal::SIGTERM);
            }
            StopAction::Stop => {
                info!("SIGTERM: no new task starts, running tasks may finish within {stop_timeout:?}");
                self.begin_to_stop(&Status::Stopped);
                self.supervisor.stop_runs("the workflow was stopped by SIGTERM");
                self.supervisor.escalate_daemonic_tasks(EscalationStep::Terminate);
            }
            StopAction::Interrupt => {
                info!("SIGINT: interrupting the running tasks");
                self.begin_to_stop(&Status::Aborted);
                self.supervisor.abort_runs("the workflow was interrupted by SIGINT");
                self.supervisor.signal_leftovers(Signal::SIGINT);
            }
            // The outputs of runs are written while the service goes on.
            StopAction::SkipOutput => {}
        }
    }

    fn begin_to_stop(&mut self, queued: &Status) {
        self.end_queued(queued);
        // Tasks, then what they left: each may be waited for, and pressed twice.
        self.notifier.stopping();
        self.extend_timeout();
    }

    pub(in crate::service) fn enforce_stop_deadline(&mut self, now: Instant) {
        if self.stop.on_time(now).is_some() {
            warn!("the running tasks have not finished in time: killing them");
            self.supervisor.escalate_tasks(EscalationStep::Terminate);
        }
    }
}
