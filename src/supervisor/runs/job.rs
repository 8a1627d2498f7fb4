//! Jobs: what the pools work on, and who wants their end.

use rustc_hash::FxHashMap;

use super::record::TaskRecord;
use crate::engine::{Failure, FailureKind, Outcome, TaskId};
use crate::graph::ActorId;
use crate::payload::{ErrorClass, JsonObject, Payload, PythonError};
use crate::pool::JobId;
use crate::supervisor::event::RunId;

/// A job, with who wants it: a run, or whoever waits for a payload that only Python can write as JSON.
#[derive(Debug)]
pub(in crate::supervisor) enum Job {
    Task {
        run: RunId,
        task: TaskId,
        actor: ActorId,
        payload: Payload,
        /// What its program reads on standard input.
        stdin: Option<String>,
        /// What the task log says of it.
        record: TaskRecord,
    },
    Describe {
        payload: Payload,
        then: AfterDescribing,
    },
}

/// Who waits for the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum AfterDescribing {
    /// The caller of [`Supervisor::describe`](crate::supervisor::Supervisor::describe).
    Tell,
    /// The caller of [`Supervisor::describe_run`](crate::supervisor::Supervisor::describe_run).
    TellOfRun(RunId),
    /// A program that reads it on standard input: its job is given to the pool then.
    Submit(JobId),
}

/// How a job ended.
#[derive(Debug)]
pub(in crate::supervisor) enum JobEnd {
    /// In one of the ways in which a task ends.
    Outcome(Outcome),
    /// With a payload as JSON.
    Json(JsonObject),
}

impl From<Outcome> for JobEnd {
    fn from(outcome: Outcome) -> Self {
        JobEnd::Outcome(outcome)
    }
}

impl From<JsonObject> for JobEnd {
    fn from(json: JsonObject) -> Self {
        JobEnd::Json(json)
    }
}

/// The outcome of a task that failed for a reason that the supervisor knows.
pub(in crate::supervisor) fn failed(kind: FailureKind, class: ErrorClass, message: String) -> Outcome {
    Outcome::Failed(Failure { kind, error: PythonError::new(class, message) })
}

/// The jobs that have not ended.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Jobs {
    known: FxHashMap<JobId, Job>,
    next: u64,
}

impl Jobs {
    pub(in crate::supervisor) fn add(&mut self, job: Job) -> JobId {
        let id = JobId(self.next);
        self.next += 1;
        self.known.insert(id, job);
        id
    }

    pub(in crate::supervisor) fn get(&self, job: &JobId) -> Option<&Job> {
        self.known.get(job)
    }

    pub(in crate::supervisor) fn get_mut(&mut self, job: &JobId) -> Option<&mut Job> {
        self.known.get_mut(job)
    }

    /// The job, which has ended or was withdrawn.
    pub(in crate::supervisor) fn take(&mut self, job: JobId) -> Option<Job> {
        self.known.remove(&job)
    }

    pub(in crate::supervisor) fn contains_key(&self, job: &JobId) -> bool {
        self.known.contains_key(job)
    }

    pub(in crate::supervisor) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(in crate::supervisor) fn len(&self) -> usize {
        self.known.len()
    }

    pub(in crate::supervisor) fn iter(&self) -> impl Iterator<Item = (JobId, &Job)> {
        self.known.iter().map(|(id, job)| (*id, job))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (JobId, &mut Job)> {
        self.known.iter_mut().map(|(id, job)| (*id, job))
    }

    /// The run and the actor of a task.
    pub(in crate::supervisor) fn task_of(&self, job: JobId) -> Option<(RunId, ActorId)> {
        match self.known.get(&job)? {
            Job::Task { run, actor, .. } => Some((*run, *actor)),
            Job::Describe { .. } => None,
        }
    }

    /// Whether any task is queued or running.
    pub(in crate::supervisor) fn any_task(&self) -> bool {
        self.known.values().any(|job| matches!(job, Job::Task { .. }))
    }

    /// The descriptions that callers of the supervisor wait for.
    pub(in crate::supervisor) fn awaited_descriptions(&self) -> Vec<JobId> {
        let is_awaited = |job: &Job| {
            matches!(job, Job::Describe { then: AfterDescribing::Tell | AfterDescribing::TellOfRun(_), .. })
        };
        self.iter().filter(|(_, job)| is_awaited(job)).map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(then: AfterDescribing) -> Job {
        Job::Describe { payload: Payload::new(), then }
    }

    fn task(actor: usize) -> Job {
        let (run, task, actor) = (RunId(3), TaskId(9), ActorId::from(actor));
        Job::Task { run, task, actor, payload: Payload::new(), stdin: None, record: TaskRecord::default() }
    }

    #[test]
    fn a_job_ends_once_and_its_id_is_not_used_again() {
        let mut jobs = Jobs::default();
        let first = jobs.add(task(1));
        assert_eq!(jobs.task_of(first), Some((RunId(3), ActorId::from(1))));
        assert!(jobs.take(first).is_some() && jobs.take(first).is_none() && jobs.is_empty());
        assert_ne!(jobs.add(task(2)), first);
    }

    #[test]
    fn a_description_is_a_job_and_no_task() {
        let mut jobs = Jobs::default();
        let waits = jobs.add(describe(AfterDescribing::TellOfRun(RunId(1))));
        let program = jobs.add(task(1));
        assert!(jobs.any_task());
        jobs.take(program);
        jobs.add(describe(AfterDescribing::Submit(program)));
        assert!(!jobs.any_task() && jobs.len() == 2 && jobs.task_of(waits).is_none());
        assert_eq!(jobs.awaited_descriptions(), [waits], "nobody but the program waits for its input");
    }
}
