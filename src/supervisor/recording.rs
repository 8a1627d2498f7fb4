//! What tasks do, as it is told to the history. Off, it costs nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::jobs::Job;
use super::runs::ActiveRun;
use super::{RunId, Supervisor, SupervisorEvent};
use crate::engine::{Effect, Failure, FailureKind, Outcome, Run, TaskId};
use crate::graph::{ActorId, PoolId};
use crate::history::{Attempt, End, Figures, KeptResult, Recorded, TaskNews, now};
use crate::payload::{ErrorClass, Payload, PythonError};
use crate::pool::{JobId, WorkerId};

/// That a task has started is told when it has run for about so long: of a shorter one, the news of its end say all.
const TOLD_AFTER: Duration = Duration::from_millis(50);

/// Where tasks are recorded.
pub(super) struct Recording {
    news: TaskNews,
    /// Whether runs may go on from the results of their tasks.
    keeps_results: bool,
    /// When the starts that were not told yet are.
    tell_at: Option<Instant>,
}

/// What is recorded of a task while it is under way: nothing, where there is no record.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TaskRecord {
    attempt: u32,
    /// Microseconds since the epoch.
    queued_at: u64,
    started_at: Option<u64>,
    worker: Option<i32>,
    /// Whether it was told that it has started.
    told: bool,
}

impl TaskRecord {
    /// What was about to work on it has not begun.
    pub(super) fn has_not_started(&mut self) {
        (self.started_at, self.worker, self.told) = (None, None, false);
    }
}

impl Supervisor {
    /// From now on, tasks are recorded there.
    pub fn record_tasks(&mut self, news: TaskNews, keeps_results: bool) {
        self.recording = Some(Recording { news, keeps_results, tell_at: None });
        self.resources.keep_usage_of_tasks();
    }

    /// A task has got its inputs.
    pub(super) fn new_record(&self, run: RunId, task: TaskId) -> TaskRecord {
        if self.recording.is_none() {
            return TaskRecord::default();
        }
        let run = self.runs.get(&run);
        let attempt = run.and_then(|run| run.attempts.get(&task)).copied().unwrap_or_default();
        TaskRecord { attempt, queued_at: time_of(run), ..TaskRecord::default() }
    }

    /// A worker or program works on it.
    pub(super) fn record_start(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        let Some(recording) = &mut self.recording else { return };
        let process = match self.programs.get((pool, worker)) {
            Some(program) => Some(program.process.0),
            None => self.workers.get((pool, worker)).and_then(|it| it.process.as_ref()).map(|(pid, _)| *pid),
        };
        let Some(Job::Task { run, record, .. }) = self.jobs.get_mut(&job) else { return };
        record.started_at = Some(time_of(self.runs.get(run)));
        record.worker = process.map(|pid| pid.as_raw());
        recording.tell_at.get_or_insert_with(|| Instant::now() + TOLD_AFTER);
    }

    /// When there is something to tell, if nothing happens before.
    pub(super) fn next_recording_time(&self) -> Option<Instant> {
        self.recording.as_ref()?.tell_at
    }

    /// Tells which tasks have started, if they still run.
    pub(super) fn recording_on_time(&mut self, now: Instant) {
        let Some(recording) = &mut self.recording else { return };
        if recording.tell_at.is_none_or(|at| at > now) {
            return;
        }
        recording.tell_at = None;
        let mut started = Vec::new();
        for (id, job) in &mut self.jobs {
            if let Job::Task { run, task, actor, payload, record, .. } = job
                && record.started_at.is_some()
                && !std::mem::replace(&mut record.told, true)
            {
                started.push(attempt(&self.workflow, *id, (*run, *task, *actor), *record, payload));
            }
        }
        // In the order in which they have started.
        started.sort_unstable_by_key(|attempt| attempt.job);
        started.into_iter().for_each(|attempt| recording.news.started(attempt));
    }

    /// It has ended; the outcome as it counts.
    pub(super) fn record_end(
        &mut self,
        job: JobId,
        whose: (RunId, TaskId, ActorId),
        (payload, record): (Payload, TaskRecord),
        outcome: Outcome,
    ) -> Outcome {
        let usage = self.resources.take_usage(job);
        let Some(recording) = &self.recording else { return outcome };
        let (run, task, actor) = whose;
        let Some(active) = self.runs.get_mut(&run) else { return outcome };
        let position = active.ends;
        active.ends += 1;
        let (outcome, recorded) = match outcome {
            Outcome::Returned(result) => {
                active.attempts.remove(&task);
                let recorded =
                    Ok(if recording.keeps_results { Recorded::exactly(&result) } else { Recorded::of(&result) });
                (Outcome::Returned(result), recorded)
            }
            Outcome::Failed(failure) => {
                let failure = active.engine.classify(task, failure);
                if self.workflow.actor(actor).retry.times > 0 {
                    *active.attempts.entry(task).or_default() += 1;
                }
                (Outcome::Failed(failure.clone()), Err(Box::new(failure)))
            }
        };
        let end = End {
            at: active.clock.now(),
            outcome: recorded,
            position: recording.keeps_results.then_some(position),
            figures: usage.as_ref().map(Figures::from).unwrap_or_default(),
        };
        recording.news.ended(attempt(&self.workflow, job, whose, record, &payload), end);
        outcome
    }

