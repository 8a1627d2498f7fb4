//! Runs: the executions of the workflow that have not ended, and what is recorded of their tasks.
//!
//! What a run wants is returned as effects of the engine, for the supervisor to carry out.

pub(super) mod failure_text;
mod job;
mod record;
mod task_log;

pub(super) use job::{AfterDescribing, Job, JobEnd, Jobs, failed};
pub(super) use task_log::FinishedTask;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::event::RunId;
use crate::accounting::Usage;
use crate::engine::{Effect, Outcome, Run, TaskId};
use crate::graph::{ActorId, Workflow};
use crate::history::{KeptResult, RunClock, TaskNews, now as time_of_day};
use crate::payload::Payload;
use crate::pool::JobId;
use crate::process::sys::Pid;

use record::TaskRecord;
use task_log::TaskLog;

/// The runs that have not ended.
#[derive(Default)]
pub(super) struct Runs {
    active: BTreeMap<RunId, ActiveRun>,
    next: u64,
    /// None while tasks are not recorded.
    log: Option<TaskLog>,
}

/// A run that has not ended.
struct ActiveRun {
    engine: Run,
    /// The jobs of its tasks that are queued or running.
    jobs: FxHashMap<TaskId, JobId>,
    /// The number of the next attempt of tasks that have failed and are tried again, while tasks are recorded.
    attempts: HashMap<TaskId, u32>,
    /// How many attempts have ended, while tasks are recorded.
    ends: u64,
    /// The clock of its records.
    clock: RunClock,
}

/// A run that goes on from what another process has recorded.
#[derive(Debug)]
#[must_use]
pub(super) struct Resumed {
    /// Its next effects.
    pub(super) effects: Vec<Effect>,
    /// The actors whose triggers are under way.
    pub(super) unfinished: Vec<ActorId>,
}

impl ActiveRun {
    fn new(engine: Run) -> Self {
        ActiveRun { engine, jobs: FxHashMap::default(), attempts: HashMap::new(), ends: 0, clock: RunClock::start() }
    }
}

impl Runs {
    /// An id for a run that may be started later.
    pub(super) fn new_id(&mut self) -> RunId {
        let id = RunId(self.next);
        self.next += 1;
        id
    }

    /// Starts a run.
    #[must_use]
    pub(super) fn start(
        &mut self,
        id: RunId,
        workflow: &Arc<Workflow>,
        inputs: Payload,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Vec<Effect> {
        let engine = Run::new(Arc::clone(workflow), timeout);
        self.active.insert(id, ActiveRun::new(engine));
        self.tell(id, |engine, effects| engine.start(inputs, now, effects))
    }

    /// Tells a run something. A run that has ended is told nothing.
    #[must_use]
    pub(super) fn tell(&mut self, id: RunId, tell: impl FnOnce(&mut Run, &mut Vec<Effect>)) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(run) = self.active.get_mut(&id) {
            tell(&mut run.engine, &mut effects);
        }
        effects
    }

    /// The runs that have not ended, oldest first.
    pub(super) fn ids(&self) -> Vec<RunId> {
        self.active.keys().copied().collect()
    }

