//! `pushflow serve`: one workflow as a service. It takes runs, holds those that must wait, and ends as it is told.
//!
//! The loop is the supervisor's. What others want comes as [`Request`]s, one a method call; what they may see stands on
//! the [`Board`]; what they are told are [`Notice`]s. Nothing here knows of D-Bus.

mod accounts;
mod acting;
mod board;
mod ending;
mod hanging;
mod keeping;
mod processes;
mod queue;
mod request;
mod running;
mod status;

pub use board::{ActorFacts, Board, Phase, RunFacts, State, graph};
pub use request::{Answer, Ask, LONGEST_LABEL, Notice, Order, Refusal, Request};

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tracing::info;

use crate::engine::Status;
use crate::graph::{OnCrash, Service as Settings, ServiceMode, Workflow};
use crate::history::{History, Refused, Requester};
use crate::stop_policy::{Host, StopPolicy};
use crate::supervisor::{RecorderCommand, RunId, Supervisor, SupervisorError, SupervisorEvent};
use crate::systemd::Notifier;

use keeping::Keeping;
use processes::Population;
use queue::Queue;
use running::Active;
use status::StatusLine;

/// So many requests are answered in one turn of the loop, so that a flood of them holds up no task.
const REQUESTS_A_TURN: usize = 128;
/// While so many notices have not been told, those of single actors are left out.
const NOTICES_BEHIND: usize = 8192;
/// A bus that does not answer keeps the service from being ready no longer than this.
const PATIENCE_WITH_THE_BUS: Duration = Duration::from_secs(5);

/// Where requests come from and notices go to.
#[derive(Debug)]
pub struct Line {
    /// Whoever sends one wakes the loop.
    pub requests: mpsc::Receiver<Request>,
    /// Nobody may be listening.
    pub notices: async_channel::Sender<Notice>,
}

/// How the workflow file is read again: the workflow, or all that is wrong with it.
pub type Load = Box<dyn Fn() -> Result<Workflow, String>>;

/// What records the runs of a workflow elsewhere, if anything does.
pub type Recorder = Box<dyn Fn(&Workflow) -> Option<RecorderCommand>>;

/// How a service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As it was asked to.
    Asked,
    /// With its one run, and the signal that ended that.
    Run(Status, Option<i32>),
}

/// A service.
pub struct Service {
    supervisor: Supervisor,
    board: Arc<Board>,
    line: Line,
    /// Requests that came while they could not be answered.
    deferred: VecDeque<Request>,
    notifier: Rc<Notifier>,
    load: Load,
    recorder: Recorder,
    queue: Queue,
    active: BTreeMap<RunId, Active>,
    /// What must be on the disk before it counts.
    keeping: Keeping,
    stop: StopPolicy,
    /// It ends when the runs that it has accepted have ended.
    draining: bool,
    /// What the next run is to be one of, once those of the old one are over.
    replacement: Option<Arc<Workflow>>,
    /// The one run of a service that runs once.
    only: Option<RunId>,
    end: End,
    status: StatusLine,
    /// Until when to wait for the bus before the service is said to be ready; none once it is.
    ready_by: Option<Instant>,
    /// Whether it runs once, or takes runs: what it was started as.
    mode: ServiceMode,
    /// What it was started with.
    first: Arc<Workflow>,
    population: Population,
}

impl Service {
    /// A service that has not begun. The board must be that of the supervisor's workflow.
    pub fn new(mut supervisor: Supervisor, board: Arc<Board>, line: Line, notifier: Rc<Notifier>, load: Load) -> Self {
        // People count the runs of a service from 1.
        supervisor.new_run_id();
        supervisor.resources_mut().keep_accounts();
        Service {
            mode: supervisor.workflow().service.mode,
            first: Arc::clone(supervisor.workflow()),
            population: Population::default(),
            supervisor,
            board,
            line,
            deferred: VecDeque::new(),
            notifier,
            load,
            recorder: Box::new(|_| None),
            queue: Queue::default(),
            active: BTreeMap::new(),
            keeping: Keeping::default(),
            stop: StopPolicy::new(Host::Service),
            draining: false,
            replacement: None,
            only: None,
            end: End::Asked,
            status: StatusLine::default(),
            ready_by: Some(Instant::now() + PATIENCE_WITH_THE_BUS),
        }
    }

    /// Keeps what it accepts, and what becomes of it, in this history.
    ///
    /// What is refused while the disk hangs is noted.
    pub fn keep(&mut self, history: History, refused: Refused) {
        let resumes = self.supervisor.workflow().service.on_crash == OnCrash::Resume;
        self.supervisor.record_tasks(history.tasks(), resumes);
        self.keeping.history = Some(history);
        self.keeping.refused = refused;
    }

    /// Has its runs recorded elsewhere, from the history.
    pub fn record_with(&mut self, recorder: Recorder) {
        let command = recorder(self.supervisor.workflow());
        self.supervisor.record_with(command);
        self.recorder = recorder;
    }

