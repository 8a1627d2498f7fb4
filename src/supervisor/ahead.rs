//! Tasks that workers are sent before they have answered, and how those are taken back.
//!
//! Such a task counts as waiting until the answer before it has been read: then it may have begun a moment ago, as its worker
//! goes straight on after a task that was short and left nothing to look at (`silence.py`). Before anything is withdrawn
//! or pressed, what has not begun is taken back, and what has is known to have.

use std::time::{Duration, Instant};

use tracing::debug;

use super::Supervisor;
use super::jobs::{Job, failed};
use super::workers::Connection;
use crate::engine::FailureKind;
use crate::graph::PoolId;
use crate::payload::ErrorClass;
use crate::pool::{JobId, WorkerId};
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
        let Some(frame) = frame(self.jobs.get(&job), job, Next::Follows) else { return };
        let Some(Connection { channel, token }) = &mut process.connection else { return };
        if process.first_is_queued && channel.queues(&frame) {
            process.ahead.push_back(SentAhead { job, at: sys::since_boot() });
            let sent = channel.send(frame).and_then(|()| self.sources.watch_unsent(&self.poll, channel, *token));
            if let Err(error) = sent {
                self.worker_unusable(pool, worker, error);
            }
        } else {
            // What goes over the connection cannot be taken back.
            self.back_to_pool(pool, worker, &[job]);
        }
    }

    /// Sends a job to the process of a worker.
    pub(super) fn send_to(&mut self, pool: PoolId, host: WorkerId, job: JobId, next: Next) -> Result<(), ChannelError> {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&host) else { return Ok(()) };
        let Some(frame) = frame(self.jobs.get(&job), job, next) else { return Ok(()) };
        let Some(Connection { channel, token }) = &mut process.connection else { return Err(ChannelError::Closed) };
        process.first_is_queued = channel.queues(&frame);
        channel.send(frame)?;
        self.sources.watch_unsent(&self.poll, channel, *token)
    }

    /// A job is its worker's from now on: it was given to it, or the answer before it has come.
    pub(super) fn job_begins(&mut self, pool: PoolId, host: WorkerId, worker: WorkerId, job: JobId) {
        self.account_start(pool, host, job);
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
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        if !process.first_is_queued {
            return;
        }
        let first = process.jobs.first().map(|(job, _)| *job);
        let Some(queue) = process.connection.as_mut().and_then(|it| it.channel.queue()) else { return };
        // Not all that came after something has to be there: the worker may have taken some of it meanwhile.
        let mut back = match queue.take_back() {
            Ok(tasks) => tasks.into_iter().map(JobId).collect::<Vec<_>>(),
            // What it has it will answer.
            Err(error) => return debug!("cannot take back what a worker was sent: {error}"),
        };
        process.ahead.retain(|sent| !back.contains(&sent.job));
        match first.filter(|job| back.contains(job)) {
            None => self.back_to_pool(pool, worker, &back),
            Some(first) => {
                process.jobs.clear();
                if self.pools[pool.index()].pool.is_pressed(worker) {
                    back.retain(|job| *job != first);
                    self.back_to_pool(pool, worker, &back);
                    self.interrupted_before_it_began(pool, worker, first);
                } else {
                    self.has_not_begun(pool, worker, first);
                    self.back_to_pool(pool, worker, &back);
                }
                self.next_job_begins(pool, worker);
            }
        }
        // Whoever has begun the second has answered the first.
        self.receive_from(pool, worker);
    }

    fn back_to_pool(&mut self, pool: PoolId, worker: WorkerId, jobs: &[JobId]) {
        if !jobs.is_empty() {
            self.tell_pool(pool, |pool, effects| pool.on_taken_back(worker, jobs, Instant::now(), effects));
        }
    }

    /// What counted as begun waits again.
    fn has_not_begun(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        self.account_nothing(pool, worker, job);
        if let Some(Job::Task { run, task, record, .. }) = self.jobs.get_mut(&job) {
            let (run, task) = (*run, *task);
            record.has_not_started();
            self.tell_run(run, |engine, _| engine.on_task_put_back(task));
        }
    }

    fn interrupted_before_it_began(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        self.account_end(pool, worker, job);
        self.tell_pool(pool, |pool, effects| pool.on_job_ended(worker, Duration::MAX, Instant::now(), effects));
        let message = "the task was interrupted before it had begun";
        self.job_ended(job, failed(FailureKind::Interrupted, ErrorClass::TaskInterrupted, message.to_owned()));
    }

    /// Takes back all that has not begun: what is waiting and what is not is known then, until the next event.
    pub(super) fn take_all_back(&mut self) {
        self.carry_out();
        for index in 0..self.pools.len() {
            for worker in self.pools[index].pool.pause_sending_ahead() {
                self.take_back(PoolId::from(index), worker);
            }
        }
        self.carry_out();
        self.pools.iter_mut().for_each(|state| state.pool.resume_sending_ahead());
    }
}

fn frame(work: Option<&Job>, job: JobId, next: Next) -> Option<Frame<'_>> {
    match work? {
        Job::Task { actor, payload, .. } => Some(Frame::run(job.0, actor.0, payload, next)),
        Job::Describe { payload, .. } => Some(Frame::describe(job.0, payload)),
    }
}
