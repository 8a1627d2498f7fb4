//! What the process tree is told about workers, programs and their tasks.

use super::event::RunId;
use super::processes::{Occupation, Owner, Owners, WorkerPids};
use super::programs::Programs;
use super::runs::Jobs;
use super::workers::{WorkerProcess, Workers};
use crate::graph::{ActorId, PoolId};
use crate::pool::JobId;
use crate::process::sys::Pid;

/// Workers and programs, with the jobs that they work on.
pub(super) struct PoolOwners<'a> {
    workers: &'a Workers,
    programs: &'a Programs,
    jobs: &'a Jobs,
}

impl<'a> PoolOwners<'a> {
    pub(super) fn new(workers: &'a Workers, programs: &'a Programs, jobs: &'a Jobs) -> Self {
        PoolOwners { workers, programs, jobs }
    }
}

impl Owners for PoolOwners<'_> {
    fn has_pool(&self, pool: PoolId) -> bool {
        self.workers.has_pool(pool)
    }

    fn worker_with_pid(&self, pid: Pid) -> Option<Owner> {
        let is_its = |process: &WorkerProcess| process.process.as_ref().is_some_and(|(its, _)| *its == pid);
        self.workers.all().find(|(_, process)| is_its(process)).map(|(worker, _)| worker)
    }

    fn pids(&self, owner: Owner) -> WorkerPids {
        let Some(process) = self.workers.get(owner) else { return WorkerPids::default() };
        let pid = |process: &Option<(Pid, _)>| process.as_ref().map(|(pid, _)| *pid);
        WorkerPids { worker: pid(&process.process), launcher: pid(&process.launcher) }
    }

    fn occupation(&self, owner: Owner) -> Occupation {
        match self.workers.get(owner) {
            Some(process) if process.state.is_idle() => Occupation::None,
            Some(process) if process.state.is_shared() => Occupation::SeveralTasks,
            Some(process) => match process.state.only_job() {
                Some(job) => Occupation::Task { since: job.since },
                None => Occupation::None,
            },
            None if self.programs.get(owner).is_some() => Occupation::Program,
            None => Occupation::None,
        }
    }

    fn task(&self, owner: Owner) -> Option<(RunId, ActorId)> {
        match self.workers.get(owner) {
            Some(process) => self.task_of_job(process.state.only_job()?.job),
            None => self.programs.get(owner).map(|program| program.task),
        }
    }

    fn job(&self, owner: Owner, id_ends_with: u16) -> Option<JobId> {
        self.workers.get(owner)?.state.job_ending_with(id_ends_with)
    }

    fn has_job(&self, owner: Owner, job: JobId) -> bool {
        self.workers.get(owner).is_some_and(|process| process.state.has(job))
    }

    fn task_of_job(&self, job: JobId) -> Option<(RunId, ActorId)> {
        self.jobs.task_of(job)
    }

    fn last_actor(&self, owner: Owner) -> Option<ActorId> {
        self.workers.get(owner)?.last_actor
    }

    fn any_task(&self) -> bool {
        self.jobs.any_task()
    }
}
