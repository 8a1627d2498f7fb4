//! How a service ends: drained, stopped, or with its one run.

use std::time::{Duration, Instant};

use tracing::info;

use super::{Answer, Ask, Line, Notice, Phase, REQUESTS_A_TURN, Refusal, Service, processes};
use crate::engine::Status;
use crate::graph::ServiceMode;
use crate::service::End;
use crate::supervisor::{Supervisor, SupervisorError};

impl Service {
    pub(super) fn is_over(&self) -> bool {
        let rests = self.active.is_empty() && self.queue.is_empty() && self.keeping.is_idle();
        rests && (self.is_ending() || self.mode == ServiceMode::Run)
    }

    /// Whether no more runs are accepted.
    pub(super) fn is_ending(&self) -> bool {
        self.draining || self.stop.is_stopping()
    }

    /// systemd gives the service no less time than what it may wait for.
    pub(super) fn extend_timeout(&self) {
        let patience = self.settings().stop_timeout;
        self.notifier.extend_timeout(patience + 3 * self.supervisor.grace() + Duration::from_secs(10));
    }

    /// Waits for every process, and names them meanwhile.
    pub(super) fn shut_down(&mut self) -> Result<(), SupervisorError> {
        // A service that ends before it was ready has failed in systemd's eyes.
        self.ready();
        self.notifier.stopping();
        self.extend_timeout();
        self.board.with(|state| state.phase = Phase::Stopping);
        self.tell(Notice::Changed);
        let grace = self.supervisor.grace();
        let ended_early = match &self.end {
            End::Run(status, _) => matches!(status, Status::Timeout | Status::Stopped | Status::Aborted),
            End::Asked => false,
        };
        let patience = self.stop.patience(Instant::now(), ended_early, grace, self.settings().stop_timeout);
        self.notifier.status("ending: waiting for what tasks have started");
        let (supervisor, line) = (&mut self.supervisor, &self.line);
        supervisor.shut_down_while(patience, &mut |supervisor| answer_at_the_end(supervisor, line))?;
        self.notifier.status("every process is gone");
        info!("every process is gone");
        // Nothing is left to be supervised: a disk may take its time.
        self.supervisor.leave_loop();
        self.close_history();
        self.supervisor.end_recorder()?;
        self.tell(Notice::Close);
        Ok(())
    }
}

/// What is asked while the last processes are waited for: who they are, and to signal them.
fn answer_at_the_end(supervisor: &mut Supervisor, line: &Line) {
    for _ in 0..REQUESTS_A_TURN {
        let Ok(request) = line.requests.try_recv() else { break };
        let Some(request) = processes::answer(supervisor, request) else { continue };
        let answer = match request.ask {
            Ask::Drain | Ask::AbortAll(_) | Ask::Account | Ask::BusTried => Ok(Answer::Done),
            Ask::Stop(run, _) | Ask::Abort(run, _) => Err(Refusal::NoSuchRun(format!("run {run} is over"))),
            _ => Err(Refusal::ShuttingDown("the service is ending".to_owned())),
        };
        // Who asked may have gone.
        let _ = request.answer.try_send(answer);
    }
}
