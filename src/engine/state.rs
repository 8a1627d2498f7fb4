//! The state of a run, and the changes that all parts of the engine share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cycle::is_on_cycle;
use super::{Status, TaskId};
use crate::graph::{ActorId, Workflow};
use crate::payload::Payload;

/// One execution of a workflow, from inputs to output.
#[derive(Debug)]
pub struct Run {
    pub(super) workflow: Arc<Workflow>,
    pub(super) timeout: Option<Duration>,
    /// When the time limit of the run is reached. `None` without a limit, and after it was reached.
    pub(super) deadline: Option<Instant>,
    /// When the run was started. Returned by `next_time` as a time in the past, which means "at once".
    pub(super) started: Option<Instant>,
    pub(super) phase: Phase,
    pub(super) status: Status,
    /// The payload of the stop actor.
    pub(super) output: Option<Payload>,
    /// Triggers that are not handled yet, oldest first.
    pub(super) triggers: VecDeque<Trigger>,
    /// The trail of the current trigger.
    pub(super) trail: Trail,
    /// While stopping: actors that failed because of another error.
    failed_again: BTreeSet<ActorId>,
    /// Payloads that joins have received and not passed on. Only waiting joins have an entry.
    pub(super) joins: BTreeMap<ActorId, Vec<Payload>>,
    pub(super) tasks: BTreeMap<TaskId, Task>,
    next_task: u64,
    /// The next timeout or retry of each task.
    pub(super) timers: BTreeSet<(Instant, TaskId)>,
}

/// The phase of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not started.
    New,
    /// Triggers start tasks.
    Running,
    /// Triggers of tasks become errors with this reason. Payloads and errors still follow links.
    Stopping(String),
    /// The time limit is reached. Nothing follows links any more; the run waits for running tasks.
    TimedOut,
    /// `Effect::Ended` was returned.
    Ended,
}

/// A payload on its way to an actor.
#[derive(Debug)]
pub(super) struct Trigger {
    pub(super) actor: ActorId,
    pub(super) payload: Payload,
    pub(super) trail: Trail,
}

/// The path of a payload since the run was stopped. Without tasks, nothing else ends a cycle of routers and forks, or of error
/// links and actors whose errors bubble.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trail {
    /// Number of links.
    links: usize,
    /// Whether the trigger comes from an error.
    pub(super) failed: bool,
}

/// A task that has not ended.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) actor: ActorId,
    pub(super) input: Payload,
    pub(super) attempt: Attempt,
    /// Number of retries so far.
    pub(super) retries: u32,
}

/// The state of the current attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    /// In the queue of the pool.
    Queued,
    /// On a worker.
    Running {
        /// When its timeout is reached.
        deadline: Option<Instant>,
        interrupted: Option<Cause>,
    },
    /// Failed. The next attempt is at this time.
    Waiting(Instant),
}

/// Why a running task was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its own timeout.
    TaskTimeout,
    /// The run was aborted, or reached its time limit.
    Run,
}

impl Run {
    /// A run that is not started. `timeout` overrides that of the workflow.
    pub fn new(workflow: Arc<Workflow>, timeout: Option<Duration>) -> Self {
        Run {
            timeout: timeout.or(workflow.timeout),
            workflow,
            deadline: None,
            started: None,
            phase: Phase::New,
            status: Status::Finished,
            output: None,
            triggers: VecDeque::new(),
            trail: Trail::default(),
            failed_again: BTreeSet::new(),
            joins: BTreeMap::new(),
            tasks: BTreeMap::new(),
            next_task: 0,
            timers: BTreeSet::new(),
        }
    }

    /// Adds a trigger to the queue.
    pub(super) fn trigger(&mut self, actor: ActorId, payload: Payload) {
        let trail = match self.phase {
            Phase::TimedOut => return,
            Phase::Stopping(_) => Trail { links: self.trail.links + 1, ..self.trail },
            Phase::New | Phase::Running | Phase::Ended => Trail::default(),
        };
        // Without a cycle it passes each actor at most twice: as a payload, and as an error.
        if trail.links <= 2 * self.workflow.actors.len() {
            self.triggers.push_back(Trigger { actor, payload, trail });
        }
    }

    /// Whether an error of this actor would follow the path of an earlier error and come back. Only after a stop.
    pub(super) fn fails_in_a_cycle(&mut self, actor: ActorId) -> bool {
        matches!(self.phase, Phase::Stopping(_))
            && self.trail.failed
            && !self.failed_again.insert(actor)
            && is_on_cycle(&self.workflow, actor)
    }

    pub(super) fn new_task(&mut self, task: Task) -> TaskId {
        let id = TaskId(self.next_task);
        self.next_task += 1;
        self.tasks.insert(id, task);
        id
    }

    /// Whether there are triggers that are not handled yet.
    pub(super) fn has_triggers(&self) -> bool {
        !self.triggers.is_empty()
    }

    /// The number of items in the state. It must not grow with the iterations of a cycle.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        let joined: usize = self.joins.values().map(Vec::len).sum();
        self.triggers.len() + joined + self.tasks.len() + self.timers.len()
    }
}
