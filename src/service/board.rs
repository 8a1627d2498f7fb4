//! What there is to see of a service: written by the loop, read by the bus, which so never has to ask.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use serde_json::{Value as Json, json};

use crate::accounting::{RunAccount, Totals};
use crate::engine::ActorEnd;
use crate::graph::{ActorId, Kind, Workflow};
use crate::history::{RunClock, now};
use crate::supervisor::RunId;

/// So many runs that are over stay to be looked at,
const KEPT_RUNS: usize = 1000;
/// and their inputs and outputs may take so many bytes.
const KEPT_BYTES: usize = 64 << 20;
/// The output of a run is shown whole up to so many bytes. A message of D-Bus holds 128 MiB, the system's bus takes a little less,
/// and the inputs are in it too.
pub(super) const MOST_OUTPUT: usize = 32 << 20;

/// The board. Locked for moments only.
#[derive(Debug)]
pub struct Board(Mutex<State>);

/// What is on it.
#[derive(Debug)]
pub struct State {
    /// The workflow that is run.
    pub workflow: Arc<Workflow>,
    /// What the service is doing.
    pub phase: Phase,
    /// The runs that wait, run, or are over and not forgotten.
    pub runs: BTreeMap<RunId, RunFacts>,
    /// The actors, by their ids.
    pub actors: Vec<ActorFacts>,
    /// How many runs wait.
    pub queued: u32,
    /// How many have begun and are not over.
    pub active: u32,
    /// How many are over, since the service started.
    pub finished: u64,
    /// How many of those did not end well.
    pub failed: u64,
    /// What all runs and their workers have used up to the last readings, without the supervisor itself.
    pub used: Totals,
    /// What the actors of runs that go on have used up to the last readings.
    so_far: BTreeMap<RunId, BTreeMap<ActorId, Totals>>,
    /// Runs that are over, oldest end first.
    over: VecDeque<RunId>,
    over_bytes: usize,
}

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is not ready yet.
    Starting,
    /// It waits for a run.
    Idle,
    /// It runs.
    Running,
    /// It finishes what it has accepted.
    Draining,
    /// It ends.
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

/// What is known of one run. Times are microseconds since the epoch.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// `queued`, `running`, or how it ended.
    pub status: String,
    /// What it was called.
    pub label: String,
    /// Who asked for it; none where it was the service itself.
    pub uid: Option<u32>,
    /// Its urgency.
    pub priority: i32,
    /// When it was accepted.
    pub queued_at: u64,
    /// When it began.
    pub started_at: Option<u64>,
    /// What its times are told by, from then on.
    pub clock: Option<RunClock>,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// Its inputs as JSON.
    pub inputs: Arc<str>,
    /// Its output as JSON, where it is not too large.
    pub outputs: Option<Arc<str>>,
    /// What went wrong, as JSON.
    pub error: Option<Arc<str>>,
    /// How many tasks are done.
    pub done: u64,
    /// Its actors that are running, and how often.
    pub running: BTreeMap<ActorId, u64>,
    /// Its actors that have been done with, at least once.
    pub been: BTreeSet<ActorId>,
    /// What it has used, up to the last reading. Those that wait in thousands have none.
    pub used: Option<Box<Totals>>,
}

impl RunFacts {
    /// Whose run it is: one that the service started by itself is the service's, whose user this is.
    pub fn owner(&self, service: u32) -> u32 {
        self.uid.unwrap_or(service)
    }

    /// The time, as it counts for this run.
    pub fn now(&self) -> u64 {
        self.clock.map_or_else(now, RunClock::now)
    }

    fn bytes(&self) -> usize {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        self.label.len() + self.inputs.len() + text(&self.outputs) + text(&self.error)
    }
}

