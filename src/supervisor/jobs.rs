//! Routing between runs, jobs and pools: what the engine asks for, and who learns how a job ended.

use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::resources::{OutOfMemory, Victim};
use super::runs::failure_text;
use super::{RunId, Supervisor, SupervisorEvent, Todo};
use crate::engine::{Effect, FailureKind, Outcome, TaskId};
use crate::graph::{ActorId, Kind, PoolId, Stdin};
use crate::history::{Figures, KeptResult, TaskNews};
use crate::payload::{ErrorClass, JsonObject, Payload};
use crate::pool::{EscalationStep, JobId, Needs, WorkerId};
use crate::process::sys::Pid;
use crate::worker::{fits, is_light};

use super::runs::{AfterDescribing, FinishedTask, JobEnd};
pub(super) use super::runs::{Job, failed};

/// Runs, as the caller of the supervisor starts and ends them.
impl Supervisor {
    /// Starts a run. `inputs` is the whole payload: the caller merges the workflow's own inputs into it.
    pub fn start_run(&mut self, inputs: Payload, timeout: Option<Duration>) -> RunId {
        let id = self.new_run_id();
        self.start_run_as(id, inputs, timeout);
        id
    }

    /// An id for a run that may be started later.
    pub fn new_run_id(&mut self) -> RunId {
        self.runs.new_id()
    }

    /// Starts a run under an id of [`Supervisor::new_run_id`].
    pub fn start_run_as(&mut self, id: RunId, inputs: Payload, timeout: Option<Duration>) {
        let effects = self.runs.start(id, &self.workflow, inputs, timeout, Instant::now());
        self.queue_effects(id, effects);
    }

    /// Resumes a run of another process from what its tasks had returned, oldest first.
    ///
    /// # Errors
    /// If the results do not fit the workflow: why. The run is not started then.
    pub fn resume_run_as(
        &mut self,
        id: RunId,
        inputs: Payload,
        timeout: Option<Duration>,
        results: Vec<KeptResult>,
    ) -> Result<(), String> {
        let resumed = self.runs.resume(id, &self.workflow, inputs, timeout, results)?;
        let started = resumed.unfinished.into_iter().map(|actor| SupervisorEvent::ActorStarted(id, actor));
        self.reports.extend(started);
        self.queue_effects(id, resumed.effects);
        Ok(())
    }

    /// Stops every run: nothing new starts, running tasks finish.
    pub fn stop_runs(&mut self, reason: &str) {
        self.retract_all();
        for id in self.runs.ids() {
            self.tell_run(id, |engine, effects| engine.stop(reason, Instant::now(), effects));
        }
    }

    /// Aborts every run: nothing new starts, running tasks are interrupted.
    pub fn abort_runs(&mut self, reason: &str) {
        self.retract_all();
        for id in self.runs.ids() {
            self.tell_run(id, |engine, effects| engine.abort(reason, Instant::now(), effects));
        }
    }

    /// Stops one run: nothing new starts, its running tasks finish. Whether there is such a run.
    pub fn stop_run(&mut self, run: RunId, reason: &str) -> bool {
        self.retract_all();
        self.tell_run(run, |engine, effects| engine.stop(reason, Instant::now(), effects));
        self.runs.is_active(run)
    }

    /// Aborts one run: nothing new starts, its running tasks are interrupted. Whether there is such a run.
    pub fn abort_run(&mut self, run: RunId, reason: &str) -> bool {
        self.retract_all();
        self.tell_run(run, |engine, effects| engine.abort(reason, Instant::now(), effects));
        self.runs.is_active(run)
    }

    /// Escalates the running tasks of all runs at once: SIGTERM, and after the grace time SIGKILL.
    pub fn escalate_tasks(&mut self, step: EscalationStep) {
        self.escalate_jobs(self.runs.all_jobs(), step);
    }

    /// Escalates the running tasks of one run at once.
    pub fn escalate_run(&mut self, run: RunId, step: EscalationStep) {
        self.escalate_jobs(self.runs.jobs_of(run), step);
    }

