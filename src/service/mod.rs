//! `pushflow serve`: one workflow as a service. It accepts runs, queues those that have to wait, and ends as it is told.
//!
//! The loop is the supervisor's. Callers send [`Request`]s, one for each method call. What they may see is in the
//! [`StatusSnapshot`], and what happens is told to them as [`Event`]s. Nothing here knows of D-Bus.

mod control;
mod durability;
mod request;
mod runs;
mod view;

pub use crate::history::RunRequest;
pub use request::{Command, Event, MAX_LABEL, ReplySender, Request, RequestError, Response};
pub use view::{ActorView, Phase, RunView, ServiceState, StatusSnapshot, graph};

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tracing::info;

use crate::engine::Status;
use crate::graph::{OnCrash, Service as Settings, ServiceMode, Workflow};
use crate::history::{History, RefusedRuns, Requester};
use crate::stop_policy::{Host, StopPolicy};
use crate::supervisor::{RecorderCommand, RunId, Supervisor, SupervisorError, SupervisorEvent};
use crate::systemd::Notifier;

use durability::Durability;
use runs::{ActiveRun, PendingRun, Queue};
use view::{Population, StatusLine};

/// Maximum number of requests that are answered in one turn of the loop, so that many requests delay no task.
const REQUESTS_A_TURN: usize = 128;
/// While so many events are queued for the bus, events of actors are left out.
const MAX_QUEUED_EVENTS: usize = 8192;
/// How long the service waits for the bus before it is ready.
const PATIENCE_WITH_BUS: Duration = Duration::from_secs(5);

/// The channels to and from the bus.
#[derive(Debug)]
pub struct Channels {
    /// The sender wakes the loop.
    pub requests: mpsc::Receiver<Request>,
    /// The receiver may be gone.
    pub events: async_channel::Sender<Event>,
}

/// Reads the workflow file again: the workflow, or all errors in it.
pub type Load = Box<dyn Fn() -> Result<Workflow, String>>;

/// The command that records the runs of a workflow elsewhere, if there is one.
pub type Recorder = Box<dyn Fn(&Workflow) -> Option<RecorderCommand>>;

/// How a service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As it was asked to.
    Asked,
    /// With its one run: its status, and the signal that ended it.
    Run(Status, Option<i32>),
}

/// A service.
pub struct Service {
    supervisor: Supervisor,
    snapshot: Arc<StatusSnapshot>,
    channels: Channels,
    /// Requests that came while they could not be answered.
    deferred: VecDeque<Request>,
    notifier: Rc<Notifier>,
    load: Load,
    recorder: Recorder,
    queue: Queue,
    active: BTreeMap<RunId, ActiveRun>,
    durability: Durability<PendingRun>,
    /// How many runs are about to begin, once that is on the disk,
    beginning: usize,
    /// and how many have ended, which nobody is told before that is on the disk.
    ending: usize,
    stop: StopPolicy,
    /// It ends when the runs that it has accepted have ended.
    draining: bool,
    /// The new workflow after a reload, until the runs of the old one have ended.
    replacement: Option<Arc<Workflow>>,
    /// The one run of a service that runs once.
    only: Option<RunId>,
    end: End,
    status: StatusLine,
    /// Until when to wait for the bus before the service is ready; none once it is ready.
    ready_by: Option<Instant>,
    /// Whether it runs once or accepts runs. A reload does not change that.
    mode: ServiceMode,
    /// The workflow that it was started with.
    first: Arc<Workflow>,
    population: Population,
}

impl Service {
    /// A service that has not begun. The snapshot must be of the supervisor's workflow.
    pub fn new(
        mut supervisor: Supervisor,
        snapshot: Arc<StatusSnapshot>,
        channels: Channels,
        notifier: Rc<Notifier>,
        load: Load,
    ) -> Self {
        // People count the runs of a service from 1.
        supervisor.new_run_id();
        supervisor.resources_mut().keep_accounts();
        Service {
            mode: supervisor.workflow().service.mode,
            first: Arc::clone(supervisor.workflow()),
            population: Population::default(),
            supervisor,
            snapshot,
            channels,
            deferred: VecDeque::new(),
            notifier,
            load,
            recorder: Box::new(|_| None),
            queue: Queue::default(),
            active: BTreeMap::new(),
            durability: Durability::new(),
            beginning: 0,
            ending: 0,
            stop: StopPolicy::new(Host::Service),
            draining: false,
            replacement: None,
            only: None,
            end: End::Asked,
            status: StatusLine::default(),
            ready_by: Some(Instant::now() + PATIENCE_WITH_BUS),
        }
    }

