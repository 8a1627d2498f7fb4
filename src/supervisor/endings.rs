//! How workers start and end, and what becomes of their jobs.

use std::time::{Duration, Instant};

use super::Supervisor;
use super::jobs::failed;
use super::workers::{self, Leaving, Overdue, Unusable};
use crate::engine::{FailureKind, Outcome};
use crate::graph::PoolId;
use crate::payload::ErrorClass;
use crate::pool::{Needs, Orphan, WorkerId};
use crate::process::Ended;
use crate::process::sys::Signal;
use crate::worker::ChannelError;

/// Maximum number of reads from a worker that has ended, each as long as in a turn of the loop.
const MOST_READS_AT_THE_END: usize = 64;

impl Supervisor {
    /// Starts a worker, or makes it a slot of a process that there is.
    pub(super) fn spawn_worker(&mut self, pool: PoolId, worker: WorkerId) {
        let now = Instant::now();
        self.tell_pool(pool, |pool, _| pool.on_worker_starting(worker, now));
        if let Some(is_ready) = self.workers.join_process((pool, worker)) {
            if is_ready {
                self.tell_pool(pool, |pool, effects| pool.on_worker_ready(worker, now, effects));
            }
            return;
        }
        let prefill = self.pools[pool.index()].can_prefill();
        let (workers, mut system) = self.workers_and_system();
        if let Err(why) = workers.start((pool, worker), prefill, &mut system) {
            workers.set_failure(pool, why);
            self.close_connection(pool, worker);
            self.resources.on_not_started((pool, worker));
            self.tell_pool(pool, |pool, effects| pool.on_worker_ended(worker, Instant::now(), effects));
            self.workers.log_failed_start(pool, &self.pools[pool.index()]);
        }
    }

    /// Ends the wait for a worker, and with it for all slots of its process.
    pub(super) fn worker_is_overdue(&mut self, pool: PoolId, worker: WorkerId) {
        let process = self.workers.process_of(pool, worker);
        let (workers, mut system) = self.workers_and_system();
        match workers.on_overdue((pool, process), &mut system) {
            Some(Overdue::Kill) => self.signal_worker(pool, process, Signal::SIGKILL),
            Some(Overdue::GiveUp) => {
                self.close_connection(pool, process);
                self.worker_gone(pool, process, None);
            }
            None => {}
        }
    }

    /// The connection to a worker cannot be used any more.
    pub(super) fn worker_unusable(&mut self, pool: PoolId, worker: WorkerId, error: ChannelError) {
        match self.workers.on_error((pool, worker), &error) {
            Some(Unusable::Gone) => {
                self.close_connection(pool, worker);
                self.worker_gone(pool, worker, None);
            }
            Some(Unusable::Exiting) => self.close_connection(pool, worker),
            Some(Unusable::Faulty(fault)) => workers::give_up(&mut self.routed(pool, worker), fault),
            None => {}
        }
    }

    /// Ends an idle worker.
    pub(super) fn retire_worker(&mut self, pool: PoolId, worker: WorkerId) {
        match self.workers.retire((pool, worker)) {
            Leaving::Process(process) => self.close_connection(pool, process),
            Leaving::Slot => {
                self.tell_pool(pool, |pool, effects| pool.on_worker_ended(worker, Instant::now(), effects));
            }
        }
    }

    pub(super) fn close_connection(&mut self, pool: PoolId, worker: WorkerId) {
        workers::close(&mut self.routed(pool, worker));
    }

    /// Ends launchers whose workers have not connected: nobody waits for them.
    pub(super) fn end_pending_launchers(&mut self) {
        for (pool, worker) in self.workers.take_pending() {
            self.signal_worker(pool, worker, Signal::SIGTERM);
        }
    }

    /// A worker's process was reaped.
    pub(super) fn on_worker_reaped(&mut self, pool: PoolId, worker: WorkerId, ended: Ended) {
        // It may have answered before it died. Its socket holds no more than this.
        for _ in 0..MOST_READS_AT_THE_END {
            if self.receive_from(pool, worker) {
                break;
            }
        }
        self.close_connection(pool, worker);
        self.worker_gone(pool, worker, Some(ended));
    }

    pub(super) fn worker_gone(&mut self, pool: PoolId, worker: WorkerId, ended: Option<Ended>) {
        let (workers, mut system) = self.workers_and_system();
        let Some(process) = workers.remove((pool, worker), ended, &mut system) else { return };
        let actor = process.state.running().next().and_then(|its| self.job_actor(its.job)).map(|(_, actor)| actor);
        self.task_is_over((pool, worker), actor, true, Duration::ZERO);
        let oom = self.resources.out_of_memory((pool, worker), ended);
        self.resources.on_gone((pool, worker), actor.map(|actor| self.workflow.actor(actor).display_name()));
        let died = (pool, process.process.as_ref().map(|(pid, _)| *pid));
        for slot in process.state.slots().to_vec() {
            let orphan = self.tell_pool(pool, |pool, effects| pool.on_worker_ended(slot, Instant::now(), effects));
            if !process.state.was_ready() {
                self.workers.log_failed_start(pool, &self.pools[pool.index()]);
            }
            if let Some(orphan) = orphan {
                if process.state.unread() == Some(orphan.job) && !orphan.interrupted {
                    self.has_not_begun(pool, worker, orphan.job);
                    self.tell_pool(pool, |pool, effects| pool.submit_first(orphan.job, Needs::IdleWorker, effects));
                    continue;
                }
                let outcome = match &oom {
                    Some(oom) if !orphan.interrupted => {
                        self.ran_out_of_memory(died, orphan.job, oom, FailureKind::Lost)
                    }
                    _ => lost(orphan, process.fault(), ended),
                };
                self.job_ended(orphan.job, outcome);
            }
        }
    }
}

/// The outcome of a job whose worker process is gone.
fn lost(orphan: Orphan, fault: Option<&str>, ended: Option<Ended>) -> Outcome {
    let ended = ended.map(|ended| ended.to_string());
    if orphan.interrupted {
        let why = ended.as_deref().or(fault).unwrap_or("disappeared");
        let message = format!("the task was interrupted and did not return: its worker process {why}");
        return failed(FailureKind::Interrupted, ErrorClass::TaskInterrupted, message);
    }
    let why = fault.or(ended.as_deref()).unwrap_or("disappeared");
    failed(FailureKind::Lost, ErrorClass::WorkerLost, format!("the worker process of the task {why}"))
}
