//! How jobs get to workers and are retracted.
//!
//! A prefilled job counts as waiting until the answer before it has been read: then it may have begun a moment ago, as its
//! worker goes straight on after a task that was short and left nothing to look at (`silence.py`). Before anything is
//! withdrawn or interrupted, what has not begun is retracted, and what has is known to have.

use std::time::Instant;

use super::Supervisor;
use super::jobs::Job;
use super::routing::Routed;
use super::workers::Connection;
use super::workers::state::{Assignment, Delivery, Successor};
use super::workers::transitions::{self, Effects};
use crate::graph::PoolId;
use crate::pool::{Answer, JobId, Pool, WorkerId};
use crate::process::sys;
use crate::worker::{ChannelError, Frame, Next};

impl Supervisor {
    pub(super) fn send_job(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        if !self.jobs.contains_key(&job) {
            // Nobody waits for it any more.
            let end = |pool: &mut Pool, effects: &mut Vec<_>| {
                pool.on_job_ended(worker, Answer::NOT_SHORT, Instant::now(), effects);
            };
            return self.tell_pool(pool, end);
        }
        let host = self.host_of(pool, worker);
        let (next, successor) = if self.pools[pool.index()].pool.may_be_followed(worker) {
            // Nobody waits for anybody.
            self.affinity.unpin();
            (Next::Follows, Successor::Follows)
        } else {
            (self.where_to_wait(pool), Successor::Unknown)
        };
        let Some(process) = self.pools[pool.index()].workers.get_mut(&host) else { return };
        let Some(frame) = frame(self.jobs.get(&job), job, next) else { return };
        let since = sys::since_boot();
        let (delivery, sent) = match &mut process.connection {
            Some(Connection { channel, token }) => {
                let delivery = if channel.queues(&frame) { Delivery::Queued } else { Delivery::Direct };
                (delivery, channel.send(frame).and_then(|()| self.event_loop.watch_unsent(channel, *token)))
            }
            None => (Delivery::Direct, Err(ChannelError::Closed)),
        };
        process.state.assign(Assignment { job, slot: worker, delivery, successor, since, started_something: false });
        self.routed(pool, host).on_job_began(job);
        if let Err(error) = sent {
            self.worker_unusable(pool, host, error);
        }
    }

    /// The CPU at which a worker of this pool is to wait after the task that it is sent now, if it matters.
    fn where_to_wait(&mut self, pool: PoolId) -> Next {
        if self.workflow.pool(pool).gevent {
            // Greenlets run also while their thread waits.
            self.affinity.unpin();
            return Next::Unknown;
        }
        self.affinity.pin(self.jobs.len() == 1).map_or(Next::Unknown, Next::WaitAt)
    }

    pub(super) fn prefill(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        if process.state.is_idle() {
            // It has answered meanwhile.
            return self.send_job(pool, worker, job);
        }
        let since = sys::since_boot();
        let (Some(frame), Some(Connection { channel, token })) =
            (frame(self.jobs.get(&job), job, Next::Follows), &mut process.connection)
        else {
            return self.back_to_pool(pool, worker, &[job]);
        };
        if !process.state.prefill(job, since) {
            return self.back_to_pool(pool, worker, &[job]);
        }
        let sent = channel.send(frame).and_then(|()| self.event_loop.watch_unsent(channel, *token));
        if let Err(error) = sent {
            self.worker_unusable(pool, worker, error);
        }
    }

    /// Retracts what a worker was sent and has not begun. What it has afterwards it has begun, and that is known.
    pub(super) fn retract(&mut self, pool: PoolId, worker: WorkerId) {
        transitions::retract(&mut self.routed(pool, worker));
        // A worker that has begun the second job has answered the first.
        self.receive_from(pool, worker);
    }

    /// Retracts all that has not begun: what is waiting and what is not is known then, until the next event.
    pub(super) fn retract_all(&mut self) {
        self.carry_out();
        for index in 0..self.pools.len() {
            for worker in self.pools[index].pool.pause_prefill() {
                self.retract(PoolId::from(index), worker);
            }
        }
        self.carry_out();
        self.pools.iter_mut().for_each(|state| state.pool.resume_prefill());
    }

    pub(super) fn routed(&mut self, pool: PoolId, worker: WorkerId) -> Routed<'_> {
        Routed { supervisor: self, pool, worker }
    }

    pub(super) fn back_to_pool(&mut self, pool: PoolId, worker: WorkerId, jobs: &[JobId]) {
        self.tell_pool(pool, |pool, effects| pool.on_retracted(worker, jobs, Instant::now(), effects));
    }

    /// A job that counted as begun waits again.
    pub(super) fn has_not_begun(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        self.resources.on_task_not_begun((pool, worker), job);
        if let Some(Job::Task { run, task, record, .. }) = self.jobs.get_mut(&job) {
            let (run, task) = (*run, *task);
            record.has_not_started();
            self.tell_run(run, |engine, _| engine.on_task_put_back(task));
        }
    }
}

fn frame(work: Option<&Job>, job: JobId, next: Next) -> Option<Frame<'_>> {
    match work? {
        Job::Task { actor, payload, .. } => Some(Frame::run(job.0, actor.0, payload, next)),
        Job::Describe { payload, .. } => Some(Frame::describe(job.0, payload)),
    }
}