    /// Records runs in this history. Runs that are refused while the disk hangs are noted in `refused`.
    pub fn use_history(&mut self, history: History, refused: RefusedRuns) {
        let resumes = self.supervisor.workflow().service.on_crash == OnCrash::Resume;
        self.supervisor.record_tasks(history.tasks(), resumes);
        self.durability.use_history(history, refused);
    }

    /// Records runs elsewhere, from the history.
    pub fn record_with(&mut self, recorder: Recorder) {
        let command = recorder(self.supervisor.workflow());
        self.supervisor.record_with(command);
        self.recorder = recorder;
    }

    /// Serves until it is told to end, or its one run has ended, and every process has ended.
    pub fn serve(mut self) -> Result<End, SupervisorError> {
        if let Some(every) = self.notifier.watchdog() {
            let notifier = Rc::clone(&self.notifier);
            self.supervisor.set_heartbeat(every, move || notifier.alive());
        }
        if let Some(event) = self.durability.wait_until_open() {
            self.on_durability_event(event);
        }
        if self.mode == ServiceMode::Run && self.only.is_none() {
            let request = RunRequest { requester: Requester::from_environment(), ..RunRequest::default() };
            self.accept(request, true, None);
        }
        let mut more = false;
        while !self.is_over() {
            self.replace_workflow()?;
            self.start_runs();
            let now = more || !self.deferred.is_empty();
            let wake = if now { Some(Instant::now()) } else { self.next_time() };
            for event in self.supervisor.turn(wake)? {
                self.on_supervisor_event(event);
            }
            more = self.answer_requests();
            for event in self.durability.events() {
                self.on_durability_event(event);
            }
            self.on_time(Instant::now());
        }
        self.shut_down()?;
        Ok(self.end)
    }

    /// The settings of the workflow that was loaded last, also while runs of the old one continue.
    fn settings(&self) -> &Settings {
        &self.replacement.as_ref().unwrap_or(self.supervisor.workflow()).service
    }

    fn on_supervisor_event(&mut self, event: SupervisorEvent) {
        match event {
            SupervisorEvent::ActorStarted(run, actor) => {
                self.snapshot.with(|state| state.actor_started(run, actor));
                self.status.stale();
                self.tell_unless_behind(Event::ActorStarted(run, actor));
            }
            SupervisorEvent::ActorFinished(run, actor, end) => {
                self.snapshot.with(|state| state.actor_finished(run, actor, end));
                self.status.stale();
                self.tell_unless_behind(Event::ActorFinished(run, actor, end));
            }
            SupervisorEvent::Failed { run, actor, message } => self.on_failed(run, actor, &message),
            SupervisorEvent::RunEnded { run, status, output } => self.on_run_ended(run, status, output),
            SupervisorEvent::RunDescribed(run, output) => self.on_run_described(run, Some(output)),
            SupervisorEvent::Signal(signal) => self.on_signal(signal),
            SupervisorEvent::Described(_) => {}
        }
    }

    /// Answers requests. Whether there are more.
    fn answer_requests(&mut self) -> bool {
        for _ in 0..REQUESTS_A_TURN {
            let next = self.deferred.pop_front().or_else(|| self.channels.requests.try_recv().ok());
            let Some(request) = next else { return false };
            self.on_command(request.command, request.reply);
        }
        true
    }

    fn next_time(&self) -> Option<Instant> {
        let runs = self.active.values().filter_map(|active| active.deadline);
        let others = self.stop.next_time().into_iter().chain(self.status.next_time()).chain(self.ready_by);
        runs.chain(others).chain(self.population.next_time()).chain(self.durability.next_time()).min()
    }

    fn on_time(&mut self, now: Instant) {
        self.enforce_deadlines(now);
        self.enforce_stop_deadline(now);
        for event in self.durability.on_time(now) {
            self.on_durability_event(event);
        }
        if self.ready_by.is_some_and(|by| by <= now) {
            self.ready();
        }
        self.update_phase();
        self.show_status(now);
        self.tell_of_processes(now);
    }

    /// The service can be controlled over the bus, or continues without the bus for now.
    fn ready(&mut self) {
        if self.ready_by.take().is_some() {
            self.update_phase();
            self.show_status(Instant::now());
            self.notifier.ready();
            info!("ready");
        }
    }

    /// Tells the bus something, if there is one.
    fn tell(&self, notice: Event) {
        // The channel is unbounded. It is closed if there is no bus any more.
        let _ = self.channels.events.try_send(notice);
    }

    /// The same for events that can be left out while the bus is behind. The snapshot stays right.
    fn tell_unless_behind(&self, notice: Event) {
        if self.channels.events.len() < MAX_QUEUED_EVENTS {
            self.tell(notice);
        }
    }
}