    pub(super) fn is_active(&self, id: RunId) -> bool {
        self.active.contains_key(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// A run has ended.
    pub(super) fn remove(&mut self, id: RunId) {
        self.active.remove(&id);
    }

    /// Whether the timeout of a run has passed that was not acted on yet.
    pub(super) fn is_any_overdue(&self, now: Instant) -> bool {
        self.active.values().any(|run| run.engine.is_overdue(now))
    }

    /// What is due: timeouts and retries.
    #[must_use]
    pub(super) fn on_time(&mut self, now: Instant) -> Vec<(RunId, Effect)> {
        let mut due = Vec::new();
        for (id, run) in &mut self.active {
            if run.engine.next_time().is_some_and(|at| at <= now) {
                let mut effects = Vec::new();
                run.engine.on_time(now, &mut effects);
                due.extend(effects.into_iter().map(|effect| (*id, effect)));
            }
        }
        due
    }

    /// When [`Runs::on_time`] or [`Runs::log_on_time`] is to be called.
    pub(super) fn next_time(&self) -> Option<Instant> {
        let engines = self.active.values().filter_map(|run| run.engine.next_time());
        engines.chain(self.log.as_ref().and_then(TaskLog::next_time)).min()
    }

    /// The job of a task that is queued or running.
    pub(super) fn job_of(&self, run: RunId, task: TaskId) -> Option<JobId> {
        self.active.get(&run)?.jobs.get(&task).copied()
    }

    /// The jobs of the tasks of a run.
    pub(super) fn jobs_of(&self, run: RunId) -> Vec<JobId> {
        self.active.get(&run).map(|run| run.jobs.values().copied().collect()).unwrap_or_default()
    }

    /// The jobs of the tasks of all runs.
    pub(super) fn all_jobs(&self) -> Vec<JobId> {
        self.active.values().flat_map(|run| run.jobs.values().copied()).collect()
    }

    /// How many tasks are queued or running.
    pub(super) fn task_count(&self) -> usize {
        self.active.values().map(|run| run.jobs.len()).sum()
    }

    /// A task was made a job.
    pub(super) fn add_job(&mut self, run: RunId, task: TaskId, job: JobId) {
        if let Some(active) = self.active.get_mut(&run) {
            active.jobs.insert(task, job);
        }
    }

    /// The job of a task, which has none from now on.
    pub(super) fn take_job(&mut self, run: RunId, task: TaskId) -> Option<JobId> {
        self.active.get_mut(&run)?.jobs.remove(&task)
    }

    /// Records tasks from now on.
    pub(super) fn record_tasks(&mut self, news: TaskNews, keeps_results: bool) {
        self.log = Some(TaskLog::new(news, keeps_results));
    }

    /// The record of a task that has got its inputs.
    pub(super) fn new_record(&self, run: RunId, task: TaskId) -> TaskRecord {
        if self.log.is_none() {
            return TaskRecord::default();
        }
        let active = self.active.get(&run);
        let attempt = active.and_then(|run| run.attempts.get(&task)).copied().unwrap_or_default();
        TaskRecord::new(attempt, time_of(active))
    }

    /// A worker or program executes a job. `process` finds its process, if that is recorded.
    pub(super) fn on_job_started(&mut self, job: Option<&mut Job>, process: impl FnOnce() -> Option<Pid>) {
        if let (Some(log), Some(Job::Task { run, record, .. })) = (&mut self.log, job) {
            log.on_started(record, time_of(self.active.get(run)), process(), Instant::now());
        }
    }

    /// Records the starts of tasks that have run for a while.
    pub(super) fn log_on_time(&mut self, now: Instant, jobs: &mut Jobs, workflow: &Arc<Workflow>) {
        if let Some(log) = &mut self.log {
            log.on_time(now, jobs, workflow);
        }
    }

    /// A task has ended: it is recorded, and its run learns it.
    #[must_use]
    pub(super) fn on_task_ended(
        &mut self,
        finished: &FinishedTask,
        outcome: Outcome,
        usage: Option<Usage>,
        workflow: &Arc<Workflow>,
    ) -> Vec<Effect> {
        let Some(active) = self.active.get_mut(&finished.run) else { return Vec::new() };
        let outcome = match &self.log {
            Some(log) => active.record_end(log, finished, outcome, usage, workflow),
            None => outcome,
        };
        active.jobs.remove(&finished.task);
        let mut effects = Vec::new();
        active.engine.on_task_ended(finished.task, outcome, Instant::now(), &mut effects);
        effects
    }

    /// A task was withdrawn before anything executed it.
    pub(super) fn on_task_withdrawn(&self, finished: &FinishedTask, workflow: &Arc<Workflow>) {
        if let Some(log) = &self.log {
            log.on_withdrawn(finished, time_of(self.active.get(&finished.run)), workflow);
        }
    }

    /// Resumes a run of another process from what its tasks had returned, oldest first.
    ///
    /// # Errors
    /// If the results do not fit the workflow: why. The run is not started then.
    pub(super) fn resume(
        &mut self,
        id: RunId,
        workflow: &Arc<Workflow>,
        inputs: Payload,
        timeout: Option<Duration>,
        results: Vec<KeptResult>,
    ) -> Result<Resumed, String> {
        let now = Instant::now();
        let mut engine = Run::new(Arc::clone(workflow), timeout);
        let mut effects = Vec::new();
        engine.start(inputs, now, &mut effects);
        let mut fits = engine.catch_up(&mut effects);
        let ends = results.len() as u64;
        let mut attempts: HashMap<TaskId, u32> = HashMap::new();
        for KeptResult { number, path, outcome } in results {
            let (task, actor) = (TaskId(number), workflow.actors.iter().position(|actor| actor.path == path));
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
        let queued: HashMap<TaskId, bool> = engine.unfinished().map(|(task, _, queued)| (task, queued)).collect();
        let unfinished = engine.unfinished().map(|(_, actor, _)| actor).collect();
        attempts.retain(|task, _| queued.contains_key(task));
        let mut starts = BTreeMap::new();
        let mut end = None;
        for effect in effects {
            match effect {
                Effect::Start { task, .. } if queued.get(&task) == Some(&true) => _ = starts.insert(task, effect),
                Effect::Ended { .. } => end = Some(effect),
                // It was carried out when it happened.
                _ => {}
            }
        }
        self.active.insert(id, ActiveRun { attempts, ends, ..ActiveRun::new(engine) });
        Ok(Resumed { effects: starts.into_values().chain(end).collect(), unfinished })
    }
}

impl ActiveRun {
    /// Records the end of a task. Returns the outcome as it counts.
    fn record_end(
        &mut self,
        log: &TaskLog,
        finished: &FinishedTask,
        outcome: Outcome,
        usage: Option<Usage>,
        workflow: &Arc<Workflow>,
    ) -> Outcome {
        let (task, position) = (finished.task, self.ends);
        self.ends += 1;
        let (outcome, recorded) = match outcome {
            Outcome::Returned(result) => {
                self.attempts.remove(&task);
                let recorded = Ok(log.recorded(&result));
                (Outcome::Returned(result), recorded)
            }
            Outcome::Failed(failure) => {
                let failure = self.engine.classify(task, failure);
                if workflow.actor(finished.actor).retry.times > 0 {
                    *self.attempts.entry(task).or_default() += 1;
                }
                (Outcome::Failed(failure.clone()), Err(Box::new(failure)))
            }
        };
        log.on_ended(finished, recorded, (self.clock.now(), position), usage.as_ref(), workflow);
        outcome
    }
}

/// The time of day, as it counts for a run.
fn time_of(run: Option<&ActiveRun>) -> u64 {
    run.map_or_else(time_of_day, |run| run.clock.now())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_str;
    use crate::engine::{ActorEnd, FailureKind, Status};
    use crate::payload::{ErrorClass, Plain};

    const WORKFLOW: &str = r#"
links = [{ from = "start", to = "work" }, { from = "work", to = "stop" }]

[actors.work]
kind = "exec"
command = ["true"]
retries = 1
"#;

    fn workflow() -> Arc<Workflow> {
        Arc::new(load_str(WORKFLOW, Path::new("/w.toml")).unwrap().workflow)
    }

    /// The task that a run wants to start, and nothing else but reports.
    fn task(effects: &[Effect]) -> (TaskId, ActorId) {
        let mut starts = effects.iter().filter_map(|effect| match effect {
            Effect::Start { task, actor, .. } => Some((*task, *actor)),
            _ => None,
        });
        let found = starts.next().unwrap();
        assert!(starts.next().is_none(), "nothing else starts");
        found
    }

    fn finished(run: RunId, (task, actor): (TaskId, ActorId), job: JobId) -> FinishedTask {
        FinishedTask { job, run, task, actor, payload: Payload::new(), record: TaskRecord::default() }
    }

    fn result() -> Outcome {
        Outcome::Returned([("x".into(), Plain::Int(1).to_value())].into_iter().collect())
    }

    #[test]
    fn a_run_ends_when_its_last_task_has_ended_and_is_told_nothing_more() {
        let (mut runs, workflow) = (Runs::default(), workflow());
        let id = runs.new_id();
        let started = task(&runs.start(id, &workflow, Payload::new(), None, Instant::now()));
        runs.add_job(id, started.0, JobId(4));
        assert_eq!(
            (runs.job_of(id, started.0), runs.jobs_of(id), runs.task_count()),
            (Some(JobId(4)), vec![JobId(4)], 1)
        );
        let effects = runs.on_task_ended(&finished(id, started, JobId(4)), result(), None, &workflow);
        assert!(effects.iter().any(|it| matches!(it, Effect::ActorFinished(_, ActorEnd::Finished))));
        assert!(matches!(effects.last(), Some(Effect::Ended { status: Status::Finished, output: Some(_) })));
        assert!(runs.all_jobs().is_empty());
        runs.remove(id);
        assert!(runs.is_empty() && !runs.is_active(id));
        assert!(runs.tell(id, |_, _| panic!("the run has ended")).is_empty());
        assert!(runs.on_task_ended(&finished(id, started, JobId(4)), result(), None, &workflow).is_empty());
    }

    #[test]
    fn a_task_that_fails_is_tried_again_as_another_job() {
        let (mut runs, workflow) = (Runs::default(), workflow());
        let id = runs.new_id();
        let started = task(&runs.start(id, &workflow, Payload::new(), None, Instant::now()));
        runs.add_job(id, started.0, JobId(4));
        let failure = || failed(FailureKind::Raised, ErrorClass::ProgramFailed, "no".to_owned());
        let effects = runs.on_task_ended(&finished(id, started, JobId(4)), failure(), None, &workflow);
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Retrying { .. })));
        let retry_at = runs.next_time().unwrap();
        let effects: Vec<_> = runs.on_time(retry_at).into_iter().map(|(_, effect)| effect).collect();
        let again = task(&effects);
        runs.add_job(id, again.0, JobId(5));
        let effects = runs.on_task_ended(&finished(id, again, JobId(5)), failure(), None, &workflow);
        assert!(matches!(effects.last(), Some(Effect::Ended { status: Status::Failed, .. })));
    }

