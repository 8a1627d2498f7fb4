//! Owners of processes: the workers and programs that processes belong to, or came from.

use std::time::Duration;

use crate::graph::{ActorId, PoolId};
use crate::pool::{JobId, WorkerId};
use crate::process::sys::Pid;
use crate::supervisor::event::RunId;

/// A worker or program.
pub(in crate::supervisor) type Owner = (PoolId, WorkerId);

/// What an owner is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Occupation {
    /// Nothing, or it is gone.
    None,
    /// A worker executes one task, since this time after boot at the earliest.
    Task { since: Duration },
    /// A process executes the tasks of several workers.
    SeveralTasks,
    /// A program runs.
    Program,
}

/// The processes of a worker, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::supervisor) struct WorkerPids {
    /// The worker itself.
    pub(in crate::supervisor) worker: Option<Pid>,
    /// The launcher in front of it.
    pub(in crate::supervisor) launcher: Option<Pid>,
}

/// What the process tree asks about workers, programs and their tasks.
pub(in crate::supervisor) trait Owners {
    /// Whether there is such a pool: owners are also read from the environment of processes.
    fn has_pool(&self, pool: PoolId) -> bool;
    /// The worker with this process, which need not be a child of the supervisor: it may be behind a launcher.
    fn worker_with_pid(&self, pid: Pid) -> Option<Owner>;
    /// The processes of a worker.
    fn pids(&self, worker: Owner) -> WorkerPids;
    /// What it is doing.
    fn occupation(&self, owner: Owner) -> Occupation;
    /// The task that it executes, if it is one.
    fn task(&self, owner: Owner) -> Option<(RunId, ActorId)>;
    /// The one job that a worker has. If it has prefilled jobs too, the job whose id ends with these bytes.
    fn job(&self, worker: Owner, id_ends_with: u16) -> Option<JobId>;
    /// Whether a worker has this job.
    fn has_job(&self, worker: Owner, job: JobId) -> bool;
    /// The task that a job is.
    fn task_of_job(&self, job: JobId) -> Option<(RunId, ActorId)>;
    /// The actor whose task a worker has finished last.
    fn last_actor(&self, worker: Owner) -> Option<ActorId>;
    /// Whether any task is queued or running.
    fn any_task(&self) -> bool;
}
