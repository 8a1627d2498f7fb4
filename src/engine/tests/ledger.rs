//! A ledger of one run: what was told to it, what it said, and whether the two agree, trigger by trigger.
//!
//! It knows the rules of the graph in its own words and predicts nothing that is not promised, with one exception: that
//! triggers are handled in the order in which they were made.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::{ActorEnd, Effect, Failure, FailureKind, Outcome, Status, TaskId};
use crate::graph::{ActorId, Kind, Link, OnTimeout, Port, Workflow};
use crate::payload::{Chunk, ERROR_INSTANCE_KEY, ERROR_KEY, Key, Payload, RoutingValue, Value};

/// A payload in the ledger: key to pickle.
type Data = BTreeMap<Key, Vec<u8>>;

pub(super) fn data(payload: &Payload) -> Data {
    payload.iter().map(|(key, value)| (key.clone(), bytes(value))).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    match value.stream() {
        Chunk::Inline(bytes) => bytes.to_vec(),
        Chunk::Shared(..) | Chunk::Changed(..) => panic!("made-up values are small"),
    }
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stand {
    Queued,
    Running {
        deadline: Option<Instant>,
        /// Whether its own timeout interrupted it; none if it was not interrupted.
        by_timeout: Option<bool>,
    },
    Waiting(Instant),
}

#[derive(Debug)]
struct Booked {
    actor: ActorId,
    input: Data,
    stand: Stand,
    retries: u32,
}

/// What the next effects must be about.
#[derive(Debug)]
enum Doing {
    /// This actor said that a trigger arrived.
    Trigger(ActorId, Data),
    /// This task ended, in the way that counts.
    End(TaskId, Ending),
}

#[derive(Debug)]
enum Ending {
    Returned(Data),
    Failed(FailureKind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Stopping,
    TimedOut,
    Ended,
}

#[derive(Debug)]
pub(super) struct Ledger {
    workflow: Arc<Workflow>,
    /// Whether triggers may be dropped while stopping: only where a circle would go on for ever.
    circles: bool,
    phase: Phase,
    status: Status,
    deadline: Option<Instant>,
    output: Option<Payload>,
    queue: VecDeque<(ActorId, Data)>,
    joins: BTreeMap<ActorId, Vec<Data>>,
    tasks: BTreeMap<TaskId, Booked>,
    used: BTreeSet<TaskId>,
    doing: Option<Doing>,
    /// Actors whose tasks no worker had at a stop or a timeout: each fails once, in this order.
    doomed: VecDeque<(ActorId, Data)>,
    withdrawn: BTreeSet<TaskId>,
    interrupted: BTreeSet<TaskId>,
    /// Actors with a failure that is still to be told, with its input.
    failing: Option<(ActorId, FailureKind, Data)>,
}

impl Ledger {
    pub(super) fn new(workflow: Arc<Workflow>, circles: bool) -> Self {
        Ledger {
            workflow,
            circles,
            phase: Phase::Running,
            status: Status::Finished,
            deadline: None,
            output: None,
            queue: VecDeque::new(),
            joins: BTreeMap::new(),
            tasks: BTreeMap::new(),
            used: BTreeSet::new(),
            doing: None,
            doomed: VecDeque::new(),
            withdrawn: BTreeSet::new(),
            interrupted: BTreeSet::new(),
            failing: None,
        }
    }

    pub(super) fn over(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// The tasks that stand like this.
    pub(super) fn tasks(&self, stand: impl Fn(Stand) -> bool) -> Vec<TaskId> {
        self.tasks.iter().filter(|(_, task)| stand(task.stand)).map(|(id, _)| *id).collect()
    }

    pub(super) fn actor_of(&self, task: TaskId) -> ActorId {
        self.tasks[&task].actor
    }

    pub(super) fn start(&mut self, inputs: &Payload, now: Instant) {
        self.deadline = self.workflow.timeout.map(|timeout| now + timeout);
        self.queue.push_back((self.workflow.start, data(inputs)));
    }

    pub(super) fn begin(&mut self, task: TaskId, now: Instant) {
        let task = self.tasks.get_mut(&task).unwrap();
        let deadline = self.workflow.actor(task.actor).timeout.map(|timeout| now + timeout);
        task.stand = Stand::Running { deadline, by_timeout: None };
    }

    /// A task ends: what counts of it.
    pub(super) fn end(&mut self, id: TaskId, outcome: &Outcome) {
        let by_timeout = match self.tasks[&id].stand {
            Stand::Running { by_timeout, .. } => by_timeout,
            Stand::Queued | Stand::Waiting(_) => None,
        };
        let ending = match outcome {
            Outcome::Returned(result) => Ending::Returned(data(result)),
            Outcome::Failed(Failure { kind: FailureKind::Interrupted | FailureKind::Lost, .. })
                if by_timeout == Some(true) =>
            {
                Ending::Failed(FailureKind::TimedOut)
            }
            Outcome::Failed(failure) => Ending::Failed(failure.kind),
        };
        self.doing = Some(Doing::End(id, ending));
    }

    pub(super) fn stop(&mut self, abort: bool) {
        if self.phase == Phase::Ended {
            return;
        }
        self.status.worsen(if abort { Status::Aborted } else { Status::Stopped });
        if self.phase == Phase::Running {
            self.phase = Phase::Stopping;
            self.doom();
        }
        if abort {
            self.interrupt(|_| true, false);
        }
    }

    pub(super) fn time(&mut self, now: Instant) {
        if self.deadline.is_some_and(|at| at <= now) {
            self.deadline = None;
            self.phase = Phase::TimedOut;
            self.status.worsen(Status::Timeout);
            self.queue.clear();
            self.joins.clear();
            self.doom();
            if self.workflow.on_timeout == OnTimeout::Interrupt {
                self.interrupt(|_| true, false);
            }
        }
        self.interrupt(|deadline| deadline.is_some_and(|at| at <= now), true);
    }

    /// Tasks that no worker has end.
    fn doom(&mut self) {
        for (id, task) in self.tasks.extract_if(.., |_, task| !matches!(task.stand, Stand::Running { .. })) {
            if task.stand == Stand::Queued {
                self.withdrawn.insert(id);
            }
            self.doomed.push_back((task.actor, task.input));
        }
    }

    fn interrupt(&mut self, due: impl Fn(Option<Instant>) -> bool, for_timeout: bool) {
        for (id, task) in &mut self.tasks {
            let Stand::Running { deadline, by_timeout } = &mut task.stand else { continue };
            if !due(*deadline) {
                continue;
            }
            match by_timeout {
                None => {
                    self.interrupted.insert(*id);
                    *by_timeout = Some(for_timeout);
                }
                // The run's own reason outweighs the task's.
                Some(already) => *already = *already && for_timeout,
            }
        }
    }

    /// Books what the run said in one call.
    pub(super) fn book(&mut self, effects: &[Effect], now: Instant) {
        let triggers = effects.iter().filter(|effect| matches!(effect, Effect::ActorStarted(_))).count();
        assert!(triggers <= 4096, "{triggers} triggers in one call");
        for effect in effects {
            assert!(!self.over(), "something after the end: {effect:?}");
            self.book_one(effect, now);
        }
        assert!(self.doing.is_none() && self.failing.is_none(), "left half done: {:?} {:?}", self.doing, self.failing);
        assert!(self.withdrawn.is_empty(), "not withdrawn: {:?}", self.withdrawn);
        assert!(self.interrupted.is_empty(), "not interrupted: {:?}", self.interrupted);
        assert!(self.doomed.is_empty(), "no end of those that waited: {:?}", self.doomed);
        let waits = |task: &Booked| !matches!(task.stand, Stand::Running { .. });
        assert!(self.phase == Phase::Running || !self.tasks.values().any(waits), "{:?}", self.tasks);
    }

    fn book_one(&mut self, effect: &Effect, now: Instant) {
        if self.failing.is_some() {
            assert!(matches!(effect, Effect::Failed { .. }), "a failure was not told before {effect:?}");
        }
        match effect {
            Effect::ActorStarted(actor) => {
                assert!(self.doing.is_none(), "{:?} was not finished", self.doing);
                let input = self.take_trigger(*actor);
                self.doing = Some(Doing::Trigger(*actor, input));
            }
            Effect::Start { task, actor, payload } => self.book_start(*task, *actor, &data(payload), now),
            Effect::Withdraw(task) => assert!(self.withdrawn.remove(task), "withdrawn: {task:?}"),
            Effect::Interrupt(task) => assert!(self.interrupted.remove(task), "interrupted: {task:?}"),
            Effect::ActorFinished(actor, ActorEnd::Finished) => self.book_success(*actor),
            Effect::ActorFinished(actor, ActorEnd::Failed(kind)) => self.book_end(*actor, *kind),
            Effect::Retrying { actor, retry, delay, failure } => {
                self.book_retry(*actor, *retry, *delay, failure.kind, now);
            }
            Effect::Failed { actor, failure, handled } => self.book_failure(*actor, failure, *handled),
            Effect::Ended { status, output } => {
                assert!(self.tasks.is_empty(), "ended although something runs: {:?}", self.tasks);
                assert_eq!(*status, self.status);
                if !self.lenient() {
                    self.skip_ports();
                    assert!(self.queue.is_empty(), "lost triggers: {:?}", self.queue);
                    assert_eq!(output.as_ref().map(data), self.output.as_ref().map(data));
                }
                self.phase = Phase::Ended;
            }
        }
    }

    fn lenient(&self) -> bool {
        self.circles && self.phase == Phase::Stopping
    }

    /// Ports of submodels say nothing: they pass on what comes.
    fn skip_ports(&mut self) {
        while let Some((actor, _)) = self.queue.front() {
            let links = match &self.workflow.actor(*actor) {
                actor if matches!(actor.kind, Kind::Boundary) => actor.links.clone(),
                _ => break,
            };
            if let Some((_, payload)) = self.queue.pop_front() {
                self.push(&links, &payload);
            }
        }
    }

    fn take_trigger(&mut self, actor: ActorId) -> Data {
        assert_ne!(self.phase, Phase::TimedOut, "a trigger after the timeout");
        self.skip_ports();
        if self.lenient() {
            let found = self.queue.iter().position(|(to, _)| *to == actor);
            return found.and_then(|place| self.queue.remove(place)).map(|(_, input)| input).unwrap_or_default();
        }
        let (expected, input) = self.queue.pop_front().expect("a trigger that nobody made");
        assert_eq!(actor, expected, "another trigger's turn");
        input
    }

    fn push(&mut self, links: &[Link], payload: &Data) {
        if self.phase != Phase::TimedOut {
            self.queue.extend(links.iter().map(|link| (link.to, payload.clone())));
        }
    }

    fn book_start(&mut self, id: TaskId, actor: ActorId, payload: &Data, now: Instant) {
        assert_eq!(self.phase, Phase::Running, "a task starts");
        if let Some(task) = self.tasks.get_mut(&id) {
            assert!(matches!(task.stand, Stand::Waiting(at) if at <= now), "started twice: {task:?}");
            assert_eq!((task.actor, &task.input), (actor, payload));
            task.stand = Stand::Queued;
            return;
        }
        assert!(self.used.insert(id), "an id used twice");
        let Some(Doing::Trigger(expected, input)) = self.doing.take() else { panic!("a task without a trigger") };
        assert!(self.workflow.actor(actor).kind.is_task());
        assert_eq!((expected, &input), (actor, payload));
        self.tasks.insert(id, Booked { actor, input, stand: Stand::Queued, retries: 0 });
    }

    fn book_retry(&mut self, actor: ActorId, number: u32, delay: Duration, kind: FailureKind, now: Instant) {
        assert_eq!(self.phase, Phase::Running, "a retry");
        let Some(Doing::End(id, Ending::Failed(expected))) = self.doing.take() else { panic!("a retry of nothing") };
        let task = self.tasks.get_mut(&id).unwrap();
        task.retries += 1;
        let retry = self.workflow.actor(actor).retry;
        assert_eq!((task.actor, task.retries, expected), (actor, number, kind));
        assert!(number <= retry.times);
        assert_eq!(delay, (retry.delay * (1 << (number - 1))).min(Duration::from_secs(3600)));
        task.stand = Stand::Waiting(now + delay);
    }

    fn book_success(&mut self, actor: ActorId) {
        let workflow = Arc::clone(&self.workflow);
        let node = workflow.actor(actor);
        match self.doing.take() {
            Some(Doing::End(id, Ending::Returned(result))) => {
                let task = self.tasks.remove(&id).unwrap();
                assert_eq!(task.actor, actor);
                let mut payload = task.input;
                payload.extend(result);
                self.push(&node.links, &payload);
            }
            Some(Doing::Trigger(expected, input)) => {
                assert_eq!(expected, actor);
                self.book_pass(actor, input);
            }
            other => panic!("{} finished while {other:?}", node.path),
        }
    }

    /// A trigger of an actor without tasks went well.
    fn book_pass(&mut self, actor: ActorId, input: Data) {
        let workflow = Arc::clone(&self.workflow);
        let node = workflow.actor(actor);
        match &node.kind {
            Kind::Python(_) | Kind::Exec(_) => panic!("a task finished without being one"),
            Kind::Stop => {
                let error = |payload: &Payload| payload.get(&Key::text(ERROR_KEY)).is_some();
                let good = !input.contains_key(&Key::text(ERROR_KEY));
                if self.output.is_none() || good {
                    self.output =
                        Some(input.into_iter().map(|(key, pickle)| (key, Value::from_pickle(pickle, None))).collect());
                    assert_eq!(self.output.as_ref().map(error), Some(!good));
                }
                return;
            }
            Kind::Join { arrivals } => {
                let waiting = self.joins.entry(actor).or_default();
                waiting.push(input);
                if waiting.len() == *arrivals {
                    let merged = waiting.drain(..).flatten().collect();
                    self.push(&node.links, &merged);
                }
                return;
            }
            Kind::Router(_) => {
                let links = self.route(actor, &input).expect("a router without a route failed not");
                return self.push(&links, &input);
            }
            Kind::Status(word) => self.status.worsen(Status::Word(word.clone())),
            Kind::ErrorHandler => self.status.worsen(Status::Error),
            Kind::Start | Kind::Fork | Kind::Boundary => {}
        }
        self.push(&node.links, &input);
    }

    fn route(&self, actor: ActorId, input: &Data) -> Option<Vec<Link>> {
        let Kind::Router(router) = &self.workflow.actor(actor).kind else { panic!("no router") };
        let value = input.get(&router.item).map(Vec::as_slice);
        let route = router.routes.iter().find(|route| value.is_some_and(|value| opens(value, &route.port)));
        route.map(|route| &route.links).or(router.other.as_ref()).cloned()
    }

    /// An actor's trigger ended badly.
    fn book_end(&mut self, actor: ActorId, kind: FailureKind) {
        let (expected, expected_kind, input) = match self.doing.take() {
            Some(Doing::End(id, Ending::Failed(kind))) => {
                let task = self.tasks.remove(&id).unwrap();
                let retry = self.workflow.actor(task.actor).retry;
                let by_run = matches!(task.stand, Stand::Running { by_timeout: Some(false), .. });
                assert!(self.phase != Phase::Running || by_run || task.retries == retry.times, "no retry");
                (task.actor, kind, task.input)
            }
            Some(Doing::Trigger(actor, input)) if self.workflow.actor(actor).kind.is_task() => {
                assert_eq!(self.phase, Phase::Stopping);
                (actor, FailureKind::Stopped, input)
            }
            Some(Doing::Trigger(actor, input)) => {
                assert!(self.route(actor, &input).is_none() || self.lenient());
                (actor, FailureKind::NoRoute, input)
            }
            None => {
                let (actor, input) = self.doomed.pop_front().expect("nothing failed");
                if self.phase == Phase::TimedOut {
                    assert_eq!((actor, kind), (actor, FailureKind::Stopped));
                    return;
                }
                (actor, FailureKind::Stopped, input)
            }
            other => panic!("failed while {other:?}"),
        };
        assert_eq!((actor, kind), (expected, expected_kind));
        self.failing = Some((actor, kind, input));
    }

    fn book_failure(&mut self, actor: ActorId, failure: &Failure, handled: bool) {
        let (expected, kind, mut payload) = self.failing.take().expect("a failure of nobody");
        assert_eq!((actor, failure.kind), (expected, kind));
        let error_targets = self.error_targets(actor);
        let taken = !error_targets.is_empty() && self.phase != Phase::TimedOut;
        if !self.lenient() {
            assert_eq!(handled, taken);
        }
        if handled {
            payload.insert(ERROR_KEY.into(), bytes(&failure.error.summary()));
            payload.insert(ERROR_INSTANCE_KEY.into(), bytes(&failure.error.instance));
            self.push(&error_targets, &payload);
        } else {
            self.status.worsen(Status::Failed);
        }
    }

    fn error_targets(&self, actor: ActorId) -> Vec<Link> {
        let actor = self.workflow.actor(actor);
        let mut error_targets = actor.on_error.clone();
        let mut scope = Some(actor.scope).filter(|_| actor.bubble_errors);
        while let Some(around) = scope {
            error_targets.extend_from_slice(&self.workflow.scope(around).on_error);
            scope = self.workflow.scope(around).parent;
        }
        error_targets
    }
}

/// The values that random tasks return, by their made-up pickles, and what is known of each.
pub(super) fn values() -> [(&'static str, RoutingValue); 8] {
    [
        ("None", RoutingValue::Null { truthy: false }),
        ("'null'", RoutingValue::Null { truthy: true }),
        ("True", RoutingValue::Bool(true)),
        ("'true'", RoutingValue::Text("true".into())),
        ("False", RoutingValue::Bool(false)),
        ("7", RoutingValue::Int(7)),
        ("'red'", RoutingValue::Text("red".into())),
        ("[]", RoutingValue::Other { truthy: false, text: None }),
    ]
}

fn opens(value: &[u8], port: &Port) -> bool {
    match port {
        Port::Null => [b"None".as_slice(), b"'null'"].contains(&value),
        Port::Bool(true) => [b"True".as_slice(), b"'true'"].contains(&value),
        Port::Bool(false) => value == b"False",
        Port::Int(number) => value == number.to_string().as_bytes(),
        Port::Text(text) => value == format!("'{text}'").as_bytes(),
    }
}
