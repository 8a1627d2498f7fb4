//! Runs: what the engine asks for, carried out.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tracing::{debug, error, info, warn};

use super::{RunId, Supervisor, SupervisorEvent};
use crate::engine::{Effect, Failure, FailureKind, Run, TaskId};
use crate::graph::{ActorId, Kind, Stdin};
use crate::history::RunClock;
use crate::payload::{ErrorClass, Payload};
use crate::pool::{EscalationStep, JobId, Needs};
use crate::text;
use crate::worker::{fits, is_light};

use super::jobs::{AfterDescribing, Job, failed};

/// A run that is not over.
pub(super) struct ActiveRun {
    pub(super) engine: Run,
    /// The jobs of its tasks that are queued or running.
    pub(super) jobs: FxHashMap<TaskId, JobId>,
    /// Which attempts come next, of tasks that have failed and are tried again: while there is a record.
    pub(super) attempts: HashMap<TaskId, u32>,
    /// How many attempts have ended: while there is a record.
    pub(super) ends: u64,
    /// What its times are told by.
    pub(super) clock: RunClock,
}

impl ActiveRun {
    pub(super) fn new(engine: Run) -> Self {
        ActiveRun { engine, jobs: FxHashMap::default(), attempts: HashMap::new(), ends: 0, clock: RunClock::start() }
    }
}

impl Supervisor {
    /// Starts a run. `inputs` is the whole payload: the workflow's own inputs are merged by the caller.
    pub fn start_run(&mut self, inputs: Payload, timeout: Option<Duration>) -> RunId {
        let id = self.new_run_id();
        self.start_run_as(id, inputs, timeout);
        id
    }

    /// The id for a run that is started later, if at all.
    pub fn new_run_id(&mut self) -> RunId {
        let id = RunId(self.next_run);
        self.next_run += 1;
        id
    }

    /// Starts a run under an id that [`Supervisor::new_run_id`] gave for it.
    pub fn start_run_as(&mut self, id: RunId, inputs: Payload, timeout: Option<Duration>) {
        let engine = Run::new(Arc::clone(&self.workflow), timeout);
        self.runs.insert(id, ActiveRun::new(engine));
        let now = Instant::now();
        self.tell_run(id, |engine, effects| engine.start(inputs, now, effects));
    }

    /// Stops every run: nothing new starts, running tasks finish.
    pub fn stop_runs(&mut self, reason: &str) {
        self.retract_all();
        let now = Instant::now();
        for id in self.runs.keys().copied().collect::<Vec<_>>() {
            self.tell_run(id, |engine, effects| engine.stop(reason, now, effects));
        }
    }

    /// Aborts every run: nothing new starts, running tasks are interrupted.
    pub fn abort_runs(&mut self, reason: &str) {
        self.retract_all();
        let now = Instant::now();
        for id in self.runs.keys().copied().collect::<Vec<_>>() {
            self.tell_run(id, |engine, effects| engine.abort(reason, now, effects));
        }
    }

    /// Presses every running task harder, at once: SIGTERM, and after the grace time SIGKILL.
    pub fn press_tasks(&mut self, step: EscalationStep) {
        let now = Instant::now();
        for job in self.runs.values().flat_map(|run| run.jobs.values().copied()).collect::<Vec<_>>() {
            self.press_job(job, step, now);
        }
    }

    pub(super) fn carry_out_engine(&mut self, run: RunId, effect: Effect) {
        match effect {
            Effect::Start { task, actor, payload } => self.submit_task(run, task, actor, payload),
            Effect::Withdraw(task) => self.withdraw_task(run, task),
            Effect::Interrupt(task) => {
                if let Some(job) = self.job_of(run, task) {
                    self.press_job(job, EscalationStep::Interrupt, Instant::now());
                }
            }
            Effect::ActorStarted(actor) => {
                debug!(actor = self.actor_name(actor), run = run.0, "started");
                self.reports.push(SupervisorEvent::ActorStarted(run, actor));
            }
            Effect::ActorFinished(actor, end) => {
                debug!(actor = self.actor_name(actor), run = run.0, "ended");
                self.reports.push(SupervisorEvent::ActorFinished(run, actor, end));
            }
            Effect::Retrying { actor, retry, delay, failure } => {
                let pause = if delay.is_zero() { String::new() } else { format!(" in {delay:?}") };
                let (what, place) = (shown(&failure), place(&failure));
                warn!(actor = self.actor_name(actor), run = run.0, "{what}; retry {retry}{pause}{place}");
            }
            Effect::Failed { actor, failure, handled } => {
                self.log_failure(run, actor, &failure, handled);
                if !handled {
                    let message = headline(&failure).to_owned();
                    self.reports.push(SupervisorEvent::Failed { run, actor, message });
                }
            }
            Effect::Ended { status, output } => {
                self.runs.remove(&run);
                self.resources.on_run_ended(run);
                self.processes.run_ended();
                info!(target: "run_finished", run = run.0, "run ended: {status}");
                self.reports.push(SupervisorEvent::RunEnded { run, status, output });
            }
        }
    }

