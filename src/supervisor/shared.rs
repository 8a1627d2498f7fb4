//! Pools of threads and greenlets: several workers of the pool share one process, the one that was started for the first
//! of them.
//!
//! A task that does not return when it is interrupted can only be ended together with its process. That process gets no
//! more jobs then, and the tasks beside it have the grace time to finish.

use std::time::Instant;

use super::Supervisor;
use super::workers::output::OutputContext;
use crate::graph::PoolId;
use crate::pool::{EscalationStep, JobId, WorkerId};
use crate::process::sys::Signal;
use crate::worker::{ChannelError, Frame};

impl Supervisor {
    /// The worker that stands for the process of this one: itself, unless they share one.
    pub(super) fn host_of(&self, pool: PoolId, worker: WorkerId) -> WorkerId {
        self.pools[pool.index()].hosts.get(&worker).copied().unwrap_or(worker)
    }

    /// Lets a worker join the process of the others, if there is one.
    pub(super) fn join_host(&mut self, pool: PoolId, worker: WorkerId) -> bool {
        let state = &mut self.pools[pool.index()];
        let Some(host) = state.open_host else { return false };
        let Some(process) = state.workers.get_mut(&host) else { return false };
        let is_ready = process.state.add_slot(worker);
        state.hosts.insert(worker, host);
        if is_ready {
            self.tell_pool(pool, |pool, effects| pool.on_worker_ready(worker, Instant::now(), effects));
        }
        true
    }

    /// A process was started: others join it.
    pub(super) fn open_host(&mut self, pool: PoolId, worker: WorkerId) {
        self.pools[pool.index()].open_host = Some(worker);
    }

    /// Nobody joins this process any more.
    pub(super) fn close_host(&mut self, pool: PoolId, host: WorkerId) {
        let state = &mut self.pools[pool.index()];
        state.open_host.take_if(|open| *open == host);
        if !state.workers.contains_key(&host) {
            state.hosts.retain(|_, its| *its != host);
        }
    }

    /// Lets a worker go that is not the last one of its process. False if it is, or has a process of its own.
    pub(super) fn leave_host(&mut self, pool: PoolId, worker: WorkerId) -> bool {
        if !self.workflow.pool(pool).kind.shares_process() {
            return false;
        }
        let host = self.host_of(pool, worker);
        let state = &mut self.pools[pool.index()];
        let Some(process) = state.workers.get_mut(&host) else { return false };
        if process.state.slots().len() == 1 {
            self.close_host(pool, host);
            self.close_connection(pool, host);
            return true;
        }
        process.state.remove_slot(worker);
        state.hosts.remove(&worker);
        self.tell_pool(pool, |pool, effects| pool.on_worker_ended(worker, Instant::now(), effects));
        true
    }

    /// Presses one task of a process that executes several.
    pub(super) fn press_place(&mut self, pool: PoolId, place: WorkerId, step: EscalationStep) {
        let host = self.host_of(pool, place);
        let Some(process) = self.pools[pool.index()].workers.get_mut(&host) else { return };
        let Some(job) = process.state.job_of(place) else { return };
        match step {
            EscalationStep::Interrupt => {
                let frame = Frame::interrupt(job.0);
                let sent = process.connection.as_mut().map_or(Err(ChannelError::Closed), |it| it.channel.send(frame));
                if let Err(error) = sent {
                    self.worker_unusable(pool, host, error);
                }
            }
            EscalationStep::Terminate => {
                let alone = process.state.only_job().is_some();
                self.close_to_jobs(pool, host);
                if alone {
                    self.signal_worker(pool, host, Signal::SIGTERM);
                }
            }
            EscalationStep::Kill => {
                process.fault.get_or_insert_with(|| {
                    "was killed because another task in it did not return when it was interrupted".to_owned()
                });
                self.signal_worker(pool, host, Signal::SIGKILL);
            }
        }
    }

    /// Takes a process out of use: those of its workers that do nothing go.
    fn close_to_jobs(&mut self, pool: PoolId, host: WorkerId) {
        self.close_host(pool, host);
        let state = &mut self.pools[pool.index()];
        let Some(process) = state.workers.get_mut(&host) else { return };
        for slot in process.state.accept_no_more() {
            self.pools[pool.index()].hosts.remove(&slot);
            self.tell_pool(pool, |pool, effects| pool.on_worker_ended(slot, Instant::now(), effects));
        }
    }

    /// A task beside others has printed.
    pub(super) fn on_printed_by(&mut self, pool: PoolId, host: WorkerId, job: JobId, text: &str) {
        let process = self.pools[pool.index()].workers.get(&host);
        let pid = process.and_then(|process| process.process.as_ref()).map(|(pid, _)| pid.as_raw());
        let context = OutputContext { pool: Some(pool), worker: Some(host), task: self.job_actor(job), pid };
        self.outputs.log_lines(&context, text);
    }
}
