//! Jobs: what the pools work on, and whom their end is told to.

use std::time::Instant;

use super::recording::TaskRecord;
use super::resources::{OutOfMemory, Victim};
use super::{RunId, Supervisor, SupervisorEvent};
use crate::engine::{Failure, FailureKind, Outcome, TaskId};
use crate::graph::{ActorId, Kind, PoolId};
use crate::payload::{ErrorClass, JsonObject, Payload, PythonError};
use crate::pool::{JobId, Needs};
use crate::process::sys::Pid;
use crate::worker::fits;

/// A job: a task of a run, or a payload that only Python can write as JSON.
#[derive(Debug)]
pub(super) enum Job {
    Task {
        run: RunId,
        task: TaskId,
        actor: ActorId,
        payload: Payload,
        /// What its program reads on standard input.
        stdin: Option<String>,
        /// What is recorded of it.
        record: TaskRecord,
    },
    Describe {
        payload: Payload,
        then: AfterDescribing,
    },
}

/// Who waits for the JSON.
#[derive(Debug, Clone, Copy)]
pub(super) enum AfterDescribing {
    /// The caller of [`Supervisor::describe`].
    Tell,
    /// The caller of [`Supervisor::describe_run`].
    TellOfRun(RunId),
    /// A program that reads it on standard input; its job is given to the pool then.
    Submit(JobId),
}

impl Supervisor {
    /// Writes a payload as JSON; [`SupervisorEvent::Described`] brings it. A worker is asked where JSON has no form for a value.
    pub fn describe(&mut self, payload: &Payload) {
        self.describe_then(payload, AfterDescribing::Tell);
    }

    /// The same for what a run gave; [`SupervisorEvent::RunDescribed`] brings it.
    pub fn describe_run(&mut self, run: RunId, payload: &Payload) {
        self.describe_then(payload, AfterDescribing::TellOfRun(run));
    }

    pub(super) fn describe_then(&mut self, payload: &Payload, then: AfterDescribing) {
        match JsonObject::of(payload) {
            Some(json) => self.described(json, then),
            None if fits(payload).is_err() => self.described(JsonObject::without_python(payload), then),
            None => {
                let job = self.new_job(Job::Describe { payload: payload.clone(), then });
                self.tell_pool(self.python_pool(), |pool, effects| pool.submit(job, Needs::IdleWorker, effects));
            }
        }
    }

    /// Writes what callers of [`Supervisor::describe`] and its like wait for at once, with placeholders for what needs Python.
    pub fn hurry_descriptions(&mut self) {
        self.retract_all();
        let waited_for = |job: &Job| {
            matches!(job, Job::Describe { then: AfterDescribing::Tell | AfterDescribing::TellOfRun(_), .. })
        };
        let jobs: Vec<JobId> = self.jobs.iter().filter(|(_, job)| waited_for(job)).map(|(id, _)| *id).collect();
        let pool = self.python_pool();
        for id in jobs {
            // False where a worker is at it: its answer comes too late then.
            self.pools[pool.index()].withdraw(id);
            if let Some(Job::Describe { payload, then }) = self.jobs.remove(&id) {
                self.described(JsonObject::without_python(&payload), then);
            }
        }
    }

    fn described(&mut self, json: JsonObject, then: AfterDescribing) {
        match then {
            AfterDescribing::Tell => self.reports.push(SupervisorEvent::Described(json)),
            AfterDescribing::TellOfRun(run) => self.reports.push(SupervisorEvent::RunDescribed(run, json)),
            AfterDescribing::Submit(job) => self.submit_program(job, Some(json.to_string())),
        }
    }

    /// A pool whose workers know the values: that of a python actor.
    fn python_pool(&self) -> PoolId {
        let python = self.workflow.actors.iter().find(|actor| matches!(actor.kind, Kind::Python(_)));
        python.map_or(PoolId(0), |actor| actor.pool)
    }

    pub(super) fn new_job(&mut self, job: Job) -> JobId {
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.jobs.insert(id, job);
        id
    }

    /// A job ended in one of the ways in which a task ends.
    pub(super) fn job_ended(&mut self, job: JobId, outcome: Outcome) {
        match self.jobs.remove(&job) {
            Some(Job::Task { run, task, actor, payload, record, .. }) => {
                let outcome = self.record_end(job, (run, task, actor), (payload, record), outcome);
                if let Some(active) = self.runs.get_mut(&run) {
                    active.jobs.remove(&task);
                }
                let now = Instant::now();
                self.tell_run(run, |engine, effects| engine.on_task_ended(task, outcome, now, effects));
            }
            // No Python could be asked: the run's result matters more than the look of its values.
            Some(Job::Describe { payload, then }) => self.described(JsonObject::without_python(&payload), then),
            None => {}
        }
    }

    /// A worker has written a payload as JSON.
    pub(super) fn job_described(&mut self, job: JobId, json: JsonObject) {
        if let Some(Job::Describe { then, .. }) = self.jobs.remove(&job) {
            self.described(json, then);
        }
    }

    /// No worker can be started for this job.
    pub(super) fn refuse_job(&mut self, pool: PoolId, job: JobId) {
        let name = &self.workflow.pool(pool).name;
        let why = self.workers.failure(pool);
        let message = format!("cannot start workers of pool {name}: {why}");
        self.not_started.push((job, failed(FailureKind::Lost, ErrorClass::WorkerLost, message)));
    }

    /// The outcome of a job whose process, of this pool, the kernel has killed because of memory.
    pub(super) fn ran_out_of_memory(
        &self,
        (pool, pid): (PoolId, Option<Pid>),
        job: JobId,
        oom: &OutOfMemory,
        kind: FailureKind,
    ) -> Outcome {
        let (run, actor) = self.job_actor(job).unzip();
        let actor = actor.map(|actor| self.workflow.actor(actor).display_name());
        let message = oom.log(Victim { run, actor, pool: &self.workflow.pool(pool).name, pid });
        failed(kind, ErrorClass::OutOfMemory, message)
    }

    /// The actor that a job belongs to, for people.
    pub(super) fn job_actor(&self, job: JobId) -> Option<(RunId, ActorId)> {
        match self.jobs.get(&job)? {
            Job::Task { run, actor, .. } => Some((*run, *actor)),
            Job::Describe { .. } => None,
        }
    }
}

/// The outcome of a task that failed for a reason that is known here.
pub(super) fn failed(kind: FailureKind, class: ErrorClass, message: String) -> Outcome {
    Outcome::Failed(Failure { kind, error: PythonError::new(class, message) })
}
