//! Which worker gets which job; when to spawn, reuse, interrupt and retire. No I/O, no clock, no Python.
//!
//! A [`Pool`] is told what happened (`on_…`) and answers with [`Effect`]s. Time is an argument; [`Pool::next_time`] says
//! when it next wants to be called. A program (an exec task) takes a place of the pool like a worker that is used once.

mod ahead;
mod escalation;
mod state;

#[cfg(test)]
mod tests;

pub use ahead::{Answer, SHORT};
pub use escalation::Step;
pub use state::Pool;

/// Something a pool works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A place of a pool: one worker process, or one program; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

/// What a job runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// A worker.
    Worker,
    /// A worker that has nothing else to do: nothing that can be sent ahead.
    IdleWorker,
    /// A process of its own.
    Program,
}

/// What a pool asks the supervisor to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Start a worker; answered by `on_worker_ready` or `on_worker_ended`.
    Spawn(WorkerId),
    /// Give a job to a worker that is ready; answered by `on_job_ended` or `on_worker_ended`.
    Send(WorkerId, JobId),
    /// Give a job to a worker that is busy, to be begun when it has answered. Once the answers before it are in, the job
    /// counts as given; see `on_job_ended`.
    SendAhead(WorkerId, JobId),
    /// Take back from a worker what it was sent ahead and has not begun; answered by `on_taken_back`.
    TakeBack(WorkerId),
    /// Start a program; answered by `on_worker_ended`, also when it cannot be started.
    Launch(WorkerId, JobId),
    /// Press the one that executes an interrupted job.
    Press(WorkerId, Step),
    /// Tell people that one that was killed has not ended; once for each.
    Stuck(WorkerId),
    /// Let an idle worker go: close its connection. Answered by `on_worker_ended`.
    Retire(WorkerId),
    /// Tell people that a worker takes long to become ready; once for each.
    Late(WorkerId),
    /// Kill a worker that has not become ready in time. Answered by `on_worker_ended`.
    Overdue(WorkerId),
    /// No worker can be started: this job ends in error.
    Refuse(JobId),
}

/// How a job that was in a worker or program ended with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orphan {
    /// The job.
    pub job: JobId,
    /// Whether it had been interrupted.
    pub interrupted: bool,
}