/// What is known of one actor, over all runs since the service started.
#[derive(Debug, Clone, Default)]
pub struct ActorFacts {
    /// How many of its triggers are being worked on.
    pub running: u64,
    /// How many were done with.
    pub executions: u64,
    /// How many of those failed.
    pub failures: u64,
    /// How long the last of its tasks took that has ended.
    pub last: Option<Duration>,
    /// What it has used in runs that are over.
    used: Totals,
}

impl Board {
    /// A board on which nothing has happened.
    pub fn new(workflow: Arc<Workflow>) -> Self {
        Board(Mutex::new(State {
            actors: vec![ActorFacts::default(); workflow.actors.len()],
            workflow,
            phase: Phase::Starting,
            runs: BTreeMap::new(),
            queued: 0,
            active: 0,
            finished: 0,
            failed: 0,
            used: Totals::default(),
            so_far: BTreeMap::new(),
            over: VecDeque::new(),
            over_bytes: 0,
        }))
    }

    /// Reads or writes what is on it.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        // Nothing that is done under the lock can fail half-way.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is known of one run.
    pub fn run<T>(&self, id: RunId, look: impl FnOnce(&RunFacts) -> T) -> Option<T> {
        self.with(|state| state.runs.get(&id).map(look))
    }
}

impl State {
    /// Another workflow is in the place of this one; the figures of actors that have the same path go on.
    pub fn replace(&mut self, workflow: Arc<Workflow>) {
        let old: BTreeMap<&str, &ActorFacts> =
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

    /// An actor is done with a trigger.
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

    /// What a run has used; `over`: it uses nothing more.
    pub fn has_used(&mut self, id: RunId, account: &RunAccount, over: bool) {
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

    /// How long the last tasks of some actors took.
    pub fn tasks_took(&mut self, latest: &FxHashMap<ActorId, Duration>) {
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

    /// A run is over. Those that had to make place for it are returned.
    pub fn ended(&mut self, id: RunId) -> Vec<RunId> {
        let Some(run) = self.runs.get_mut(&id) else { return Vec::new() };
        let now = run.now();
        run.ended_at.get_or_insert(now);
        run.running.clear();
        self.over_bytes += run.bytes();
        self.over.push_back(id);
        let mut forgotten = Vec::new();
        while self.over.len() > KEPT_RUNS || (self.over_bytes > KEPT_BYTES && self.over.len() > 1) {
            let Some(oldest) = self.over.pop_front() else { break };
            if let Some(run) = self.runs.remove(&oldest) {
                self.over_bytes -= run.bytes();
            }
            forgotten.push(oldest);
        }
        forgotten
    }

    /// How many actors there are that do the work.
    pub fn tasks(&self) -> usize {
        self.workflow.actors.iter().filter(|actor| actor.kind.is_task()).count()
    }
}

/// The graph of a workflow for programs that draw it: `nodes` with `id` and `kind`, `links` with `source`, `target` and
/// what makes them fire.
pub fn graph(workflow: &Workflow) -> Json {
    let name = |id: ActorId| workflow.actor(id).display_name();
    let mut links = Vec::new();
    for actor in &workflow.actors {
        let source = actor.display_name();
        links.extend(actor.links.iter().map(|link| json!({ "source": source, "target": name(link.to) })));
        links.extend(
            actor.on_error.iter().map(|link| json!({ "source": source, "target": name(link.to), "on_error": true })),
        );
        if let Kind::Router(router) = &actor.kind {
            for route in &router.routes {
                let port = route.port.to_string();
                links.extend(
                    route.links.iter().map(|link| json!({ "source": source, "target": name(link.to), "port": port })),
                );
            }
            links.extend(
                router
                    .other
                    .iter()
                    .flatten()
                    .map(|link| json!({ "source": source, "target": name(link.to), "port": "other" })),
            );
        }
    }
    let nodes: Vec<Json> = workflow
        .actors
        .iter()
        .map(|actor| json!({ "id": actor.display_name(), "kind": actor.kind.word(), "pool": workflow.pool(actor.pool).name }))
        .collect();
    json!({ "nodes": nodes, "links": links })
}
