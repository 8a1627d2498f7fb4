//! Signals to the supervisor, SIGCHLD among them: every child is reaped here, strangers too.

use signal_hook::consts::{SIGCHLD, SIGUSR1};
use tracing::debug;

use super::forkserver::Phase;
use super::{Happening, Supervisor};
use crate::graph::PoolId;
use crate::pool::WorkerId;
use crate::process::sys;

/// A direct child.
#[derive(Debug, Clone, Copy)]
pub(super) enum Child {
    Forkserver(PoolId, Phase),
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
                SIGUSR1 => self.log_tree(),
                signal => self.happenings.push(Happening::Signal(signal)),
            }
        }
    }

    fn reap_children(&mut self) {
        while let Ok(Some(reaped)) = sys::reap() {
            self.reaped += 1;
            let child = self.children.remove(&reaped.pid);
            self.account_reaped(child.as_ref(), &reaped);
            match child {
                Some(Child::Worker(pool, worker)) => self.on_worker_reaped(pool, worker, reaped.ended),
                Some(Child::Program(pool, worker)) => self.on_program_reaped(pool, worker, reaped.ended),
                Some(Child::Forkserver(pool, phase)) => {
                    self.on_forkserver_reaped(pool, phase, reaped.pid, reaped.ended);
                }
                Some(Child::LetGo) => {}
                None => {
                    debug!("reaped the orphan {}, which {}", reaped.pid, reaped.ended);
                    self.on_stranger_reaped(reaped.pid);
                }
            }
        }
        self.sweep_leaves();
    }
}
