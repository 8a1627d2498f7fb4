//! Workers that take long to become ready: people are told, and `start_timeout` ends the wait.

use std::time::Duration;

use tracing::warn;

use super::Supervisor;
use crate::graph::PoolId;
use crate::pool::WorkerId;
use crate::process::sys::Signal;

impl Supervisor {
    /// A worker could not be started, or died before it was ready, while others work: once for a series of such starts.
    pub(super) fn say_that_starts_fail(&self, pool: PoolId) {
        let state = &self.pools[pool.index()];
        // The first one may have failed for a reason of its own; with none left the jobs are refused, and say why.
        if state.pool.failed_starts() != 2 || state.pool.size().0 == 0 {
            return;
        }
        let name = &self.workflow.pool(pool).name;
        let why = state.failure.as_deref().unwrap_or("they die before they are ready");
        warn!(
            "pool {name}: cannot start more workers: {why}. Tasks wait for the workers that there are; pushflow tries again"
        );
    }

    pub(super) fn worker_is_late(&self, pool: PoolId, worker: WorkerId) {
        // One process has one line, however many workers wait for it.
        if self.host_of(pool, worker) == worker {
            let name = &self.workflow.pool(pool).name;
            warn!("pool {name}: a worker takes long to become ready: {}", self.awaited(pool, worker));
        }
    }

    /// Ends the wait for a worker, and with it for all that share its process.
    pub(super) fn worker_is_overdue(&mut self, pool: PoolId, worker: WorkerId) {
        let host = self.host_of(pool, worker);
        let limit = self.workflow.pool(pool).start_timeout.unwrap_or(Duration::ZERO);
        let state = &self.pools[pool.index()];
        let Some(process) = state.workers.get(&host).filter(|process| !process.state.was_ready()) else { return };
        let is_child = process.process.is_some() || process.launcher.is_some();
        let failure = format!("no worker was ready after {limit:?} (start_timeout): {}", self.awaited(pool, host));
        self.pools[pool.index()].failure = Some(failure);
        if is_child {
            self.signal_worker(pool, host, Signal::SIGKILL);
        } else {
            // It was asked for of a forkserver that is still importing the task modules: the next one does not.
            self.forkserver_gone_quietly(pool);
            self.close_connection(pool, host);
            self.worker_gone(pool, host, None);
        }
    }

    /// What a worker that is not ready is waiting for.
    fn awaited(&self, pool: PoolId, worker: WorkerId) -> String {
        let state = &self.pools[pool.index()];
        let interpreter = self.interpreter_of(pool);
        match state.workers.get(&worker) {
            Some(process) if process.launcher.is_some() && process.connection.is_none() => {
                let launcher = self.workflow.pool(pool).launcher.join(" ");
                format!("the launcher `{launcher}` runs, and its worker has not connected yet")
            }
            _ if state.forkserver.is_some() && state.preload => {
                format!("{} is still importing the task modules", interpreter.display())
            }
            _ => format!("{} is still starting", interpreter.display()),
        }
    }
}
