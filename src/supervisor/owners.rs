//! What the process tree is told about workers, programs and their tasks.

use rustc_hash::FxHashMap;

use super::PoolState;
use super::event::RunId;
use super::jobs::Job;
use super::processes::{Occupation, Owner, Owners, WorkerPids};
use crate::graph::{ActorId, PoolId, Workflow};
use crate::pool::JobId;
use crate::process::sys::Pid;

/// The pools, with the jobs that they work on.
pub(super) struct PoolOwners<'a> {
    workflow: &'a Workflow,
    pools: &'a [PoolState],
    jobs: &'a FxHashMap<JobId, Job>,
}

impl<'a> PoolOwners<'a> {
    pub(super) fn new(workflow: &'a Workflow, pools: &'a [PoolState], jobs: &'a FxHashMap<JobId, Job>) -> Self {
        PoolOwners { workflow, pools, jobs }
    }
}

impl Owners for PoolOwners<'_> {
    fn has_pool(&self, pool: PoolId) -> bool {
        pool.index() < self.pools.len()
    }

    fn worker_with_pid(&self, pid: Pid) -> Option<Owner> {
        self.pools.iter().enumerate().find_map(|(index, state)| {
            let found =
                state.workers.iter().find(|(_, process)| process.process.as_ref().is_some_and(|it| it.0 == pid));
            found.map(|(worker, _)| (PoolId::from(index), *worker))
        })
    }

    fn pids(&self, (pool, worker): Owner) -> WorkerPids {
        let Some(process) = self.pools[pool.index()].workers.get(&worker) else { return WorkerPids::default() };
        let pid = |process: &Option<(Pid, _)>| process.as_ref().map(|(pid, _)| *pid);
        WorkerPids { worker: pid(&process.process), launcher: pid(&process.launcher) }
    }

    fn occupation(&self, (pool, worker): Owner) -> Occupation {
        let state = &self.pools[pool.index()];
        match state.workers.get(&worker) {
            Some(process) if process.state.is_idle() => Occupation::None,
            Some(_) if self.workflow.pool(pool).kind.shares_process() => Occupation::SeveralTasks,
            Some(process) => match process.state.only_job() {
                Some(job) => Occupation::Task { since: job.since },
                None => Occupation::None,
            },
            None if state.programs.contains_key(&worker) => Occupation::Program,
            None => Occupation::None,
        }
    }

    fn task(&self, (pool, worker): Owner) -> Option<(RunId, ActorId)> {
        let state = &self.pools[pool.index()];
        match state.workers.get(&worker) {
            Some(process) => self.task_of_job(process.state.only_job()?.job),
            None => state.programs.get(&worker).map(|program| program.task),
        }
    }

    fn job(&self, (pool, worker): Owner, id_ends_with: u16) -> Option<JobId> {
        self.pools[pool.index()].workers.get(&worker)?.state.job_ending_with(id_ends_with)
    }

    fn has_job(&self, (pool, worker): Owner, job: JobId) -> bool {
        self.pools[pool.index()].workers.get(&worker).is_some_and(|process| process.state.has(job))
    }

    fn task_of_job(&self, job: JobId) -> Option<(RunId, ActorId)> {
        match self.jobs.get(&job)? {
            Job::Task { run, actor, .. } => Some((*run, *actor)),
            Job::Describe { .. } => None,
        }
    }

    fn last_actor(&self, (pool, worker): Owner) -> Option<ActorId> {
        self.pools[pool.index()].workers.get(&worker)?.last_actor
    }

    fn any_task(&self) -> bool {
        self.jobs.values().any(|job| matches!(job, Job::Task { .. }))
    }
}
