//! The only place where engine, pools, processes and connections meet: one loop that owns the clock and every
//! descriptor.
//!
//! Readiness comes in ([`Supervisor::turn`]), is told to the engine or a pool, and their effects are carried out one
//! after the other from one queue, so that nothing calls itself.

mod accounts;
mod ahead;
mod announced;
mod answers;
mod endings;
mod error;
mod forkserver;
mod ground;
mod guard;
mod guarded;
mod happening;
mod interpreter;
mod jobs;
mod kept_output;
mod launched;
mod leaves;
pub mod listing;
mod meters;
mod nearness;
mod origin;
mod output;
mod pressing;
mod programs;
mod reaper;
mod recorder;
mod recording;
mod resident;
mod runs;
mod setup;
mod shared;
mod shutdown;
mod sources;
mod starting;
mod strays;
mod template;
pub mod viewers;
mod whom;
mod workers;

pub use accounts::usage_of_the_supervisor;
pub use error::SupervisorError;
pub use ground::{CgroupUse, subtree_for};
pub use happening::{Happening, RunId};
pub(crate) use interpreter::interpreter_in;
pub use recorder::RecorderCommand;
pub use strays::StrayCount;
pub use whom::Whom;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Instant;

use mio::{Events, Poll, Token};
use rustc_hash::FxHashMap;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;
use tracing::{debug, warn};

use crate::engine;
use crate::graph::{Context, PoolId, PoolSpec, Workflow};
use crate::pool::{self, JobId, Pool};
use crate::process::sys::{self, Pid};

use accounts::Accounts;
use announced::Announced;
use forkserver::Forkserver;
use guard::Pulse;
use guarded::Guarded;
use interpreter::Interpreter;
use jobs::Job;
use kept_output::KeptOutput;
use launched::Doorway;
use leaves::Leaves;
use nearness::Nearness;
use output::Output;
use programs::Program;
use reaper::Child;
use recorder::Recorder;
use recording::Recording;
use resident::Heartbeat;
use runs::ActiveRun;
use sources::{Source, Sources};
use strays::Strays;
use viewers::Window;
use workers::WorkerProcess;

/// A limit on the size of files below this is worth a word: large values travel in files.
const SMALL_FILE: u64 = 1 << 30;

/// The supervisor of one workflow.
pub struct Supervisor {
    workflow: Arc<Workflow>,
    interpreter: Interpreter,
    poll: Poll,
    events: Events,
    signals: Signals,
    signals_token: Token,
    /// There are more processes to reap than one turn takes.
    unreaped: bool,
    guarded: Option<Guarded>,
    pulse: Arc<Pulse>,
    announced: Announced,
    strays: Strays,
    window: Option<Window>,
    sources: Sources,
    pools: Vec<PoolState>,
    /// Every direct child, by its number, until it is reaped.
    children: HashMap<Pid, Child>,
    /// How many processes were reaped.
    reaped: u64,
    outputs: FxHashMap<Token, Output>,
    /// What programs print that becomes a part of the payload.
    kept_outputs: FxHashMap<Token, KeptOutput>,
    /// What output is read into.
    scratch: Vec<u8>,
    /// Where workers behind launchers connect; there from the first one on.
    doorway: Option<Doorway>,
    leaves: Leaves,
    accounts: Accounts,
    /// Where tasks are recorded; none while nobody wants that.
    recording: Option<Recording>,
    jobs: FxHashMap<JobId, Job>,
    nearness: Nearness,
    next_job: u64,
    runs: BTreeMap<RunId, ActiveRun>,
    next_run: u64,
    todo: VecDeque<Todo>,
    /// Sources that have more to read than one turn takes.
    unfinished: Vec<Token>,
    /// Sources that are looked at again then.
    later: Vec<(Instant, Token)>,
    /// Jobs that could not be started, and end so in the next turn: a workflow that tries again at once does not keep the loop.
    not_started: Vec<(JobId, engine::Outcome)>,
    happenings: Vec<Happening>,
    heartbeat: Option<Heartbeat>,
    recorder: Option<Recorder>,
}

