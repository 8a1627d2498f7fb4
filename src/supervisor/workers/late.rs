//! Workers that take long to become ready, or cannot be started: what is logged about them.

use std::time::Duration;

use tracing::warn;

use super::{System, Workers};
use crate::graph::PoolId;
use crate::pool::{Pool, WorkerId};

/// How the wait for a worker is ended.
#[must_use]
pub(in crate::supervisor) enum Overdue {
    /// Its process is killed.
    Kill,
    /// It has no process yet: the forkserver that was asked for it has not answered, and is replaced.
    GiveUp,
}

impl Workers {
    /// A worker could not be started, or died before it was ready, while others work. Logged once for a series of such starts.
    pub(in crate::supervisor) fn log_failed_start(&self, id: PoolId, pool: &Pool) {
        // The first one may have failed for a reason of its own. If no worker is left, the jobs are refused, and say why.
        if pool.failed_starts() == 2 && pool.size().0 > 0 {
            let (name, why) = (&self.workflow.pool(id).name, self.failure(id));
            warn!(
                "pool {name}: cannot start more workers: {why}. Tasks wait for the workers that there are; pushflow tries again"
            );
        }
    }

    /// A worker takes long to become ready.
    pub(in crate::supervisor) fn log_late(&self, pool: PoolId, worker: WorkerId) {
        // One line for a process, however many workers wait for it.
        if self.process_of(pool, worker) == worker {
            let name = &self.workflow.pool(pool).name;
            warn!("pool {name}: a worker takes long to become ready: {}", self.awaited(pool, worker));
        }
    }

    /// The wait for a worker is over, and with it that for all others of its process. `None` if it is ready or gone.
    pub(in crate::supervisor) fn on_overdue(
        &mut self,
        (pool, process): (PoolId, WorkerId),
        system: &mut System<'_>,
    ) -> Option<Overdue> {
        let limit = self.workflow.pool(pool).start_timeout.unwrap_or(Duration::ZERO);
        let worker = self.get((pool, process)).filter(|worker| !worker.state.was_ready())?;
        let is_child = worker.process.is_some() || worker.launcher.is_some();
        let failure = format!("no worker was ready after {limit:?} (start_timeout): {}", self.awaited(pool, process));
        self.set_failure(pool, failure);
        if is_child {
            return Some(Overdue::Kill);
        }
        // The forkserver is still importing the task modules. The next one does not.
        self.end_forkserver(system, pool);
        Some(Overdue::GiveUp)
    }

    /// What a worker that is not ready waits for.
    fn awaited(&self, pool: PoolId, worker: WorkerId) -> String {
        let its = &self.pools[pool.index()];
        let interpreter = self.interpreter_of(pool);
        match self.get((pool, worker)) {
            Some(process) if process.launcher.is_some() && process.connection.is_none() => {
                let launcher = self.workflow.pool(pool).launcher.join(" ");
                format!("the launcher `{launcher}` runs, and its worker has not connected yet")
            }
            _ if its.forkserver.is_some() && its.preload => {
                format!("{} is still importing the task modules", interpreter.display())
            }
            _ => format!("{} is still starting", interpreter.display()),
        }
    }
}
