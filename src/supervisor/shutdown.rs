//! The end: every process is gone before the supervisor says so.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::{Happening, Supervisor, SupervisorError};
use crate::process::sys::{Pid, Signal};
use crate::process::tree;

impl Supervisor {
    /// Lets all workers go and waits for them; those that have not ended within `patience`, and whatever then is left
    /// below the supervisor, get SIGTERM, and after the grace time SIGKILL. Names what survives even that.
    pub fn shut_down(&mut self, patience: Duration) -> Result<(), SupervisorError> {
        self.let_go();
        let grace = self.grace();
        self.wait_until(patience, |this| this.children.is_empty())?;
        if is_alone() {
            return Ok(());
        }
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let told = tree::signal_descendants(Pid::this(), signal);
            let processes = if told == 1 { "process that was" } else { "processes that were" };
            info!("sent {} to {told} {processes} still running", signal.as_str());
            if self.wait_until(grace, |_| is_alone())? {
                return Ok(());
            }
        }
        let left: Vec<_> =
            tree::descendants(Pid::this()).iter().map(|left| format!("{} ({})", left.pid, left.name)).collect();
        warn!("these processes survive SIGKILL: {}", left.join(", "));
        Ok(())
    }

    /// The longest grace time of the pools: how long a process has between one signal and the next.
    pub fn grace(&self) -> Duration {
        self.workflow.pools.iter().map(|pool| pool.grace).max().unwrap_or(Duration::from_secs(5))
    }

    /// Lets all workers go that have nothing to do, the others after their task. Nothing new starts.
    pub fn let_go(&mut self) {
        for index in 0..self.pools.len() {
            self.tell_pool(index.into(), |pool, effects| pool.close(effects));
            self.forkserver_gone_quietly(index.into());
        }
        self.dismiss_launchers();
    }

    /// Waits until something is so, for so long, and less if a signal arrives meanwhile; whether it is.
    fn wait_until(&mut self, patience: Duration, so: impl Fn(&Self) -> bool) -> Result<bool, SupervisorError> {
        let deadline = Instant::now() + patience;
        // What is queued may still start a process.
        self.carry_out();
        while !so(self) {
            let hurry = self.turn(Some(deadline))?.iter().any(|happening| matches!(happening, Happening::Signal(_)));
            if hurry || Instant::now() >= deadline {
                return Ok(so(self));
            }
        }
        Ok(true)
    }
}

/// Whether no process is left below this one.
fn is_alone() -> bool {
    tree::descendants(Pid::this()).is_empty()
}
