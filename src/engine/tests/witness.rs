//! A reference model: sees only the effects of a run, and derives from the graph which effects must follow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::{ActorEnd, Effect, Status, TaskId};
use crate::graph::{Actor, ActorId, Kind, Link, Port, Workflow};

/// Where an attempt of a task stands, as the pool sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Given,
    Running {
        interrupted: bool,
    },
    /// It has ended, for good or until its retry.
    Over,
}

/// What the run was told from outside.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Told {
    pub(super) timed_out: bool,
    pub(super) stopped: bool,
    pub(super) aborted: bool,
}

pub(super) struct Witness {
    workflow: Arc<Workflow>,
    /// The value that every router of this run sees.
    x: i64,
    pub(super) told: Told,
    pub(super) tasks: BTreeMap<TaskId, (ActorId, Seen)>,
    /// Triggers that links have made and that have not arrived.
    owed: BTreeMap<ActorId, usize>,
    /// Triggers that have arrived and are not done with.
    open: BTreeMap<ActorId, usize>,
    joined: BTreeMap<ActorId, usize>,
    /// The retries that were promised, and when.
    retries: Vec<(ActorId, Instant)>,
    /// The worst that the graph itself did.
    worst: Status,
    pub(super) ended: bool,
    /// The most triggers that one call handled.
    pub(super) most: usize,
}

impl Witness {
    pub(super) fn new(workflow: Arc<Workflow>, x: i64) -> Self {
        let start = workflow.start;
        Witness {
            workflow,
            x,
            told: Told::default(),
            tasks: BTreeMap::new(),
            owed: BTreeMap::from([(start, 1)]),
            open: BTreeMap::new(),
            joined: BTreeMap::new(),
            retries: Vec::new(),
            worst: Status::Finished,
            ended: false,
            most: 0,
        }
    }

    /// Hears the effects of one call.
    pub(super) fn hear(&mut self, effects: Vec<Effect>, now: Instant) {
        let arrived = effects.iter().filter(|effect| matches!(effect, Effect::ActorStarted(_))).count();
        self.most = self.most.max(arrived);
        for effect in effects {
            assert!(!self.ended, "{effect:?} after the end");
            self.hear_one(effect, now);
        }
    }

    fn hear_one(&mut self, effect: Effect, now: Instant) {
        match effect {
            Effect::Start { task, actor, .. } => self.on_start(task, actor, now),
            Effect::Withdraw(task) => {
                let (_, seen) = self.tasks.get_mut(&task).expect("a task that was given out");
                assert_eq!(*seen, Seen::Given, "{task:?} is withdrawn");
                *seen = Seen::Over;
            }
            Effect::Interrupt(task) => {
                let (_, seen) = self.tasks.get_mut(&task).expect("a task that was given out");
                assert_eq!(*seen, Seen::Running { interrupted: false }, "{task:?} is interrupted");
                *seen = Seen::Running { interrupted: true };
            }
            Effect::ActorStarted(actor) => {
                let owed = self.owed.entry(actor).or_default();
                *owed = owed.checked_sub(1).unwrap_or_else(|| panic!("nobody triggered {actor:?}"));
                *self.open.entry(actor).or_default() += 1;
            }
            Effect::ActorFinished(actor, end) => {
                let open = self.open.entry(actor).or_default();
                *open = open.checked_sub(1).unwrap_or_else(|| panic!("{actor:?} ends twice"));
                if end == ActorEnd::Finished {
                    self.on_success(actor);
                }
            }
            Effect::Retrying { actor, retry, delay, .. } => {
                let Actor { retry: allowed, .. } = self.workflow.actor(actor);
                assert!(retry <= allowed.times && delay == allowed.delay * 2_u32.pow(retry - 1));
                self.retries.push((actor, now + delay));
            }
            Effect::Failed { actor, handled, .. } => self.on_failure(actor, handled),
            Effect::Ended { status, .. } => self.on_end(&status),
        }
    }

    fn on_start(&mut self, task: TaskId, actor: ActorId, now: Instant) {
        assert!(!self.told.timed_out && !self.told.stopped && !self.told.aborted, "{task:?} starts too late");
        if let Some((_, seen)) = self.tasks.get(&task) {
            assert_eq!(*seen, Seen::Over, "{task:?} runs twice at once");
            let promised = self.retries.iter().position(|(retried, at)| *retried == actor && *at <= now);
            self.retries.swap_remove(promised.expect("a retry that was promised for now"));
        }
        self.tasks.insert(task, (actor, Seen::Given));
    }

