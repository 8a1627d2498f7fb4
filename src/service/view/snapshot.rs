//! The status of a service, as others see it. The loop writes it and the bus reads it, so that properties need no message to
//! the loop.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::accounting::{RunAccount, Totals};
use crate::engine::ActorEnd;
use crate::graph::{ActorId, Workflow};
use crate::history::{RunClock, RunRequest, RunStatus, now};
use crate::supervisor::RunId;

/// Maximum number of ended runs that stay visible.
const MAX_ENDED_RUNS: usize = 1000;
/// Maximum size of their inputs and outputs together, bytes.
const MAX_ENDED_BYTES: usize = 64 << 20;
/// Maximum size of an output that is shown whole, bytes. A D-Bus message holds 128 MiB, the system bus accepts a little less, and
/// the inputs are in the same message.
pub(in crate::service) const MAX_SHOWN_OUTPUT: usize = 32 << 20;

/// The status of a service, shared between the loop and the bus. It is locked only for moments.
#[derive(Debug)]
pub struct StatusSnapshot(Mutex<ServiceState>);

/// The contents of the snapshot.
#[derive(Debug)]
pub struct ServiceState {
    /// The workflow that is run.
    pub workflow: Arc<Workflow>,
    /// What the service is doing.
    pub phase: Phase,
    /// The runs that are queued or running, and the last ones that have ended.
    pub runs: BTreeMap<RunId, RunView>,
    /// The actors, by their ids.
    pub actors: Vec<ActorView>,
    /// The number of queued runs.
    pub queued: u32,
    /// The number of running runs.
    pub active: u32,
    /// The number of runs that have ended since the service started.
    pub finished: u64,
    /// How many of those did not succeed.
    pub failed: u64,
    /// Usage of all runs and their workers at the last reading, without the supervisor itself.
    pub used: Totals,
    /// Usage of the actors of running runs at the last reading.
    so_far: BTreeMap<RunId, BTreeMap<ActorId, Totals>>,
    /// Ended runs, the oldest end first.
    ended: VecDeque<RunId>,
    ended_bytes: usize,
}

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is not ready yet.
    Starting,
    /// No run is queued or running.
    Idle,
    /// Runs are queued or running.
    Running,
    /// It accepts no more runs, and finishes those that it has accepted.
    Draining,
    /// It is stopping.
    Stopping,
}

impl Phase {
    /// The word for it on the bus.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Idle => "idle",
            Phase::Running => "running",
            Phase::Draining => "draining",
            Phase::Stopping => "stopping",
        }
    }
}

/// One run. Times are microseconds since the epoch.
#[derive(Debug, Clone)]
pub struct RunView {
    /// What was asked for. The values of the inputs are not kept once it has begun.
    pub request: Arc<RunRequest>,
    /// Its status.
    pub status: RunStatus,
    /// When it began.
    pub started_at: Option<u64>,
    /// Its clock, once it has begun.
    pub clock: Option<RunClock>,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// Its output as JSON. Of values that are too large, the type and the size.
    pub outputs: Option<Arc<str>>,
    /// What went wrong, as JSON.
    pub error: Option<Arc<str>>,
    /// The number of tasks that have ended.
    pub done: u64,
    /// Its running actors, and how many tasks of each run.
    pub running: BTreeMap<ActorId, u64>,
    /// Its actors that have finished at least once.
    pub been: BTreeSet<ActorId>,
    /// Usage at the last reading. Boxed, because thousands of queued runs have none.
    pub used: Option<Box<Totals>>,
}

impl RunView {
    /// A run that was accepted and has not begun.
    pub fn queued(request: Arc<RunRequest>) -> Self {
        RunView {
            request,
            status: RunStatus::Queued,
            started_at: None,
            clock: None,
            ended_at: None,
            outputs: None,
            error: None,
            done: 0,
            running: BTreeMap::new(),
            been: BTreeSet::new(),
            used: None,
        }
    }

    /// The user whose run it is. A run that the service started by itself belongs to the user of the service.
    pub fn owner(&self, service: u32) -> u32 {
        self.request.uid.unwrap_or(service)
    }

    /// The current time by the clock of this run.
    pub fn now(&self) -> u64 {
        self.clock.map_or_else(now, RunClock::now)
    }

    /// How long it has been running, or how long it ran, microseconds. Setting the clock of the host does not change it.
    pub fn elapsed(&self) -> Option<u64> {
        Some(self.ended_at.unwrap_or_else(|| self.now()).saturating_sub(self.started_at?))
    }

    fn bytes(&self) -> usize {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        self.request.label.len() + self.request.inputs_json.len() + text(&self.outputs) + text(&self.error)
    }
}

/// One actor, over all runs since the service started.
#[derive(Debug, Clone, Default)]
pub struct ActorView {
    /// The number of triggers in progress.
    pub running: u64,
    /// The number of finished triggers.
    pub executions: u64,
    /// How many of those failed.
    pub failures: u64,
    /// The duration of the task that ended last.
    pub last: Option<Duration>,
    /// Usage in ended runs.
    used: Totals,
}