    #[test]
    fn runs_have_effects_and_timeouts_of_their_own() {
        let (mut runs, workflow) = (Runs::default(), workflow());
        let (first, second, now) = (runs.new_id(), runs.new_id(), Instant::now());
        let minute = Duration::from_secs(60);
        let _ = runs.start(first, &workflow, Payload::new(), None, now);
        let _ = runs.start(second, &workflow, Payload::new(), Some(minute), now);
        assert_eq!((runs.ids(), runs.next_time()), (vec![first, second], Some(now + minute)));
        assert!(!runs.is_any_overdue(now) && runs.on_time(now).is_empty());
        assert!(runs.is_any_overdue(now + minute));
        let due = runs.on_time(now + minute);
        assert!(!due.is_empty() && due.iter().all(|(run, _)| *run == second));
    }

    #[test]
    fn a_run_resumes_behind_the_results_of_its_tasks() {
        let (mut runs, workflow) = (Runs::default(), workflow());
        let id = runs.new_id();
        let started = task(&runs.start(id, &workflow, Payload::new(), None, Instant::now()));
        let path = workflow.actor(started.1).path.clone();
        let kept = || KeptResult { number: started.0.0, path: path.clone(), outcome: Ok(Payload::new()) };
        let resumed = Runs::default().resume(id, &workflow, Payload::new(), None, vec![kept()]).unwrap();
        assert!(matches!(resumed.effects[..], [Effect::Ended { .. }]) && resumed.unfinished.is_empty());
        let resumed = Runs::default().resume(id, &workflow, Payload::new(), None, Vec::new()).unwrap();
        assert_eq!((task(&resumed.effects), resumed.unfinished), (started, vec![started.1]));
        let other = KeptResult { path: "/w/other".into(), ..kept() };
        let why = Runs::default().resume(id, &workflow, Payload::new(), None, vec![other]).unwrap_err();
        assert!(why.contains("does not fit the workflow"), "{why}");
    }
}
