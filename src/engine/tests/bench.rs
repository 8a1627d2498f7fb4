//! A test harness for a run: a simulated clock, and effects as short texts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::graph::Graph;
use crate::engine::{ActorEnd, Effect, Failure, FailureKind, Outcome, Run, TaskId};
use crate::graph::{ActorId, Workflow};
use crate::payload::{ERROR_INSTANCE_KEY, ERROR_KEY, ErrorClass, Key, Payload, Plain, PythonError, to_json};

pub(super) struct Bench {
    pub(super) run: Run,
    pub(super) workflow: Arc<Workflow>,
    pub(super) now: Instant,
    effects: Vec<Effect>,
    /// The actors of the tasks that were given out, and how many each has had.
    tasks: BTreeMap<TaskId, String>,
    given: BTreeMap<ActorId, usize>,
}

/// A payload from JSON.
pub(super) fn payload(json: &str) -> Payload {
    let object: serde_json::Map<_, _> = serde_json::from_str(json).unwrap();
    crate::payload::payload_from_json(&object).expect("short numbers")
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure { kind, error: PythonError::new(ErrorClass::WorkerLost, message) }
}

pub(super) fn raised(message: &str) -> Outcome {
    Outcome::Failed(failure(FailureKind::Raised, message))
}

pub(super) fn interrupted() -> Outcome {
    Outcome::Failed(failure(FailureKind::Interrupted, "interrupted"))
}

/// A payload as JSON; an error in it as `!message`.
pub(super) fn written(payload: &Payload) -> String {
    let entries = payload.iter().filter(|(key, _)| **key != Key::text(ERROR_INSTANCE_KEY)).map(|(key, value)| {
        let json = to_json(value).unwrap();
        if *key == Key::text(ERROR_KEY) {
            format!("!{}", json["errorMessage"].as_str().unwrap())
        } else {
            format!("{key}={json}")
        }
    });
    format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
}

impl Bench {
    pub(super) fn new(graph: &Graph) -> Self {
        Self::of(graph.build(), None)
    }

    pub(super) fn of(workflow: Arc<Workflow>, timeout: Option<Duration>) -> Self {
        Bench {
            run: Run::new(Arc::clone(&workflow), timeout),
            workflow,
            now: Instant::now(),
            effects: Vec::new(),
            tasks: BTreeMap::new(),
            given: BTreeMap::new(),
        }
    }

    /// A run that has begun with these inputs, and what it said.
    pub(super) fn started(graph: &Graph, inputs: &str) -> (Self, Vec<String>) {
        let mut bench = Self::new(graph);
        let said = bench.start(inputs);
        (bench, said)
    }

    pub(super) fn start(&mut self, inputs: &str) -> Vec<String> {
        self.start_with(payload(inputs))
    }

    pub(super) fn start_with(&mut self, inputs: Payload) -> Vec<String> {
        self.run.start(inputs, self.now, &mut self.effects);
        self.said()
    }

    /// The pool starts the task of this name.
    pub(super) fn begin(&mut self, task: &str) {
        self.run.on_task_started(self.task(task), self.now);
    }

    /// It had not begun after all.
    pub(super) fn put_back(&mut self, task: &str) {
        self.run.on_task_put_back(self.task(task));
    }

    pub(super) fn end(&mut self, task: &str, outcome: Outcome) -> Vec<String> {
        let task = self.task(task);
        self.run.on_task_ended(task, outcome, self.now, &mut self.effects);
        self.said()
    }

    /// The task starts if it has not, and returns this.
    pub(super) fn finish(&mut self, task: &str, result: &str) -> Vec<String> {
        self.begin(task);
        self.end(task, Outcome::Returned(payload(result)))
    }

    /// The task starts if it has not, and raises.
    pub(super) fn raise(&mut self, task: &str, message: &str) -> Vec<String> {
        self.begin(task);
        self.end(task, raised(message))
    }

    pub(super) fn stop(&mut self) -> Vec<String> {
        self.run.stop("stopped", self.now, &mut self.effects);
        self.said()
    }

    pub(super) fn abort(&mut self) -> Vec<String> {
        self.run.abort("aborted", self.now, &mut self.effects);
        self.said()
    }

    pub(super) fn later(&mut self, by: Duration) -> Vec<String> {
        self.now += by;
        self.run.on_time(self.now, &mut self.effects);
        self.said()
    }

    /// After which pause it wants to be called.
    pub(super) fn next(&self) -> Option<Duration> {
        self.run.next_time().map(|at| at.saturating_duration_since(self.now))
    }

    fn task(&self, name: &str) -> TaskId {
        let found = self.tasks.iter().find(|(_, known)| *known == name);
        found.map_or(TaskId(u64::MAX), |(id, _)| *id)
    }

    /// What was asked for since the last question, without the coming and going of actors.
    pub(super) fn said(&mut self) -> Vec<String> {
        let all = self.said_all();
        all.into_iter().filter(|said| !said.starts_with('(')).collect()
    }

    /// All of it; the coming and going of actors is in parentheses.
    pub(super) fn said_all(&mut self) -> Vec<String> {
        std::mem::take(&mut self.effects).iter().map(|effect| self.sentence(effect)).collect()
    }

    /// As [`Bench::start`], with everything that is said.
    pub(super) fn start_loudly(&mut self, inputs: &str) -> Vec<String> {
        self.run.start(payload(inputs), self.now, &mut self.effects);
        self.said_all()
    }

    fn sentence(&mut self, effect: &Effect) -> String {
        match effect {
            Effect::Start { task, actor, payload } => {
                let name = self.name_task(*task, *actor);
                format!("start {name} {}", written(payload))
            }
            Effect::Withdraw(task) => format!("withdraw {}", self.tasks[task]),
            Effect::Interrupt(task) => format!("interrupt {}", self.tasks[task]),
            Effect::ActorStarted(actor) => format!("({} started)", self.name(*actor)),
            Effect::ActorFinished(actor, ActorEnd::Finished) => format!("({} finished)", self.name(*actor)),
            Effect::ActorFinished(actor, ActorEnd::Failed(kind)) => format!("({} failed: {kind:?})", self.name(*actor)),
            Effect::Retrying { actor, retry, delay, failure } => {
                format!("retry {retry} of {} in {delay:?}: {}", self.name(*actor), failure.error.message)
            }
            Effect::Failed { actor, failure, handled } => {
                let handled = if *handled { "handled" } else { "unhandled" };
                format!("{} {handled} {:?}: {}", self.name(*actor), failure.kind, failure.error.message)
            }
            Effect::Ended { status, output } => {
                let output = output.as_ref().map_or("nothing".to_owned(), written);
                format!("ended {status} with {output}")
            }
        }
    }

    /// The first task of an actor has its name, the second `name2`, and so on.
    fn name_task(&mut self, task: TaskId, actor: ActorId) -> String {
        if let Some(name) = self.tasks.get(&task) {
            return name.clone();
        }
        let number = self.given.entry(actor).or_default();
        *number += 1;
        let number = *number;
        let name = self.name(actor);
        let name = if number == 1 { name.to_owned() } else { format!("{name}{number}") };
        self.tasks.insert(task, name.clone());
        name
    }

    fn name(&self, actor: ActorId) -> &str {
        &self.workflow.actor(actor).name
    }
}

/// The pickled value of a plain one, as a worker would send it.
pub(super) fn with_x(value: Plain) -> Payload {
    [(Key::text("x"), value.to_value())].into_iter().collect()
}