    pub(super) fn escalate_jobs(&mut self, jobs: Vec<JobId>, step: EscalationStep) {
        let now = Instant::now();
        for job in jobs {
            self.escalate_job(job, step, now);
        }
    }

    /// Records tasks from now on.
    pub fn record_tasks(&mut self, news: TaskNews, keeps_results: bool) {
        self.runs.record_tasks(news, keeps_results);
        self.resources.keep_usage_of_tasks();
    }

    /// What a run has used, and its actors by their paths, as the history has it; none if no accounts are kept.
    pub fn figures(&self, run: RunId) -> Option<(Figures, Vec<(String, Figures)>)> {
        let account = self.resources.account(run)?;
        let actors = account.actors.iter().filter_map(|(id, its)| {
            let actor = self.workflow.actors.get(id.index())?;
            Some((actor.path.clone(), Figures::from(&its.totals)))
        });
        Some((Figures::from(&account.total), actors.collect()))
    }

    /// Writes a payload as JSON; [`SupervisorEvent::Described`] brings it. A worker is asked if a value has no form in JSON.
    pub fn describe(&mut self, payload: &Payload) {
        self.describe_then(payload, AfterDescribing::Tell);
    }

    /// Writes the output of a run as JSON; [`SupervisorEvent::RunDescribed`] brings it.
    pub fn describe_run(&mut self, run: RunId, payload: &Payload) {
        self.describe_then(payload, AfterDescribing::TellOfRun(run));
    }

    /// Ends the descriptions that callers wait for at once, with placeholders for values that need Python.
    pub fn hurry_descriptions(&mut self) {
        self.retract_all();
        let pool = self.python_pool();
        for job in self.jobs.awaited_descriptions() {
            // False if a worker executes it: its answer comes too late then.
            self.pools[pool.index()].withdraw(job);
            if let Some(Job::Describe { payload, then }) = self.jobs.take(job) {
                self.described(JsonObject::without_python(&payload), then);
            }
        }
    }
}

/// What the engine asks for.
impl Supervisor {
    /// Tells a run something, and queues what it asks for. A run that has ended is told nothing.
    pub(super) fn tell_run(&mut self, id: RunId, tell: impl FnOnce(&mut crate::engine::Run, &mut Vec<Effect>)) {
        let effects = self.runs.tell(id, tell);
        self.queue_effects(id, effects);
    }

    fn queue_effects(&mut self, run: RunId, effects: Vec<Effect>) {
        self.todo.extend(effects.into_iter().map(|effect| Todo::Engine(run, effect)));
    }

