//! The end of the service: drained, stopped, or with its one run.

use std::time::{Duration, Instant};

use tracing::info;

use super::signal;
use crate::engine::Status;
use crate::graph::ServiceMode;
use crate::service::{Channels, Command, End, Event, Phase, REQUESTS_A_TURN, RequestError, Response, Service};
use crate::supervisor::{Supervisor, SupervisorError};

impl Service {
    pub(in crate::service) fn is_over(&self) -> bool {
        let rests = self.active.is_empty() && self.queue.is_empty() && self.durability.is_idle();
        rests && (self.is_ending() || self.mode == ServiceMode::Run)
    }

    /// Whether no more runs are accepted.
    pub(in crate::service) fn is_ending(&self) -> bool {
        self.draining || self.stop.is_stopping()
    }

    /// Tells systemd how long the end of the service may take.
    pub(in crate::service) fn extend_timeout(&self) {
        let patience = self.settings().stop_timeout;
        self.notifier.extend_timeout(patience + 3 * self.supervisor.grace() + Duration::from_secs(10));
    }

    /// Waits for every process, and logs their names meanwhile.
    pub(in crate::service) fn shut_down(&mut self) -> Result<(), SupervisorError> {
        // For systemd, a service that ends before it was ready has failed.
        self.ready();
        self.notifier.stopping();
        self.extend_timeout();
        self.snapshot.with(|state| state.phase = Phase::Stopping);
        self.tell(Event::Changed);
        let grace = self.supervisor.grace();
        let ended_early = match &self.end {
            End::Run(status, _) => matches!(status, Status::Timeout | Status::Stopped | Status::Aborted),
            End::Asked => false,
        };
        let patience = self.stop.patience(Instant::now(), ended_early, grace, self.settings().stop_timeout);
        self.notifier.status("ending: waiting for what tasks have started");
        let (supervisor, channels) = (&mut self.supervisor, &self.channels);
        supervisor.shut_down_while(patience, &mut |supervisor| answer_at_end(supervisor, channels))?;
        self.notifier.status("every process is gone");
        info!("every process is gone");
        // Nothing is left to supervise: the disk may take its time.
        self.supervisor.leave_loop();
        self.durability.close();
        self.supervisor.end_recorder()?;
        self.tell(Event::Close);
        Ok(())
    }
}

/// Answers requests while the last processes are waited for. They can still be listed and signalled.
fn answer_at_end(supervisor: &mut Supervisor, channels: &Channels) {
    for _ in 0..REQUESTS_A_TURN {
        let Ok(request) = channels.requests.try_recv() else { break };
        let Some(request) = signal::answer(supervisor, request) else { continue };
        let response = match request.command {
            Command::Drain | Command::AbortAll(_) | Command::UpdateUsage | Command::BusTried => Ok(Response::Done),
            Command::Stop(run, _) | Command::Abort(run, _) => {
                Err(RequestError::NoSuchRun(format!("run {run} is over")))
            }
            _ => Err(RequestError::ShuttingDown("the service is ending".to_owned())),
        };
        // The caller may be gone.
        let _ = request.reply.try_send(response);
    }
}
