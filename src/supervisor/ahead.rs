//! Tasks that workers are sent before they have answered, and how those are taken back.
//!
//! Such a task counts as waiting until the answer before it has been read: then it may have begun a moment ago, as its worker
//! goes straight on after a task that was short and left nothing to look at (`silence.py`). Before anything is withdrawn
//! or pressed, what has not begun is taken back, and what has is known to have.

use std::time::{Duration, Instant};

use super::Supervisor;
use super::jobs::{Job, failed};
use super::workers::Connection;
use crate::engine::FailureKind;
use crate::graph::PoolId;
use crate::payload::ErrorClass;
use crate::pool::{Answer, JobId, WorkerId};
use crate::process::sys;
use crate::worker::{ChannelError, Frame, Next};

/// A job that a worker has, behind another one.
#[derive(Debug, Clone, Copy)]
pub(super) struct SentAhead {
    pub(super) job: JobId,
    /// When it was sent, time since boot: before that it cannot have begun.
    pub(super) at: Duration,
}

impl Supervisor {
    pub(super) fn send_ahead(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        if process.jobs.is_empty() {
            // It has answered meanwhile.
            return self.send_job(pool, worker, job);
        }
        let (Some(frame), Some(Connection { channel, token })) =
            (frame(self.jobs.get(&job), job, Next::Follows), &mut process.connection)
        else {
            return self.back_to_pool(pool, worker, &[job]);
        };
        process.ahead.push_back(SentAhead { job, at: sys::since_boot() });
        let sent = channel.send(frame).and_then(|()| self.event_loop.watch_unsent(channel, *token));
        if let Err(error) = sent {
            self.worker_unusable(pool, worker, error);
        }
    }