/// One pool and its processes.
struct PoolState {
    pool: Pool,
    forkserver: Option<Forkserver>,
    /// Whether the forkserver imports the task modules; given up when that kills it.
    preload: bool,
    workers: FxHashMap<pool::WorkerId, WorkerProcess>,
    /// In pools whose workers share a process: the worker that each one's process was started for.
    hosts: FxHashMap<pool::WorkerId, pool::WorkerId>,
    /// The process that further workers join.
    open_host: Option<pool::WorkerId>,
    programs: FxHashMap<pool::WorkerId, Program>,
    /// Why a worker could not be started, last time.
    failure: Option<String>,
}

impl PoolState {
    /// The pools of a workflow, without any process.
    fn all_of(workflow: &Workflow) -> Vec<Self> {
        let state = |spec: &PoolSpec| PoolState {
            pool: Pool::new(spec),
            forkserver: None,
            preload: spec.preload || spec.context == Context::Fork,
            workers: FxHashMap::default(),
            hosts: FxHashMap::default(),
            open_host: None,
            programs: FxHashMap::default(),
            failure: None,
        };
        workflow.pools.iter().map(state).collect()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.leave_loop();
    }
}

/// An effect that waits to be carried out.
enum Todo {
    Engine(RunId, engine::Effect),
    Pool(PoolId, pool::Effect),
}

impl Supervisor {
    /// A supervisor without runs. It becomes the parent of every orphan below it, and takes SIGINT, SIGTERM, SIGCHLD, SIGUSR1 and,
    /// unless it is ignored, SIGHUP of the process: there is one a process.
    pub fn new(workflow: Arc<Workflow>) -> Result<Self, SupervisorError> {
        sys::become_subreaper().map_err(SupervisorError::Setup)?;
        if let Err(error) = sys::raise_open_files() {
            debug!("no more files can be opened than at first: {error}");
        }
        if let Some(limit) = sys::largest_file().filter(|limit| *limit < SMALL_FILE) {
            warn!(
                "files may not become larger than {limit} bytes here (`ulimit -f`): tasks whose values or output need more \
                 fail with \"File too large\""
            );
        }
        let poll = Poll::new().map_err(SupervisorError::Setup)?;
        let mut sources = Sources::default();
        // nohup(1) and its like want the end of the terminal to mean nothing.
        let hangup = (!sys::is_ignored(sys::Signal::SIGHUP)).then_some(SIGHUP);
        let wanted = [SIGINT, SIGTERM, SIGCHLD, SIGUSR1].into_iter().chain(hangup);
        let mut signals = Signals::new(wanted).map_err(SupervisorError::Setup)?;
        let signals_token = sources.add(&poll, &mut signals, Source::Signals).map_err(SupervisorError::Setup)?;
        let announced = Announced::new(&poll, &mut sources).map_err(SupervisorError::Setup)?;
        Ok(Supervisor {
            interpreter: Interpreter::of(&workflow),
            pools: PoolState::all_of(&workflow),
            workflow,
            poll,
            events: Events::with_capacity(256),
            signals,
            signals_token,
            unreaped: false,
            guarded: None,
            pulse: Arc::default(),
            announced,
            strays: Strays::default(),
            window: None,
            sources,
            children: HashMap::new(),
            reaped: 0,
            outputs: FxHashMap::default(),
            kept_outputs: FxHashMap::default(),
            scratch: Vec::new(),
            doorway: None,
            leaves: Leaves::default(),
            accounts: Accounts::default(),
            recording: None,
            jobs: FxHashMap::default(),
            nearness: Nearness::default(),
            next_job: 0,
            runs: BTreeMap::new(),
            next_run: 0,
            todo: VecDeque::new(),
            unfinished: Vec::new(),
            later: Vec::new(),
            not_started: Vec::new(),
            happenings: Vec::new(),
            heartbeat: None,
            recorder: None,
        })
    }

