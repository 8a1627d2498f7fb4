//! Termination of tasks, workers and programs: signals to a process and all below it.

use tracing::warn;

use std::time::Instant;

use super::Supervisor;
use crate::graph::PoolId;
use crate::pool::{EscalationStep, WorkerId};
use crate::process::sys::Signal;
use crate::process::tree::{self, Process, Snapshot};

impl Supervisor {
    /// Takes one step of the termination of an interrupted job.
    pub(super) fn escalate(&mut self, pool: PoolId, worker: WorkerId, step: EscalationStep) {
        let signal = match step {
            EscalationStep::Interrupt => Signal::SIGINT,
            EscalationStep::Terminate => Signal::SIGTERM,
            EscalationStep::Kill => Signal::SIGKILL,
        };
        if self.workflow.pool(pool).kind.shares_process() {
            self.escalate_slot(pool, worker, step);
        } else {
            // The signal is not for its prefilled jobs.
            self.retract(pool, worker);
            if !self.pools[pool.index()].is_escalating(worker) {
                // That job has ended; the present one is another.
                return;
            }
            self.signal_worker(pool, worker, signal);
        }
        self.signal_program(pool, worker, signal);
    }

    /// Takes one step of the termination of a job whose process executes several.
    fn escalate_slot(&mut self, pool: PoolId, slot: WorkerId, step: EscalationStep) {
        let worker = self.workers.process_of(pool, slot);
        let Some(process) = self.workers.get_mut((pool, worker)) else { return };
        let Some(job) = process.state.job_of(slot) else { return };
        match step {
            EscalationStep::Interrupt => {
                if let Err(error) = self.workers.interrupt((pool, worker), job) {
                    self.worker_unusable(pool, worker, error);
                }
            }
            EscalationStep::Terminate => {
                let is_alone = process.state.only_job().is_some();
                for slot in self.workers.accept_no_more((pool, worker)) {
                    self.tell_pool(pool, |pool, effects| pool.on_worker_ended(slot, Instant::now(), effects));
                }
                if is_alone {
                    self.signal_worker(pool, worker, Signal::SIGTERM);
                }
            }
            EscalationStep::Kill => {
                let fault = "was killed because another task in it did not return when it was interrupted";
                process.set_fault(fault.to_owned());
                self.signal_worker(pool, worker, Signal::SIGKILL);
            }
        }
    }

    /// Signals a worker and all below it, deepest first, and its orphans. An interrupt is for the task: a launcher does not get it.
    pub(super) fn signal_worker(&mut self, pool: PoolId, worker: WorkerId, signal: Signal) {
        if signal == Signal::SIGKILL {
            self.resources.kill((pool, worker));
        }
        // Orphans come first: what becomes one because of this signal has got it already.
        self.signal_orphans_of(pool, worker, signal);
        let Some(process) = self.workers.get((pool, worker)) else { return };
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

    /// Logs that a worker or program was killed a while ago and has not ended. Its task ends when it does.
    pub(super) fn worker_is_stuck(&self, pool: PoolId, worker: WorkerId) {
        let process = self.workers.get((pool, self.workers.process_of(pool, worker)));
        let process = process.and_then(|worker| worker.process.as_ref().or(worker.launcher.as_ref()));
        let program = self.programs.get((pool, worker)).map(|program| &program.process);
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