    fn submit_task(&mut self, run: RunId, task: TaskId, actor: ActorId, payload: Payload) {
        let record = self.new_record(run, task);
        let job = self.new_job(Job::Task { run, task, actor, payload: payload.clone(), stdin: None, record });
        if let Some(active) = self.runs.get_mut(&run) {
            active.jobs.insert(task, job);
        }
        let spec = self.workflow.actor(actor);
        match &spec.kind {
            // Written before it gets a place in the pool: the worker that may be asked needs one too.
            Kind::Exec(exec) if exec.stdin == Stdin::Json => self.describe_then(&payload, AfterDescribing::Submit(job)),
            Kind::Exec(_) => self.submit_program(job, None),
            _ => {
                let light = is_light(&payload);
                if !light && let Err(error) = fits(&payload) {
                    let outcome = failed(FailureKind::Raised, ErrorClass::PayloadTooLong, error.to_string());
                    return self.not_started.push((job, outcome));
                }
                let needs = if light { Needs::Worker } else { Needs::IdleWorker };
                self.tell_pool(spec.pool, |pool, effects| pool.submit(job, needs, effects));
            }
        }
    }

    /// Gives a program's job to its pool, unless it was withdrawn meanwhile.
    pub(super) fn submit_program(&mut self, job: JobId, input: Option<String>) {
        if let Some(Job::Task { actor, stdin, .. }) = self.jobs.get_mut(&job) {
            *stdin = input;
            let pool = self.workflow.actor(*actor).pool;
            self.tell_pool(pool, |pool, effects| pool.submit(job, Needs::Program, effects));
        }
    }

    fn withdraw_task(&mut self, run: RunId, task: TaskId) {
        let Some(job) = self.runs.get_mut(&run).and_then(|active| active.jobs.remove(&task)) else { return };
        if let Some(Job::Task { actor, payload, record, .. }) = self.jobs.remove(&job) {
            self.record_withdrawal(job, (run, task, actor), (payload, record));
            let pool = self.workflow.actor(actor).pool;
            // False for a program whose input is still being written: the pool does not know it yet.
            self.pools[pool.index()].withdraw(job);
        }
    }

    fn job_of(&self, run: RunId, task: TaskId) -> Option<JobId> {
        self.runs.get(&run)?.jobs.get(&task).copied()
    }

    pub(super) fn press_job(&mut self, job: JobId, step: EscalationStep, now: Instant) {
        if let Some(Job::Task { actor, .. }) = self.jobs.get(&job) {
            let pool = self.workflow.actor(*actor).pool;
            if let Some(worker) = self.pools[pool.index()].prefilled_at(job) {
                self.retract(pool, worker);
            }
            self.tell_pool(pool, |pool, effects| pool.escalate(job, step, now, effects));
        }
    }

    /// The actor's path without the workflow's name: what people call it.
    pub(super) fn actor_name(&self, actor: ActorId) -> &str {
        self.workflow.actor(actor).display_name()
    }

    fn log_failure(&self, run: RunId, actor: ActorId, failure: &Failure, handled: bool) {
        let name = self.actor_name(actor);
        let run = run.0;
        if failure.error.is(ErrorClass::OutOfMemory) {
            // Said when the kernel had killed it, with the figures.
            return;
        }
        if failure.kind == FailureKind::Lost {
            error!(target: "task_lost", actor = name, run, "{}", shown(failure));
            return;
        }
        if handled {
            warn!(actor = name, run, "{} (handled){}", shown(failure), place(failure));
            return;
        }
        if matches!(failure.kind, FailureKind::Interrupted | FailureKind::Stopped) {
            // Somebody asked for it: where the task was does not matter.
            warn!(actor = name, run, "{}", text::short(&failure.error.message, text::LINE));
            return;
        }
        let traceback = failure.error.traceback.concat();
        let traceback = text::error(traceback.trim_end(), "the output of the run and its history have more of it");
        error!(actor = name, run, detail = traceback, "{}", shown(failure));
    }
}

/// A failure in a line of the log.
fn shown(failure: &Failure) -> Cow<'_, str> {
    text::short(headline(failure), text::LINE)
}

/// Where a failure of a task happened, for a line of the log: `, at tasks/index.py:12 in read`. Nothing where it has no traceback.
fn place(failure: &Failure) -> String {
    let frames = failure.error.traceback.iter().flat_map(|part| part.lines()).filter_map(frame);
    let (mut last, mut own) = (None, None);
    for found in frames {
        let is_own = !found.0.starts_with('<')
            && !["/site-packages/", "/dist-packages/", "/lib/python3"].iter().any(|it| found.0.contains(it));
        own = if is_own { Some(found) } else { own };
        last = Some(found);
    }
    own.or(last).map_or_else(String::new, |(file, line, function)| {
        format!(", at {}:{line} in {}", text::short(file, text::CELL), text::short(function, text::CELL))
    })
}

/// The file, the line and the function of a frame, as Python writes it: `  File "index.py", line 12, in read`.
fn frame(line: &str) -> Option<(&str, &str, &str)> {
    // In a group of exceptions there are marks in front.
    let rest = line.trim_start_matches([' ', '|', '+', '-']).strip_prefix("File \"")?;
    let (file, rest) = rest.split_once("\", line ")?;
    let (line, function) = rest.split_once(", in ")?;
    Some((file, line, function.trim_end()))
}

/// What a failure is called in one line: its text, or as Python ends a traceback where the text says too little (`assert`
/// has none, a `KeyError` only the key).
fn headline(failure: &Failure) -> &str {
    let message = failure.error.message.as_str();
    let last = failure.error.traceback.last().map_or("", |line| line.trim_end());
    if message.contains(' ') || !last.ends_with(message) { message } else { last }
}