    /// It was taken back before anything worked on it.
    pub(super) fn record_withdrawal(
        &mut self,
        job: JobId,
        whose: (RunId, TaskId, ActorId),
        (payload, record): (Payload, TaskRecord),
    ) {
        let Some(recording) = &self.recording else { return };
        let error = PythonError::new(ErrorClass::WorkflowStopped, "the run was stopped before the task could start");
        let outcome = Err(Box::new(Failure { kind: FailureKind::Stopped, error }));
        let end = End { at: time_of(self.runs.get(&whose.0)), outcome, position: None, figures: Figures::default() };
        recording.news.ended(attempt(&self.workflow, job, whose, record, &payload), end);
    }

    /// What a run has used, and its actors by their paths, as the history has it; none where no accounts are kept.
    pub fn figures(&self, run: RunId) -> Option<(Figures, Vec<(String, Figures)>)> {
        let account = self.resources.account(run)?;
        let actors = account.actors.iter().filter_map(|(id, its)| {
            let actor = self.workflow.actors.get(id.index())?;
            Some((actor.path.clone(), Figures::from(&its.totals)))
        });
        Some((Figures::from(&account.total), actors.collect()))
    }

    /// Goes on with a run of another process from what its tasks had returned, oldest first. A run that cannot have come there
    /// in this workflow is not begun: why.
    pub fn resume_run_as(
        &mut self,
        id: RunId,
        inputs: Payload,
        timeout: Option<Duration>,
        results: Vec<KeptResult>,
    ) -> Result<(), String> {
        let now = Instant::now();
        let mut engine = Run::new(Arc::clone(&self.workflow), timeout);
        let mut effects = Vec::new();
        engine.start(inputs, now, &mut effects);
        let mut fits = engine.catch_up(&mut effects);
        let ends = results.len() as u64;
        let mut attempts: HashMap<TaskId, u32> = HashMap::new();
        for KeptResult { number, path, outcome } in results {
            let (task, actor) = (TaskId(number), self.workflow.actors.iter().position(|actor| actor.path == path));
            let outcome = match outcome {
                Ok(result) => {
                    attempts.remove(&task);
                    Outcome::Returned(result)
                }
                Err(failure) => {
                    *attempts.entry(task).or_default() += 1;
                    Outcome::Failed(failure)
                }
            };
            fits &= actor.is_some_and(|at| engine.replay(task, ActorId::from(at), outcome, now, &mut effects));
            if !fits {
                return Err(format!("what was recorded of it does not fit the workflow: task {number} of {path}"));
            }
        }
        let going_on: HashMap<TaskId, bool> = engine.unfinished().map(|(task, _, queued)| (task, queued)).collect();
        for (_, actor, _) in engine.unfinished() {
            self.reports.push(SupervisorEvent::ActorStarted(id, actor));
        }
        attempts.retain(|task, _| going_on.contains_key(task));
        let mut starts = HashMap::new();
        let mut end = None;
        for effect in effects {
            match effect {
                Effect::Start { task, .. } if going_on.get(&task) == Some(&true) => _ = starts.insert(task, effect),
                Effect::Ended { .. } => end = Some(effect),
                // It was told when it happened.
                _ => {}
            }
        }
        let mut starts: Vec<_> = starts.into_iter().collect();
        starts.sort_unstable_by_key(|(task, _)| *task);
        self.runs.insert(id, ActiveRun { attempts, ends, ..ActiveRun::new(engine) });
        let effects = starts.into_iter().map(|(_, effect)| effect).chain(end);
        self.todo.extend(effects.map(|effect| super::Todo::Engine(id, effect)));
        Ok(())
    }
}

/// The time, as it counts for a run.
fn time_of(run: Option<&ActiveRun>) -> u64 {
    run.map_or_else(now, |run| run.clock.now())
}

fn attempt(
    workflow: &Arc<crate::graph::Workflow>,
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