    /// Sends a job to the process of a worker.
    pub(super) fn send_to(&mut self, pool: PoolId, host: WorkerId, job: JobId, next: Next) -> Result<(), ChannelError> {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&host) else { return Ok(()) };
        let Some(frame) = frame(self.jobs.get(&job), job, next) else { return Ok(()) };
        let Some(Connection { channel, token }) = &mut process.connection else { return Err(ChannelError::Closed) };
        process.first_is_queued = channel.queues(&frame);
        channel.send(frame)?;
        self.event_loop.watch_unsent(channel, *token)
    }

    /// A job is its worker's from now on: it was given to it, or the answer before it has come.
    pub(super) fn job_begins(&mut self, pool: PoolId, host: WorkerId, worker: WorkerId, job: JobId) {
        if let Some(task) = self.job_actor(job) {
            self.resources.on_task_started((pool, host), job, task);
        }
        let Some(process) = self.pools[pool.index()].workers.get_mut(&host) else { return };
        process.jobs.push((job, worker));
        let output = process.output;
        if let Some(Job::Task { run, task, actor, .. }) = self.jobs.get(&job) {
            let (run, task, actor) = (*run, *task, *actor);
            if !self.workflow.pool(pool).kind.shares_process() {
                self.hand_output_to(output, (run, actor));
            }
            self.tell_run(run, |engine, _| engine.on_task_started(task, Instant::now()));
            self.record_start(pool, host, job);
        }
    }

    /// The next job of those that a worker was sent ahead is its job.
    pub(super) fn next_job_begins(&mut self, pool: PoolId, worker: WorkerId) {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        if let Some(SentAhead { job, at }) = process.ahead.pop_front() {
            process.busy_since = at;
            self.job_begins(pool, worker, worker, job);
        }
    }

    /// Takes back what a worker was sent and has not begun. What it has afterwards it has begun, and that is known.
    pub(super) fn take_back(&mut self, pool: PoolId, worker: WorkerId) {
        if let Some(first) = self.empty_queue(pool, worker) {
            if self.pools[pool.index()].pool.is_escalating(worker) {
                self.interrupted_before_it_began(pool, worker, first);
            } else {
                self.has_not_begun(pool, worker, first);
                self.back_to_pool(pool, worker, &[first]);
            }
            if let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) {
                process.jobs.clear();
            }
            self.next_job_begins(pool, worker);
        }
        // Whoever has begun the second has answered the first.
        self.receive_from(pool, worker);
    }

    /// The worker gets nothing more: what it has not begun others get.
    pub(super) fn take_back_for_good(&mut self, pool: PoolId, worker: WorkerId) {
        let Some(first) = self.empty_queue(pool, worker) else { return };
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        // One that has answered nothing yet may be one of those that never will.
        process.first_is_unread = !process.answered.is_zero();
        if process.first_is_unread {
            // Before its meter is closed, which would count it as a task that has ended.
            self.resources.on_task_not_begun((pool, worker), first);
        }
    }

    /// What a worker has begun whose answers cannot be read is lost: of one job after the other.
    pub(super) fn lose_what_was_begun(&mut self, pool: PoolId, worker: WorkerId, fault: &str) {
        while let Some(process) = self.pools[pool.index()].workers.get_mut(&worker)
            && !process.ahead.is_empty()
            && let Some((job, _)) = process.jobs.pop()
        {
            self.resources.on_task_ended((pool, worker), job);
            self.tell_pool(pool, |pool, effects| pool.on_job_ended(worker, Answer::NOT_SHORT, Instant::now(), effects));
            let message = format!("the worker process of the task {fault}");
            self.job_ended(job, failed(FailureKind::Lost, ErrorClass::WorkerLost, message));
            self.next_job_begins(pool, worker);
        }
    }

    /// Takes what a worker has not begun out of its queue, and gives it back to the pool; but for its own job, which is returned
    /// if it is among it.
    fn empty_queue(&mut self, pool: PoolId, worker: WorkerId) -> Option<JobId> {
        let process = self.pools[pool.index()].workers.get_mut(&worker)?;
        if !process.first_is_queued {
            return None;
        }
        let queue = process.connection.as_mut()?.channel.queue()?;
        // Not all that came after something has to be there: the worker may have taken some of it meanwhile.
        let mut back: Vec<JobId> = queue.take_back().into_iter().map(JobId).collect();
        process.ahead.retain(|sent| !back.contains(&sent.job));
        let first = process.jobs.first().map(|(job, _)| *job).filter(|job| back.contains(job));
        back.retain(|job| Some(*job) != first);
        if !back.is_empty() {
            self.back_to_pool(pool, worker, &back);
        }
        first
    }

    fn back_to_pool(&mut self, pool: PoolId, worker: WorkerId, jobs: &[JobId]) {
        self.tell_pool(pool, |pool, effects| pool.on_retracted(worker, jobs, Instant::now(), effects));
    }

    /// What counted as begun waits again.
    pub(super) fn has_not_begun(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        self.resources.on_task_not_begun((pool, worker), job);
        if let Some(Job::Task { run, task, record, .. }) = self.jobs.get_mut(&job) {
            let (run, task) = (*run, *task);
            record.has_not_started();
            self.tell_run(run, |engine, _| engine.on_task_put_back(task));
        }
    }

    fn interrupted_before_it_began(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        self.resources.on_task_ended((pool, worker), job);
        self.tell_pool(pool, |pool, effects| pool.on_job_ended(worker, Answer::NOT_SHORT, Instant::now(), effects));
        let message = "the task was interrupted before it had begun";
        self.job_ended(job, failed(FailureKind::Interrupted, ErrorClass::TaskInterrupted, message.to_owned()));
    }

    /// Takes back all that has not begun: what is waiting and what is not is known then, until the next event.
    pub(super) fn take_all_back(&mut self) {
        self.carry_out();
        for index in 0..self.pools.len() {
            for worker in self.pools[index].pool.pause_prefill() {
                self.take_back(PoolId::from(index), worker);
            }
        }
        self.carry_out();
        self.pools.iter_mut().for_each(|state| state.pool.resume_prefill());
    }
}

fn frame(work: Option<&Job>, job: JobId, next: Next) -> Option<Frame<'_>> {
    match work? {
        Job::Task { actor, payload, .. } => Some(Frame::run(job.0, actor.0, payload, next)),
        Job::Describe { payload, .. } => Some(Frame::describe(job.0, payload)),
    }
}
