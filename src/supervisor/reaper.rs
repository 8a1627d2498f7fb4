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
    /// What copies the history.
    Recorder,
    /// Nobody asks any more how it ends.
    LetGo,
}

/// So many processes are reaped in one turn of the loop: a task may start them faster than they are.
const REAPED_A_TURN: usize = 512;

impl Supervisor {
    pub(super) fn on_signals(&mut self) {
        let left = std::mem::take(&mut self.unreaped).then_some(SIGCHLD);
        for signal in self.signals.pending().chain(left).collect::<Vec<_>>() {
            match signal {
                SIGCHLD => self.reap_children(),
                SIGUSR1 => self.log_tree(),
                signal => self.happenings.push(Happening::Signal(signal)),
            }
        }
    }

    fn reap_children(&mut self) {
        for number in 0.. {
            if number == REAPED_A_TURN {
                // No signal tells of them again.
                self.unreaped = true;
                self.is_unfinished(self.signals_token);
                break;
            }
            let Ok(Some(reaped)) = sys::reap() else { break };
            self.reaped += 1;
            let child = self.children.remove(&reaped.pid);
            self.account_reaped(child.as_ref(), &reaped);
            match child {
                Some(Child::Worker(pool, worker)) => self.on_worker_reaped(pool, worker, reaped.ended),
                Some(Child::Program(pool, worker)) => self.on_program_reaped(pool, worker, reaped.ended),
                Some(Child::Forkserver(pool, phase)) => {
                    self.on_forkserver_reaped(pool, phase, reaped.pid, reaped.ended);
                }
                Some(Child::Recorder) => self.on_recorder_reaped(reaped.ended),
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
