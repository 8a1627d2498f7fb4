//! How jobs get to workers and are retracted.
//!
//! A prefilled job counts as waiting until the answer before it was read. By then it may have begun, as its worker goes
//! straight on after a task that was short and left nothing to look at (`side_effects.py`). Before anything is withdrawn or
//! interrupted, jobs that have not begun are retracted, and those that have are known to have.

use std::time::Instant;

use super::Supervisor;
use super::jobs::Job;
use super::routing::Routed;
use super::workers;
use crate::graph::PoolId;
use crate::pool::{Answer, JobId, Pool, WorkerId};
use crate::worker::{Frame, Next};

impl Supervisor {
    /// Gives a job to an idle worker.
    pub(super) fn send_job(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        if !self.jobs.contains_key(&job) {
            // Nobody waits for it any more.
            let end = |pool: &mut Pool, effects: &mut Vec<_>| {
                pool.on_job_ended(worker, Answer::NOT_SHORT, Instant::now(), effects);
            };
            return self.tell_pool(pool, end);
        }
        let process = self.workers.process_of(pool, worker);
        let next = if self.pools[pool.index()].may_be_followed(worker) {
            // Nobody waits for anybody.
            self.workers.affinity.unpin();
            Next::Follows
        } else {
            self.where_to_wait(pool)
        };
        if self.workers.get((pool, process)).is_none() {
            return;
        }
        // Before the job is sent: the worker may begin at once.
        self.account_start((pool, process), job);
        let Some(frame) = frame(self.jobs.get(&job), job, next) else { return };
        let sent = self.workers.send((pool, process), (worker, job), (frame, next), &self.event_loop);
        self.on_job_began((pool, process), job);
        if let Err(error) = sent {
            self.worker_unusable(pool, process, error);
        }
    }

    /// Accounts a task to its actor from now on.
    pub(super) fn account_start(&mut self, worker: (PoolId, WorkerId), job: JobId) {
        if let Some(Job::Task { run, actor, .. }) = self.jobs.get(&job) {
            self.resources.on_task_started(worker, job, (*run, *actor));
        }
    }

    /// Tells output, engine and task log that a worker has begun a job.
    pub(super) fn on_job_began(&mut self, (pool, worker): (PoolId, WorkerId), job: JobId) {
        let Some(process) = self.workers.get((pool, worker)) else { return };
        if let Some(Job::Task { run, task, actor, .. }) = self.jobs.get(&job) {
            let (run, task, actor) = (*run, *task, *actor);
            // The output of a shared process is that of several tasks.
            if !process.state.is_shared() {
                let output = process.output;
                self.workers.outputs.set_task(output, (run, actor));
            }
            self.tell_run(run, |engine, _| engine.on_task_started(task, Instant::now()));
            self.record_start(pool, worker, job);
        }
    }

    /// The CPU where a worker of this pool should wait after the task that it is sent now, if it matters.
    fn where_to_wait(&mut self, pool: PoolId) -> Next {
        if self.workflow.pool(pool).gevent {
            // Greenlets run also while their thread waits.
            self.workers.affinity.unpin();
            return Next::Unknown;
        }
        self.workers.affinity.pin(self.jobs.len() == 1).map_or(Next::Unknown, Next::WaitAt)
    }

    /// Gives a job to a worker behind the jobs that it has.
    pub(super) fn prefill(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        let Some(process) = self.workers.get((pool, worker)) else { return };
        if process.state.is_idle() {
            // It has answered meanwhile.
            return self.send_job(pool, worker, job);
        }
        let frame = frame(self.jobs.get(&job), job, Next::Follows);
        let sent = frame.and_then(|frame| self.workers.prefill((pool, worker), job, frame, &self.event_loop));
        match sent {
            Some(Ok(())) => {}
            Some(Err(error)) => self.worker_unusable(pool, worker, error),
            None => self.back_to_pool(pool, worker, &[job]),
        }
    }

    /// Retracts what a worker was sent and has not begun. What it has afterwards it has begun, and that is known.
    pub(super) fn retract(&mut self, pool: PoolId, worker: WorkerId) {
        workers::retract(&mut self.routed(pool, worker));
        // A worker that has begun the second job has answered the first.
        self.receive_from(pool, worker);
    }

    /// Retracts all that has not begun. What waits and what runs is known then, until the next event.
    pub(super) fn retract_all(&mut self) {
        self.carry_out();
        for index in 0..self.pools.len() {
            for worker in self.pools[index].pause_prefill() {
                self.retract(PoolId::from(index), worker);
            }
        }
        self.carry_out();
        self.pools.iter_mut().for_each(Pool::resume_prefill);
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