impl StatusSnapshot {
    /// The status of a service that has just started.
    pub fn new(workflow: Arc<Workflow>) -> Self {
        StatusSnapshot(Mutex::new(ServiceState {
            actors: vec![ActorView::default(); workflow.actors.len()],
            workflow,
            phase: Phase::Starting,
            runs: BTreeMap::new(),
            queued: 0,
            active: 0,
            finished: 0,
            failed: 0,
            used: Totals::default(),
            so_far: BTreeMap::new(),
            ended: VecDeque::new(),
            ended_bytes: 0,
        }))
    }

    /// Reads or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut ServiceState) -> T) -> T {
        // No change panics halfway.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads one run.
    pub fn run<T>(&self, id: RunId, look: impl FnOnce(&RunView) -> T) -> Option<T> {
        self.with(|state| state.runs.get(&id).map(look))
    }
}

impl ServiceState {
    /// Replaces the workflow. Actors with the same path keep their figures.
    pub fn replace(&mut self, workflow: Arc<Workflow>) {
        let old: BTreeMap<&str, &ActorView> =
            self.workflow.actors.iter().map(|actor| actor.path.as_str()).zip(&self.actors).collect();
        let kept =
            workflow.actors.iter().map(|actor| old.get(actor.path.as_str()).copied().cloned().unwrap_or_default());
        self.actors = kept.collect();
        self.workflow = workflow;
        for run in self.runs.values_mut() {
            run.been.clear();
        }
    }

    /// An actor got a trigger.
    pub fn actor_started(&mut self, run: RunId, actor: ActorId) {
        self.actors[actor.index()].running += 1;
        if let Some(run) = self.runs.get_mut(&run)
            && self.workflow.actor(actor).kind.is_task()
        {
            *run.running.entry(actor).or_default() += 1;
        }
    }

    /// An actor has finished with a trigger.
    pub fn actor_finished(&mut self, run: RunId, actor: ActorId, end: ActorEnd) {
        let facts = &mut self.actors[actor.index()];
        facts.running = facts.running.saturating_sub(1);
        facts.executions += 1;
        facts.failures += u64::from(matches!(end, ActorEnd::Failed(_)));
        if let Some(run) = self.runs.get_mut(&run)
            && self.workflow.actor(actor).kind.is_task()
        {
            run.done += 1;
            run.been.insert(actor);
            if let Some(count) = run.running.get_mut(&actor) {
                *count -= 1;
                if *count == 0 {
                    run.running.remove(&actor);
                }
            }
        }
    }

    /// Sets the usage of a run. `over`: the run has ended.
    pub fn set_usage(&mut self, id: RunId, account: &RunAccount, over: bool) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.used = Some(Box::new(account.total));
        }
        let actors = account.actors.iter().map(|(actor, its)| (*actor, its.totals));
        if !over {
            self.so_far.insert(id, actors.collect());
            return;
        }
        self.so_far.remove(&id);
        for (actor, used) in actors {
            if let Some(facts) = self.actors.get_mut(actor.index()) {
                facts.used.merge(&used);
            }
        }
    }

    /// Sets the durations of the last tasks of some actors.
    pub fn set_durations(&mut self, latest: &FxHashMap<ActorId, Duration>) {
        for (actor, took) in latest {
            if let Some(facts) = self.actors.get_mut(actor.index()) {
                facts.last = Some(*took);
            }
        }
    }

    /// What an actor has used since the service started.
    pub fn used_by(&self, actor: ActorId) -> Totals {
        let mut used = self.actors.get(actor.index()).map(|facts| facts.used).unwrap_or_default();
        self.so_far.values().filter_map(|actors| actors.get(&actor)).for_each(|more| used.merge(more));
        used
    }

    /// A run has ended. Returns the runs that are not kept any longer.
    pub fn ended(&mut self, id: RunId) -> Vec<RunId> {
        let Some(run) = self.runs.get_mut(&id) else { return Vec::new() };
        let now = run.now();
        run.ended_at.get_or_insert(now);
        run.running.clear();
        self.ended_bytes += run.bytes();
        self.ended.push_back(id);
        let mut forgotten = Vec::new();
        while self.ended.len() > MAX_ENDED_RUNS || (self.ended_bytes > MAX_ENDED_BYTES && self.ended.len() > 1) {
            let Some(oldest) = self.ended.pop_front() else { break };
            if let Some(run) = self.runs.remove(&oldest) {
                self.ended_bytes -= run.bytes();
            }
            forgotten.push(oldest);
        }
        forgotten
    }

    /// The number of actors that execute tasks.
    pub fn tasks(&self) -> usize {
        self.workflow.actors.iter().filter(|actor| actor.kind.is_task()).count()
    }
}
