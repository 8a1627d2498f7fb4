//! Pressing what does not end by itself: signals to a worker or program and all below it.

use tracing::warn;

use super::Supervisor;
use crate::graph::PoolId;
use crate::pool::{EscalationStep, WorkerId};
use crate::process::sys::Signal;
use crate::process::tree::{self, Process, Snapshot};

impl Supervisor {
    pub(super) fn press(&mut self, pool: PoolId, worker: WorkerId, step: EscalationStep) {
        let signal = match step {
            EscalationStep::Interrupt => Signal::SIGINT,
            EscalationStep::Terminate => Signal::SIGTERM,
            EscalationStep::Kill => Signal::SIGKILL,
        };
        if self.workflow.pool(pool).kind.shares_process() {
            self.press_place(pool, worker, step);
        } else {
            // What it was sent to do next is not meant.
            self.retract(pool, worker);
            if !self.pools[pool.index()].pool.is_escalating(worker) {
                // What it does now, if anything, is something else.
                return;
            }
            self.signal_worker(pool, worker, signal);
        }
        self.signal_program(pool, worker, signal);
    }

    /// Signals a worker and all below it, deepest first, and what has left it. An interrupt is for the task: a launcher
    /// does not get it.
    pub(super) fn signal_worker(&mut self, pool: PoolId, worker: WorkerId, signal: Signal) {
        if signal == Signal::SIGKILL {
            self.resources.kill((pool, worker));
        }
        // First: what becomes an orphan by this very signal has got it then.
        self.signal_orphans_of(pool, worker, signal);
        let Some(process) = self.pools[pool.index()].workers.get(&worker) else { return };
        let interrupt = signal == Signal::SIGINT;
        match (&process.process, &process.launcher) {
            (Some(target), None) => self.processes.signal_tree(target, signal),
            (Some(target), Some(_)) if interrupt => self.processes.signal_tree(target, signal),
            (None, Some((launcher, _))) if interrupt => {
                self.processes.signal_below(*launcher, signal, |_| false);
            }
            (_, Some(launcher)) => self.processes.signal_tree(launcher, signal),
            (None, None) => {}
        }
    }

    /// A worker or program was killed a while ago, and has not ended. Its task ends when it does: what is said to have
    /// stopped has stopped.
    pub(super) fn worker_is_stuck(&self, pool: PoolId, worker: WorkerId) {
        let state = &self.pools[pool.index()];
        let host = self.host_of(pool, worker);
        let process = state.workers.get(&host).and_then(|worker| worker.process.as_ref().or(worker.launcher.as_ref()));
        let program = state.programs.get(&worker).map(|program| &program.process);
        let Some((pid, _)) = process.or(program) else { return };
        let snapshot = Snapshot::take();
        let left: Vec<_> = Process::find(*pid)
            .into_iter()
            .chain(snapshot.below(*pid).into_iter().cloned())
            .filter(|it| !it.zombie)
            .collect();
        let why = if left.iter().any(|process| process.blocked) {
            "; a disk or a network file system may not answer"
        } else {
            ""
        };
        let name = &self.workflow.pool(pool).name;
        warn!("pool {name}: killed, and still there: {}{why}. Waiting for its end", tree::names(&left));
    }
}