    pub(super) fn carry_out_engine(&mut self, run: RunId, effect: Effect) {
        match effect {
            Effect::Start { task, actor, payload } => self.submit_task(run, task, actor, payload),
            Effect::Withdraw(task) => self.withdraw_task(run, task),
            Effect::Interrupt(task) => {
                if let Some(job) = self.runs.job_of(run, task) {
                    self.escalate_job(job, EscalationStep::Interrupt, Instant::now());
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
                failure_text::log_retry(run, self.actor_name(actor), &failure, retry, delay);
            }
            Effect::Failed { actor, failure, handled } => {
                failure_text::log(run, self.actor_name(actor), &failure, handled);
                if !handled {
                    let message = failure_text::headline(&failure).to_owned();
                    self.reports.push(SupervisorEvent::Failed { run, actor, message });
                }
            }
            Effect::Ended { status, output } => {
                self.runs.remove(run);
                self.resources.on_run_ended(run);
                self.processes.run_ended();
                info!(target: "run_finished", run = run.0, "run ended: {status}");
                self.reports.push(SupervisorEvent::RunEnded { run, status, output });
            }
        }
    }

    fn submit_task(&mut self, run: RunId, task: TaskId, actor: ActorId, payload: Payload) {
        let record = self.runs.new_record(run, task);
        let job = self.jobs.add(Job::Task { run, task, actor, payload: payload.clone(), stdin: None, record });
        self.runs.add_job(run, task, job);
        let spec = self.workflow.actor(actor);
        match &spec.kind {
            // Written before it gets a slot of the pool: the worker that may have to write it needs a slot too.
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
    fn submit_program(&mut self, job: JobId, input: Option<String>) {
        if let Some(Job::Task { actor, stdin, .. }) = self.jobs.get_mut(&job) {
            *stdin = input;
            let pool = self.workflow.actor(*actor).pool;
            self.tell_pool(pool, |pool, effects| pool.submit(job, Needs::Program, effects));
        }
    }

    fn withdraw_task(&mut self, run: RunId, task: TaskId) {
        let Some(job) = self.runs.take_job(run, task) else { return };
        if let Some(Job::Task { actor, payload, record, .. }) = self.jobs.take(job) {
            let withdrawn = FinishedTask { job, run, task, actor, payload, record };
            self.runs.on_task_withdrawn(&withdrawn, &self.workflow);
            let pool = self.workflow.actor(actor).pool;
            // False for a program whose input is still being written: the pool does not know it yet.
            self.pools[pool.index()].withdraw(job);
        }
    }

    pub(super) fn escalate_job(&mut self, job: JobId, step: EscalationStep, now: Instant) {
        if let Some(Job::Task { actor, .. }) = self.jobs.get(&job) {
            let pool = self.workflow.actor(*actor).pool;
            if let Some(worker) = self.pools[pool.index()].prefilled_at(job) {
                self.retract(pool, worker);
            }
            self.tell_pool(pool, |pool, effects| pool.escalate(job, step, now, effects));
        }
    }

    /// The path of an actor without the workflow's name, for people.
    pub(super) fn actor_name(&self, actor: ActorId) -> &str {
        self.workflow.actor(actor).display_name()
    }
}

/// The end of jobs.
impl Supervisor {
    /// A job has ended. Whoever wanted it learns so: a run, or the caller or program that waits for a description.
    pub(super) fn job_ended(&mut self, job: JobId, end: impl Into<JobEnd>) {
        match (self.jobs.take(job), end.into()) {
            (Some(Job::Task { run, task, actor, payload, record, .. }), end) => {
                let outcome = match end {
                    JobEnd::Outcome(outcome) => outcome,
                    JobEnd::Json(_) => {
                        let message = "the worker process of the task sent garbage: a payload as JSON".to_owned();
                        failed(FailureKind::Lost, ErrorClass::WorkerLost, message)
                    }
                };
                self.task_ended(&FinishedTask { job, run, task, actor, payload, record }, outcome);
            }
            (Some(Job::Describe { then, .. }), JobEnd::Json(json)) => self.described(json, then),
            // No Python could be asked. The output matters more than the form of its values.
            (Some(Job::Describe { payload, then }), JobEnd::Outcome(_)) => {
                self.described(JsonObject::without_python(&payload), then);
            }
            (None, _) => {}
        }
    }

    fn task_ended(&mut self, finished: &FinishedTask, outcome: Outcome) {
        let usage = self.resources.take_usage(finished.job);
        let effects = self.runs.on_task_ended(finished, outcome, usage, &self.workflow);
        self.queue_effects(finished.run, effects);
    }

    fn describe_then(&mut self, payload: &Payload, then: AfterDescribing) {
        match JsonObject::of(payload) {
            Some(json) => self.described(json, then),
            None if fits(payload).is_err() => self.described(JsonObject::without_python(payload), then),
            None => {
                let job = self.jobs.add(Job::Describe { payload: payload.clone(), then });
                self.tell_pool(self.python_pool(), |pool, effects| pool.submit(job, Needs::IdleWorker, effects));
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

    /// A worker or program executes a job.
    pub(super) fn record_start(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        let process = || match self.programs.get((pool, worker)) {
            Some(program) => Some(program.process.0),
            None => self.workers.get((pool, worker)).and_then(|it| it.process.as_ref()).map(|(pid, _)| *pid),
        };
        self.runs.on_job_started(self.jobs.get_mut(&job), process);
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

    /// The run and actor that a job belongs to.
    pub(super) fn job_actor(&self, job: JobId) -> Option<(RunId, ActorId)> {
        self.jobs.task_of(job)
    }
}