    /// The workflow it supervises.
    pub fn workflow(&self) -> &Arc<Workflow> {
        &self.workflow
    }

    /// Waits for something to happen, until `wake` at the latest, and does what follows from it. What a caller may
    /// want to know of it is returned, oldest first.
    pub fn turn(&mut self, wake: Option<Instant>) -> Result<Vec<Happening>, SupervisorError> {
        self.carry_out();
        if self.happenings.is_empty() {
            if self.jobs.is_empty() {
                self.nearness.part();
            }
            let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
            let timeout =
                self.next_time().into_iter().chain(wake).min().map(|at| at.saturating_duration_since(Instant::now()));
            self.pulse.rests();
            let polled = self.poll.poll(&mut events, timeout);
            self.pulse.works();
            match polled {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(SupervisorError::Poll(error)),
                _ => {}
            }
            // Before the tasks that announced it have ended.
            if events.iter().any(|event| event.token() == self.announced.token()) {
                self.hear_announcements();
            }
            for (job, outcome) in std::mem::take(&mut self.not_started) {
                self.job_ended(job, outcome);
                self.carry_out();
            }
            for token in self.sources_to_look_at_again(Instant::now()) {
                self.on_ready(token, true, false);
            }
            for event in &events {
                self.on_ready(event.token(), event.is_readable() || event.is_read_closed(), event.is_writable());
            }
            self.events = events;
            self.on_time(Instant::now());
            self.still_guarded()?;
        }
        Ok(std::mem::take(&mut self.happenings))
    }

    /// Handles one event and all that follows from it: engine and pools must agree on what is running before either
    /// decides anything more (a task that its run withdraws has then not been promised to a worker).
    fn on_ready(&mut self, token: Token, readable: bool, writable: bool) {
        match self.sources.get(token) {
            Some(Source::Signals) => self.on_signals(),
            Some(Source::Announced) => self.hear_announcements(),
            Some(Source::Leftover(pid)) => self.on_leftover_ended(token, pid),
            Some(Source::Window) => self.on_window_ready(),
            Some(Source::Viewer) => self.on_viewer_ready(token),
            Some(Source::Guardian) => self.on_guardian_ready(),
            Some(Source::Forkserver(pool)) => self.on_forkserver_ready(pool, writable),
            Some(Source::Worker(pool, worker)) => self.on_worker_ready(pool, worker, readable, writable),
            Some(Source::Output) => self.on_output_ready(token),
            Some(Source::KeptOutput) => self.on_kept_output_ready(token),
            Some(Source::Doorway) => self.on_doorway_ready(token),
            Some(Source::Stranger) => self.on_stranger_ready(token),
            // The loop is awake, which is all that was wanted.
            Some(Source::Waker) | None => {}
        }
        self.carry_out();
    }

