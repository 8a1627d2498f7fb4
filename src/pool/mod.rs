//! Which worker gets which job; when to spawn, reuse, interrupt and retire workers. No I/O, no clock, no Python.
//!
//! A [`Pool`] is told what happened (`on_…`) and answers with [`Effect`]s. Time is an argument; [`Pool::next_time`] says
//! when it next wants to be called. A program (an exec task) takes a slot of the pool like a worker that is used once.

mod escalation;
mod prefill;
mod slot;
mod state;

#[cfg(test)]
mod tests;

pub use escalation::EscalationStep;
pub use prefill::{Answer, SHORT};
pub use state::Pool;

/// Something a pool works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A slot of a pool: one worker, or one program. Ids are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

/// What a job runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// A worker.
    Worker,
    /// An idle worker: the job cannot be prefilled.
    IdleWorker,
    /// A process of its own.
    Program,
}

/// What a pool asks the supervisor to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Start a worker; answered by `on_worker_ready` or `on_worker_ended`.
    Spawn(WorkerId),
    /// Give a job to an idle worker; answered by `on_job_ended` or `on_worker_ended`.
    Send(WorkerId, JobId),
    /// Give a job to a busy worker, which begins it after the jobs that it has. Once those have ended, the job is the
    /// worker's current one; see `on_job_ended`.
    Prefill(WorkerId, JobId),
    /// Retract from a worker the jobs that it has not begun; answered by `on_retracted`.
    Retract(WorkerId),
    /// Start a program; answered by `on_worker_ended`, also if it cannot be started.
    Launch(WorkerId, JobId),
    /// Signal the worker or program that executes an interrupted job.
    Escalate(WorkerId, EscalationStep),
    /// Report that a worker or program was killed and has not ended; once for each.
    Stuck(WorkerId),
    /// End an idle worker by closing its connection. Answered by `on_worker_ended`.
    Retire(WorkerId),
    /// Report that a worker takes long to become ready; once for each.
    Late(WorkerId),
    /// Kill a worker that has not become ready in time. Answered by `on_worker_ended`.
    Overdue(WorkerId),
    /// No worker can be started: this job ends in error.
    Refuse(JobId),
}

/// A job whose worker or program has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orphan {
    /// The job.
    pub job: JobId,
    /// Whether it was interrupted before.
    pub interrupted: bool,
}
