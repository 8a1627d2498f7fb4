//! Signals to the supervisor, SIGCHLD among them: every child is reaped here, strangers too.

use signal_hook::consts::SIGCHLD;
use tracing::{debug, warn};

use super::{Happening, Supervisor};
use crate::graph::PoolId;
use crate::pool::WorkerId;
use crate::process::{Ended, sys};

/// A direct child.
#[derive(Debug, Clone, Copy)]
pub(super) enum Child {
    Forkserver(PoolId),
    Worker(PoolId, WorkerId),
    Program(PoolId, WorkerId),
    /// Nobody asks any more how it ends.
    LetGo,
}

impl Supervisor {
    pub(super) fn on_signals(&mut self) {
        for signal in self.signals.pending().collect::<Vec<_>>() {
            match signal {
                SIGCHLD => self.reap_children(),
                signal => self.happenings.push(Happening::Signal(signal)),
            }
        }
    }

    fn reap_children(&mut self) {
        while let Ok(Some(reaped)) = sys::reap() {
            match self.children.remove(&reaped.pid) {
                Some(Child::Worker(pool, worker)) => self.on_worker_reaped(pool, worker, reaped.ended),
                Some(Child::Program(pool, worker)) => self.on_program_reaped(pool, worker, reaped.ended),
                Some(Child::Forkserver(pool)) => self.on_forkserver_reaped(pool, reaped.pid, reaped.ended),
                Some(Child::LetGo) => {}
                None => debug!("reaped the orphan {}, which {}", reaped.pid, reaped.ended),
            }
        }
    }

    fn on_forkserver_reaped(&mut self, pool: PoolId, pid: sys::Pid, ended: Ended) {
        let state = &mut self.pools[pool.index()];
        // One that has said why it cannot work, or that could never be used, is reported with the first task.
        if ended != Ended::Exited(0) && state.failure.is_none() {
            let name = &self.workflow.pool(pool).name;
            warn!("the forkserver of pool {name} {ended}");
            state.failure = Some(format!("the Python interpreter {ended} while it was starting"));
        }
        if state.forkserver.as_ref().is_some_and(|forkserver| forkserver.pid == pid) {
            self.forkserver_gone(pool);
        }
    }
}
