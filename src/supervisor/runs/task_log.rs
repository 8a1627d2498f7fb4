//! The task log: what tasks do, as the history records it. It costs nothing while it is off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::{Job, Jobs};
use super::record::TaskRecord;
use crate::accounting::Usage;
use crate::engine::{Failure, FailureKind, TaskId};
use crate::graph::{ActorId, Workflow};
use crate::history::{Attempt, End, Figures, Recorded, TaskNews};
use crate::payload::{ErrorClass, Payload, PythonError};
use crate::pool::JobId;
use crate::process::sys::Pid;
use crate::supervisor::event::RunId;

/// The start of a task is recorded when it has run for about this long. For a shorter task, the record of its end says all.
const RECORDED_AFTER: Duration = Duration::from_millis(50);

/// Where tasks are recorded.
pub(super) struct TaskLog {
    news: TaskNews,
    /// Whether runs may be resumed from the results of their tasks.
    keeps_results: bool,
    /// When the starts that were not recorded yet are.
    record_at: Option<Instant>,
}

/// A task whose job has ended, or was withdrawn.
#[derive(Debug)]
pub(in crate::supervisor) struct FinishedTask {
    pub(in crate::supervisor) job: JobId,
    pub(in crate::supervisor) run: RunId,
    pub(in crate::supervisor) task: TaskId,
    pub(in crate::supervisor) actor: ActorId,
    pub(in crate::supervisor) payload: Payload,
    pub(in crate::supervisor) record: TaskRecord,
}

impl TaskLog {
    pub(super) fn new(news: TaskNews, keeps_results: bool) -> Self {
        TaskLog { news, keeps_results, record_at: None }
    }

    /// A worker or program executes a task.
    pub(super) fn on_started(&mut self, record: &mut TaskRecord, started_at: u64, process: Option<Pid>, now: Instant) {
        record.started_at = Some(started_at);
        record.worker = process.map(Pid::as_raw);
        self.record_at.get_or_insert(now + RECORDED_AFTER);
    }

    /// When [`TaskLog::on_time`] is to be called.
    pub(super) fn next_time(&self) -> Option<Instant> {
        self.record_at
    }

    /// Records the starts of the tasks that still run.
    pub(super) fn on_time(&mut self, now: Instant, jobs: &mut Jobs, workflow: &Arc<Workflow>) {
        if self.record_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        let mut started = Vec::new();
        for (id, job) in jobs.iter_mut() {
            if let Job::Task { run, task, actor, payload, record, .. } = job
                && record.started_at.is_some()
                && !std::mem::replace(&mut record.recorded, true)
            {
                started.push(attempt(workflow, id, (*run, *task, *actor), *record, payload));
            }
        }
        // In the order in which they have started.
        started.sort_unstable_by_key(|attempt| attempt.job);
        started.into_iter().for_each(|attempt| self.news.started(attempt));
    }

    /// What is recorded of a result.
    pub(super) fn recorded(&self, result: &Payload) -> Recorded {
        if self.keeps_results { Recorded::exactly(result) } else { Recorded::of(result) }
    }

    /// A task has ended, after so many others of its run.
    pub(super) fn on_ended(
        &self,
        task: &FinishedTask,
        outcome: Result<Recorded, Box<Failure>>,
        (at, position): (u64, u64),
        usage: Option<&Usage>,
        workflow: &Arc<Workflow>,
    ) {
        let position = self.keeps_results.then_some(position);
        let end = End { at, outcome, position, figures: usage.map(Figures::from).unwrap_or_default() };
        self.news.ended(task.attempt(workflow), end);
    }

    /// A task was withdrawn before anything executed it.
    pub(super) fn on_withdrawn(&self, task: &FinishedTask, at: u64, workflow: &Arc<Workflow>) {
        let error = PythonError::new(ErrorClass::WorkflowStopped, "the run was stopped before the task could start");
        let outcome = Err(Box::new(Failure { kind: FailureKind::Stopped, error }));
        let end = End { at, outcome, position: None, figures: Figures::default() };
        self.news.ended(task.attempt(workflow), end);
    }
}

impl FinishedTask {
    fn attempt(&self, workflow: &Arc<Workflow>) -> Attempt {
        attempt(workflow, self.job, (self.run, self.task, self.actor), self.record, &self.payload)
    }
}

fn attempt(
    workflow: &Arc<Workflow>,
    job: JobId,
    (run, task, actor): (RunId, TaskId, ActorId),
    record: TaskRecord,
    payload: &Payload,
) -> Attempt {
    Attempt {
        job: job.0,
        run: run.0,
        number: task.0,
        attempt: record.attempt,
        workflow: Arc::clone(workflow),
        actor,
        queued_at: record.queued_at,
        started_at: record.started_at,
        worker: record.worker,
        inputs: Recorded::of(payload),
    }
}
