//! What follows from the events of one worker, in which order.
//!
//! These functions decide; [`Effects`] carries out. The supervisor implements it for each of its workers, and the tests
//! record what is asked for. The end of a job is told before the next one begins.

use std::time::Duration;

use super::state::{Assignment, Ended, Worker};
use crate::pool::{JobId, WorkerId};

/// What the events of a worker lead to.
pub(in crate::supervisor) trait Effects {
    /// What a worker answers to a job.
    type Reply;

    /// The worker, while it exists.
    fn worker(&mut self) -> Option<&mut Worker>;
    /// Empties the queue of the worker. The jobs that were in it, the oldest first: the worker has not taken them.
    fn empty_queue(&mut self) -> Vec<JobId>;
    /// Whether the current job of the worker is being terminated.
    fn is_escalating(&self) -> bool;
    /// The process of the worker works.
    fn on_started(&mut self);
    /// A slot can be given jobs.
    fn on_slot_ready(&mut self, slot: WorkerId);
    /// A job counts as running from now on.
    fn on_job_began(&mut self, job: JobId);
    /// A job was answered.
    fn on_job_ended(&mut self, ended: &Ended, reply: Self::Reply);
    /// A job was lost: the worker has begun it, and its answer cannot be read.
    fn on_job_lost(&mut self, job: JobId, fault: &str);
    /// A job was interrupted before the worker took it.
    fn on_job_interrupted(&mut self, job: JobId);
    /// The worker has not taken its current job, which waits for a worker again.
    fn on_job_not_begun(&mut self, job: JobId);
    /// The worker has not taken its current job, which waits for the end of the worker.
    fn on_job_unread(&mut self, job: JobId);
    /// The worker has not taken these prefilled jobs, which wait for a worker again.
    fn on_prefilled_retracted(&mut self, jobs: &[JobId]);
    /// Lets a worker go on that waits after its answer.
    fn resume(&mut self);
    /// Closes the connection of the worker.
    fn disconnect(&mut self);
    /// Kills the worker, for this reason.
    fn kill(&mut self, fault: String);
}

/// The worker says that it can be given work.
pub(in crate::supervisor) fn on_ready(effects: &mut impl Effects) {
    let Some(worker) = effects.worker() else { return };
    if !worker.on_ready() {
        return give_up(effects, "sent garbage: it was ready already".to_owned());
    }
    let slots = worker.slots().to_vec();
    effects.on_started();
    for slot in slots {
        effects.on_slot_ready(slot);
    }
}

/// The worker has answered a job.
pub(in crate::supervisor) fn on_answer<E: Effects>(effects: &mut E, job: JobId, reply: E::Reply, now: Duration) {
    let Some(worker) = effects.worker() else { return };
    let Some(ended) = worker.on_answer(job, now) else {
        return give_up(effects, format!("sent garbage: an answer to task {}, which it was not given", job.0));
    };
    effects.on_job_ended(&ended, reply);
    begin_next(effects);
    if ended.pauses {
        effects.resume();
    }
    if ended.slot_ends && effects.worker().is_some_and(|worker| worker.is_idle()) {
        close(effects);
    }
}

fn begin_next(effects: &mut impl Effects) {
    if let Some(next) = effects.worker().and_then(Worker::begin_next) {
        effects.on_job_began(next.job);
    }
}

/// Retracts what the worker has not begun. What it has afterwards it has begun, and that is told.
pub(in crate::supervisor) fn retract(effects: &mut impl Effects) {
    if let Some(Assignment { job, .. }) = empty_queue(effects) {
        if effects.is_escalating() {
            effects.on_job_interrupted(job);
        } else {
            effects.on_job_not_begun(job);
        }
        begin_next(effects);
    }
}

/// Retracts prefilled jobs. Returns the current job of the worker if the worker has not begun that either.
fn empty_queue(effects: &mut impl Effects) -> Option<Assignment> {
    if !effects.worker()?.is_retractable() {
        return None;
    }
    let jobs = effects.empty_queue();
    let retracted = effects.worker()?.on_retracted(&jobs);
    if !retracted.prefilled.is_empty() {
        effects.on_prefilled_retracted(&retracted.prefilled);
    }
    retracted.current
}

/// Closes the connection of the worker: it gets nothing more, and others get what it has not begun.
pub(in crate::supervisor) fn close(effects: &mut impl Effects) {
    let current = empty_queue(effects);
    let Some(worker) = effects.worker() else { return };
    let mut unread = None;
    if let Some(current) = current {
        if worker.has_prefilled() {
            // It has begun the job behind this one.
            effects.on_job_not_begun(current.job);
            begin_next(effects);
        } else if worker.has_answered() {
            unread = Some(current.job);
            effects.on_job_unread(current.job);
        } else {
            // Workers that have never answered may die of whatever they are given: this job is lost with the worker.
            worker.on_closed(None);
            worker.assign(current);
        }
    }
    if let Some(worker) = effects.worker() {
        worker.on_closed(unread);
        effects.disconnect();
    }
}

/// Ends a worker that cannot be used any more, for this reason. The job that it has ends when the process has ended.
pub(in crate::supervisor) fn give_up(effects: &mut impl Effects, fault: String) {
    close(effects);
    while let Some(job) = effects.worker().and_then(Worker::lose_one) {
        effects.on_job_lost(job, &fault);
        let next = effects.worker().and_then(|worker| worker.running().next().copied());
        if let Some(next) = next {
            effects.on_job_began(next.job);
        }
    }
    effects.kill(fault);
}