    fn on_time(&mut self, now: Instant) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.on_time(now);
        }
        if self.runs.values().any(|run| run.engine.is_overdue(now)) {
            self.take_all_back();
        }
        for (id, run) in &mut self.runs {
            if run.engine.next_time().is_some_and(|at| at <= now) {
                let mut effects = Vec::new();
                run.engine.on_time(now, &mut effects);
                self.todo.extend(effects.into_iter().map(|effect| Todo::Engine(*id, effect)));
            }
        }
        self.carry_out();
        for (index, state) in self.pools.iter_mut().enumerate() {
            if state.pool.next_time().is_some_and(|at| at <= now) {
                let mut effects = Vec::new();
                state.pool.on_time(now, &mut effects);
                self.todo.extend(effects.into_iter().map(|effect| Todo::Pool(PoolId::from(index), effect)));
            }
        }
        self.carry_out();
        self.strays_on_time(now);
        self.recorder_on_time(now);
        self.recording_on_time(now);
        self.doorway_on_time(now);
    }

    fn next_time(&self) -> Option<Instant> {
        if !self.unfinished.is_empty() || !self.not_started.is_empty() {
            return Some(Instant::now());
        }
        let runs = self.runs.values().filter_map(|run| run.engine.next_time());
        let beat = self.heartbeat.as_ref().map(Heartbeat::next_time);
        let pools = self.pools.iter().filter_map(|state| state.pool.next_time());
        let later = self.later.iter().map(|(at, _)| *at).min();
        let others = [
            self.next_stray_time(),
            self.next_recorder_time(),
            self.next_recording_time(),
            self.next_doorway_time(),
            later,
        ];
        runs.chain(beat).chain(pools).chain(others.into_iter().flatten()).min()
    }

    /// A source has more to read than one turn takes.
    fn is_unfinished(&mut self, token: Token) {
        if !self.unfinished.contains(&token) {
            self.unfinished.push(token);
        }
    }

    /// A source cannot be read now, and nothing will tell when it can.
    fn look_again(&mut self, token: Token, at: Instant) {
        if !self.later.iter().any(|(_, known)| *known == token) {
            self.later.push((at, token));
        }
    }

    fn sources_to_look_at_again(&mut self, now: Instant) -> Vec<Token> {
        let mut tokens = std::mem::take(&mut self.unfinished);
        if !self.later.is_empty() {
            let due = self.later.extract_if(.., |(at, _)| *at <= now).map(|(_, token)| token);
            tokens.extend(due);
        }
        tokens
    }

    fn carry_out(&mut self) {
        while let Some(todo) = self.todo.pop_front() {
            match todo {
                Todo::Engine(run, effect) => self.carry_out_engine(run, effect),
                Todo::Pool(pool, effect) => self.carry_out_pool(pool, effect),
            }
        }
    }

    /// Tells a pool something, and queues what it asks for.
    fn tell_pool<T>(&mut self, id: PoolId, tell: impl FnOnce(&mut Pool, &mut Vec<pool::Effect>) -> T) -> T {
        let mut effects = Vec::new();
        let answer = tell(&mut self.pools[id.index()].pool, &mut effects);
        self.todo.extend(effects.into_iter().map(|effect| Todo::Pool(id, effect)));
        answer
    }

    /// Tells a run something, and queues what it asks for. A run that is over is told nothing.
    fn tell_run(&mut self, id: RunId, tell: impl FnOnce(&mut engine::Run, &mut Vec<engine::Effect>)) {
        let mut effects = Vec::new();
        if let Some(run) = self.runs.get_mut(&id) {
            tell(&mut run.engine, &mut effects);
        }
        self.todo.extend(effects.into_iter().map(|effect| Todo::Engine(id, effect)));
    }

    fn carry_out_pool(&mut self, pool: PoolId, effect: pool::Effect) {
        match effect {
            pool::Effect::Spawn(worker) => self.spawn_worker(pool, worker),
            pool::Effect::Send(worker, job) => self.send_job(pool, worker, job),
            pool::Effect::SendAhead(worker, job) => self.send_ahead(pool, worker, job),
            pool::Effect::TakeBack(worker) => self.take_back(pool, worker),
            pool::Effect::Launch(worker, job) => self.launch_program(pool, worker, job),
            pool::Effect::Press(worker, step) => self.press(pool, worker, step),
            pool::Effect::Stuck(worker) => self.worker_is_stuck(pool, worker),
            pool::Effect::Retire(worker) => self.retire_worker(pool, worker),
            pool::Effect::Late(worker) => self.worker_is_late(pool, worker),
            pool::Effect::Overdue(worker) => self.worker_is_overdue(pool, worker),
            pool::Effect::Refuse(job) => self.refuse_job(pool, job),
        }
    }
}