    /// Serves until it is told to end, or its one run has ended, and every process is gone.
    pub fn serve(mut self) -> Result<End, SupervisorError> {
        if let Some(every) = self.notifier.watchdog() {
            let notifier = Rc::clone(&self.notifier);
            self.supervisor.set_heartbeat(every, move || notifier.alive());
        }
        self.hear_first_word();
        if self.mode == ServiceMode::Run && self.only.is_none() {
            let order = Order { requester: Requester::from_environment(), ..Order::default() };
            self.accept(order, true, None);
        }
        let mut more = false;
        while !self.is_over() {
            self.replace_workflow()?;
            self.start_runs();
            let now = more || !self.deferred.is_empty();
            let wake = if now { Some(Instant::now()) } else { self.next_time() };
            for happening in self.supervisor.turn(wake)? {
                self.on_happening(happening);
            }
            more = self.answer_requests();
            self.hear_history();
            self.on_time(Instant::now());
        }
        self.shut_down()?;
        Ok(self.end)
    }

    /// The settings that hold: what was loaded last says it, also while the runs of the old workflow go on.
    fn settings(&self) -> &Settings {
        &self.replacement.as_ref().unwrap_or(self.supervisor.workflow()).service
    }

    fn on_happening(&mut self, happening: SupervisorEvent) {
        match happening {
            SupervisorEvent::ActorStarted(run, actor) => {
                self.board.with(|state| state.actor_started(run, actor));
                self.status.stale();
                self.tell_if_there_is_time(Notice::ActorStarted(run, actor));
            }
            SupervisorEvent::ActorFinished(run, actor, end) => {
                self.board.with(|state| state.actor_finished(run, actor, end));
                self.status.stale();
                self.tell_if_there_is_time(Notice::ActorFinished(run, actor, running::outcome(end)));
            }
            SupervisorEvent::Failed { run, actor, message } => self.on_failed(run, actor, &message),
            SupervisorEvent::RunEnded { run, status, output } => self.on_run_ended(run, status, output),
            SupervisorEvent::RunDescribed(run, output) => self.on_run_described(run, Some(output)),
            SupervisorEvent::Signal(signal) => self.on_signal(signal),
            SupervisorEvent::Described(_) => {}
        }
    }

    /// Whether there are more.
    fn answer_requests(&mut self) -> bool {
        for _ in 0..REQUESTS_A_TURN {
            let next = self.deferred.pop_front().or_else(|| self.line.requests.try_recv().ok());
            let Some(request) = next else { return false };
            self.act(request.ask, request.answer);
        }
        true
    }

    fn next_time(&self) -> Option<Instant> {
        let runs = self.active.values().filter_map(|active| active.patience_ends);
        let others = self.stop.next_time().into_iter().chain(self.status.next_time()).chain(self.ready_by);
        runs.chain(others).chain(self.population.next_time()).chain(self.keeping.next_time()).min()
    }

    fn on_time(&mut self, now: Instant) {
        self.hurry_runs(now);
        self.press_what_lingers(now);
        self.give_up_on_the_disk(now);
        if self.ready_by.is_some_and(|by| by <= now) {
            self.ready();
        }
        self.update_phase();
        self.show_status(now);
        self.tell_of_processes(now);
    }

    /// The service can be controlled, or cannot for now and goes on without.
    fn ready(&mut self) {
        if self.ready_by.take().is_some() {
            self.update_phase();
            self.show_status(Instant::now());
            self.notifier.ready();
            info!("ready");
        }
    }

    fn update_phase(&mut self) {
        let phase = if self.ready_by.is_some() {
            Phase::Starting
        } else if self.stop.is_stopping() {
            Phase::Stopping
        } else if self.draining {
            Phase::Draining
        } else if self.active.is_empty() && self.queue.is_empty() && self.keeping.is_idle() {
            Phase::Idle
        } else {
            Phase::Running
        };
        let (active, queued) = (self.active.len() + self.keeping.ending(), self.queue.len() + self.keeping.beginning());
        let changed = self.board.with(|state| {
            let before = (state.phase, state.active, state.queued);
            state.phase = phase;
            state.active = u32::try_from(active).unwrap_or(u32::MAX);
            state.queued = u32::try_from(queued).unwrap_or(u32::MAX);
            before != (state.phase, state.active, state.queued)
        });
        if changed {
            self.status.stale();
            self.tell(Notice::Changed);
        }
    }

    /// Tells the bus something, if it is there.
    fn tell(&self, notice: Notice) {
        // The channel has no bound; it is closed where there is no bus any more.
        let _ = self.line.notices.try_send(notice);
    }

    /// The same for what can be left out while the bus is behind: the board stays right.
    fn tell_if_there_is_time(&self, notice: Notice) {
        if self.line.notices.len() < NOTICES_BEHIND {
            self.tell(notice);
        }
    }
}