    fn on_success(&mut self, id: ActorId) {
        let workflow = Arc::clone(&self.workflow);
        let actor = workflow.actor(id);
        match &actor.kind {
            Kind::Join { arrivals } => {
                let joined = self.joined.entry(id).or_default();
                *joined += 1;
                if *joined < *arrivals {
                    return;
                }
                *joined = 0;
            }
            Kind::Router(router) => {
                let route = router.routes.iter().find(|route| route.port == Port::Int(self.x));
                return self.owe(route.map(|route| &route.links).or(router.other.as_ref()).expect("a port"));
            }
            Kind::Status(word) => self.worst.worsen(Status::Word(word.clone())),
            Kind::ErrorHandler => self.worst.worsen(Status::Error),
            _ => {}
        }
        self.owe(&actor.links);
    }

    fn on_failure(&mut self, id: ActorId, handled: bool) {
        let workflow = Arc::clone(&self.workflow);
        let error_targets = error_targets(&workflow, id);
        if handled {
            assert!(!error_targets.is_empty() && !self.told.timed_out);
            self.owe(&error_targets);
        } else {
            let over = self.told.timed_out || self.stopping() && has_circle(&workflow, false);
            assert!(error_targets.is_empty() || over, "nobody took the error of {id:?}");
            self.worst.worsen(Status::Failed);
        }
    }

    /// These links have made triggers; ports pass theirs on unseen.
    fn owe(&mut self, links: &[Link]) {
        let workflow = Arc::clone(&self.workflow);
        for link in links {
            let actor = workflow.actor(link.to);
            if matches!(actor.kind, Kind::Boundary) {
                self.owe(&actor.links);
            } else if !self.told.timed_out {
                *self.owed.entry(link.to).or_default() += 1;
            }
        }
    }

    fn stopping(&self) -> bool {
        self.told.stopped || self.told.aborted
    }

    fn on_end(&mut self, status: &Status) {
        self.ended = true;
        let Told { timed_out, stopped, aborted } = self.told;
        for (happened, bad) in [(timed_out, Status::Timeout), (stopped, Status::Stopped), (aborted, Status::Aborted)] {
            if happened {
                self.worst.worsen(bad);
            }
        }
        assert_eq!(*status, self.worst);
        assert!(self.tasks.values().all(|(_, seen)| *seen == Seen::Over), "{:?}", self.tasks);
        assert!(self.open.values().all(|open| *open == 0), "{:?}", self.open);
        let cut = timed_out || self.stopping() && has_circle(&self.workflow, false);
        if !cut {
            assert!(self.owed.values().all(|owed| *owed == 0), "triggers were lost: {:?}", self.owed);
        }
    }

    /// The time of the run is over: what links have made by now does not arrive.
    pub(super) fn time_out(&mut self) {
        self.told.timed_out = true;
    }

    /// The tasks that the pool has.
    pub(super) fn outstanding(&self) -> Vec<TaskId> {
        self.tasks.iter().filter(|(_, (_, seen))| *seen != Seen::Over).map(|(id, _)| *id).collect()
    }
}

/// Where the errors of an actor go.
fn error_targets(workflow: &Workflow, id: ActorId) -> Vec<Link> {
    let actor = workflow.actor(id);
    let mut error_targets = actor.on_error.clone();
    let mut scope = actor.bubble_errors.then_some(actor.scope);
    while let Some(id) = scope {
        error_targets.extend(workflow.scope(id).on_error.iter().cloned());
        scope = workflow.scope(id).parent;
    }
    error_targets
}

/// Whether some way, of payloads or errors, comes back to where it was; with or without the results of tasks.
pub(super) fn has_circle(workflow: &Workflow, results: bool) -> bool {
    let next = |id: ActorId| {
        let actor = workflow.actor(id);
        let mut links = error_targets(workflow, id);
        if results || !actor.kind.is_task() {
            links.extend(actor.links.iter().cloned());
        }
        if let Kind::Router(router) = &actor.kind {
            links.extend(router.routes.iter().flat_map(|route| route.links.iter().cloned()));
            links.extend(router.other.iter().flatten().cloned());
        }
        links
    };
    (0..workflow.actors.len()).any(|index| {
        let origin = ActorId::from(index);
        let mut reached = vec![false; workflow.actors.len()];
        let mut todo = next(origin);
        while let Some(Link { to }) = todo.pop() {
            if to == origin {
                return true;
            }
            if !std::mem::replace(&mut reached[to.index()], true) {
                todo.extend(next(to));
            }
        }
        false
    })
}

/// How long a run may take in these tests.
pub(super) const RUN_TIMEOUT: Duration = Duration::from_secs(100_000);
