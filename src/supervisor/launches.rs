//! How programs start and end, and what becomes of their jobs.

use std::time::{Duration, Instant};

use tracing::warn;

use super::Supervisor;
use super::jobs::{Job, failed};
use super::programs::{CannotStart, Task};
use super::workers::System;
use crate::engine::{FailureKind, Outcome};
use crate::graph::{Kind, PoolId};
use crate::payload::ErrorClass;
use crate::pool::{JobId, WorkerId};
use crate::process::Ended;
use crate::process::sys::Signal;

impl Supervisor {
    /// Starts a program in a slot of its pool.
    pub(super) fn launch_program(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        if let Some(Job::Task { run, task, .. }) = self.jobs.get(&job) {
            let (run, task) = (*run, *task);
            self.tell_run(run, |engine, _| engine.on_task_started(task, Instant::now()));
        }
        if let Err(CannotStart { why, short }) = self.try_launch(pool, worker, job) {
            self.resources.on_not_started((pool, worker));
            let waits = self.tell_pool(pool, |pool, effects| {
                let now = Instant::now();
                let waits = short && pool.on_program_not_started(worker, now, effects);
                if !waits {
                    pool.on_worker_ended(worker, now, effects);
                }
                waits
            });
            if waits {
                return self.program_waits(pool, job, &why);
            }
            self.not_started.push((job, failed(FailureKind::Raised, ErrorClass::ProgramFailed, why)));
        } else {
            self.record_start(pool, worker, job);
        }
    }

    fn try_launch(&mut self, pool: PoolId, worker: WorkerId, job: JobId) -> Result<(), CannotStart> {
        let Supervisor { programs, workers, event_loop, processes, resources, jobs, workflow, .. } = self;
        let Some(Job::Task { run, actor, payload, stdin, .. }) = jobs.get(&job) else {
            return Err(CannotStart::because("the task is gone"));
        };
        let Kind::Exec(exec) = &workflow.actor(*actor).kind else {
            return Err(CannotStart::because("the actor starts no program"));
        };
        let task = Task { task: (*run, *actor), exec, payload, stdin: stdin.as_deref() };
        let mut system = System { event_loop, processes, resources };
        programs.start((pool, worker), task, workers, &mut system, workflow)?;
        self.resources.on_program_started((pool, worker), job, task.task);
        Ok(())
    }

    /// A program could not be started because of a shortage. It waits until others have ended.
    fn program_waits(&mut self, pool: PoolId, job: JobId, why: &str) {
        if let Some(Job::Task { run, task, .. }) = self.jobs.get(&job) {
            let (run, task) = (*run, *task);
            self.tell_run(run, |engine, _| engine.on_task_put_back(task));
        }
        if self.pools[pool.index()].failed_launches() == 1 {
            let name = &self.workflow.pool(pool).name;
            warn!("pool {name}: {why}. The program waits for the end of others; pushflow tries again");
        }
    }

    /// The process of a program was reaped.
    pub(super) fn on_program_reaped(&mut self, pool: PoolId, worker: WorkerId, ended: Ended) {
        let id = (pool, worker);
        let reaped = self.programs.on_reaped(id, ended, &mut self.workers.outputs, &mut self.event_loop);
        let Some(program) = reaped else { return };
        self.task_is_over(id, Some(program.actor), true, Duration::ZERO);
        let oom = self.resources.out_of_memory(id, Some(ended));
        let orphan = self.tell_pool(pool, |pool, effects| pool.on_worker_ended(worker, Instant::now(), effects));
        let actor = orphan.and_then(|orphan| self.job_actor(orphan.job)).map(|(_, actor)| actor);
        self.resources.on_gone(id, actor.map(|actor| self.workflow.actor(actor).display_name()));
        let (Some(orphan), Some(actor)) = (orphan, actor) else { return };
        let Kind::Exec(exec) = &self.workflow.actor(actor).kind else { return };
        let pid = program.pid;
        let outcome = if orphan.interrupted && !matches!(ended, Ended::Exited(0)) {
            let message = format!("the program was interrupted: it {ended}");
            failed(FailureKind::Interrupted, ErrorClass::TaskInterrupted, message)
        } else {
            match (&oom, program.outcome(exec)) {
                (Some(oom), Outcome::Failed(_)) => {
                    self.ran_out_of_memory((pool, Some(pid)), orphan.job, oom, FailureKind::Raised)
                }
                (_, outcome) => outcome,
            }
        };
        self.job_ended(orphan.job, outcome);
    }

    /// Signals a program and all below it, deepest first.
    pub(super) fn signal_program(&mut self, pool: PoolId, worker: WorkerId, signal: Signal) {
        if self.programs.get((pool, worker)).is_none() {
            return;
        }
        if signal == Signal::SIGKILL {
            self.resources.kill((pool, worker));
        }
        self.signal_orphans_of(pool, worker, signal);
        if let Some(program) = self.programs.get((pool, worker)) {
            self.processes.signal_tree(&program.process, signal);
        }
    }
}
