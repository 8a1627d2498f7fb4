//! One run: its state, and what it is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::circle::is_on_circle;
use super::task::{Attempt, Task};
use super::{Effect, Outcome, Status, TaskId};
use crate::graph::{ActorId, OnTimeout, Workflow};
use crate::payload::Payload;

/// So many triggers are handled in one call: a cycle without tasks must not keep the caller from its other work.
const TRIGGERS_A_CALL: usize = 4096;

/// One execution of a workflow, from inputs to output.
#[derive(Debug)]
pub struct Run {
    pub(super) workflow: Arc<Workflow>,
    timeout: Option<Duration>,
    /// When the run's time is over; none without a timeout, and none once it was.
    deadline: Option<Instant>,
    /// When it was started: a time that has passed, for "at once".
    started: Option<Instant>,
    pub(super) phase: Phase,
    pub(super) status: Status,
    /// What the stop actor holds.
    pub(super) output: Option<Payload>,
    /// Triggers that were made and not handled yet, oldest first.
    triggers: VecDeque<Trigger>,
    /// The trail of the trigger that is handled now.
    pub(super) trail: Trail,
    /// Actors that failed, while stopping, on the trail of another error.
    failed_again: BTreeSet<ActorId>,
    /// What joins have received and not passed on: entries only for joins that wait.
    pub(super) joins: BTreeMap<ActorId, Vec<Payload>>,
    pub(super) tasks: BTreeMap<TaskId, Task>,
    next_task: u64,
    /// When tasks want something: a timeout, a retry.
    pub(super) timers: BTreeSet<(Instant, TaskId)>,
}

/// What a run still does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not been started.
    New,
    /// Triggers make tasks.
    Running,
    /// Triggers of tasks end as errors with this reason, which flow on.
    Stopping(String),
    /// Its time is over: nothing flows on, it waits for what runs.
    TimedOut,
    /// It has said so.
    Ended,
}

/// A payload on its way to an actor.
#[derive(Debug)]
struct Trigger {
    actor: ActorId,
    payload: Payload,
    trail: Trail,
}

/// What a payload has passed since the run was stopped and since it left its last task. Where no task starts, nothing
/// else ends a circle: of routers and forks, or of error links and actors that take errors and bubble their own.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trail {
    /// How many links.
    links: usize,
    /// Whether an error made it.
    pub(super) failed: bool,
}

impl Run {
    /// A run that has not begun. `timeout` replaces the workflow's.
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

    /// Lets the inputs in (they are the whole payload: defaults are merged by the caller).
    pub fn start(&mut self, inputs: Payload, now: Instant, effects: &mut Vec<Effect>) {
        if self.phase != Phase::New {
            return;
        }
        self.phase = Phase::Running;
        self.started = Some(now);
        self.deadline = self.timeout.and_then(|timeout| now.checked_add(timeout));
        self.trigger(self.workflow.start, inputs);
        self.settle(effects);
    }

    /// The pool has started a task on a worker.
    pub fn on_task_started(&mut self, task: TaskId, now: Instant) {
        let Some(running) = self.tasks.get_mut(&task) else { return };
        if !matches!(running.attempt, Attempt::Queued) {
            return;
        }
        let timeout = self.workflow.actor(running.actor).timeout;
        let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        running.attempt = Attempt::Running { deadline, interrupted: None };
        self.timers.extend(deadline.map(|at| (at, task)));
    }

    /// It had not begun there, and waits for a worker again.
    pub fn on_task_put_back(&mut self, task: TaskId) {
        let Some(running) = self.tasks.get_mut(&task) else { return };
        if let Attempt::Running { deadline, interrupted: None } = running.attempt {
            running.attempt = Attempt::Queued;
            if let Some(at) = deadline {
                self.timers.remove(&(at, task));
            }
        }
    }

    /// A task has ended.
    pub fn on_task_ended(&mut self, task: TaskId, outcome: Outcome, now: Instant, effects: &mut Vec<Effect>) {
        self.end_attempt(task, outcome, now, effects);
        self.settle(effects);
    }

    /// Stop (drain): nothing new starts, what runs may finish.
    pub fn stop(&mut self, reason: &str, _now: Instant, effects: &mut Vec<Effect>) {
        if self.stop_tasks(reason, Status::Stopped, effects) {
            self.settle(effects);
        }
    }

    /// Stop, and interrupt what runs.
    pub fn abort(&mut self, reason: &str, _now: Instant, effects: &mut Vec<Effect>) {
        if self.stop_tasks(reason, Status::Aborted, effects) {
            self.interrupt_tasks(effects);
            self.settle(effects);
        }
    }

    fn stop_tasks(&mut self, reason: &str, status: Status, effects: &mut Vec<Effect>) -> bool {
        match self.phase {
            Phase::Running => {
                self.phase = Phase::Stopping(reason.to_owned());
                self.status.worsen(status);
                self.stop_waiting_tasks(reason, effects);
                true
            }
            // A stop that becomes an abort, or the end of a run whose time was over already.
            Phase::Stopping(_) | Phase::TimedOut => {
                self.status.worsen(status);
                true
            }
            Phase::New | Phase::Ended => false,
        }
    }

    /// Time has passed, or there was more to do than one call does.
    pub fn on_time(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.is_overdue(now) {
            self.time_out(effects);
        }
        while let Some(&(at, task)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            self.on_timer(task, now, effects);
        }
        self.settle(effects);
    }

    /// Whether the run's own time is over, so that `on_time` will withdraw tasks.
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// When `on_time` wants to be called: a deadline, a retry, or at once.
    pub fn next_time(&self) -> Option<Instant> {
        if !self.triggers.is_empty() {
            return self.started;
        }
        let timer = self.timers.first().map(|(at, _)| *at);
        self.deadline.into_iter().chain(timer).min()
    }

    fn time_out(&mut self, effects: &mut Vec<Effect>) {
        self.deadline = None;
        if !matches!(self.phase, Phase::Running | Phase::Stopping(_)) {
            return;
        }
        self.status.worsen(Status::Timeout);
        self.phase = Phase::TimedOut;
        self.triggers.clear();
        self.joins.clear();
        self.drop_waiting_tasks(effects);
        if self.workflow.on_timeout == OnTimeout::Interrupt {
            self.interrupt_tasks(effects);
        }
    }

    /// Makes a trigger, to be handled in its turn.
    pub(super) fn trigger(&mut self, actor: ActorId, payload: Payload) {
        let trail = match self.phase {
            Phase::TimedOut => return,
            Phase::Stopping(_) => Trail { links: self.trail.links + 1, ..self.trail },
            Phase::New | Phase::Running | Phase::Ended => Trail::default(),
        };
        // Without a circle it meets an actor at most twice: as it left the task, and as an error.
        if trail.links <= 2 * self.workflow.actors.len() {
            self.triggers.push_back(Trigger { actor, payload, trail });
        }
    }

    /// Whether an error of this actor, made now, would go the way of an earlier one, and in the end come back.
    pub(super) fn fails_in_a_circle(&mut self, actor: ActorId) -> bool {
        matches!(self.phase, Phase::Stopping(_))
            && self.trail.failed
            && !self.failed_again.insert(actor)
            && is_on_circle(&self.workflow, actor)
    }

    pub(super) fn new_task(&mut self, task: Task) -> TaskId {
        let id = TaskId(self.next_task);
        self.next_task += 1;
        self.tasks.insert(id, task);
        id
    }

    /// Handles the triggers that there are, and ends the run if nothing of it is left.
    pub(super) fn settle(&mut self, effects: &mut Vec<Effect>) {
        for _ in 0..TRIGGERS_A_CALL {
            let Some(Trigger { actor, payload, trail }) = self.triggers.pop_front() else { break };
            self.trail = trail;
            self.on_trigger(actor, payload, effects);
        }
        self.trail = Trail::default();
        let over = self.triggers.is_empty() && self.tasks.is_empty();
        if over && !matches!(self.phase, Phase::New | Phase::Ended) {
            self.phase = Phase::Ended;
            self.deadline = None;
            self.joins.clear();
            let status = std::mem::replace(&mut self.status, Status::Finished);
            effects.push(Effect::Ended { status, output: self.output.take() });
        }
    }

    /// Whether triggers were made that are not handled yet.
    pub(super) fn has_triggers(&self) -> bool {
        !self.triggers.is_empty()
    }

    /// How many things the run holds: what must not grow with the iterations of a cycle.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        let joined: usize = self.joins.values().map(Vec::len).sum();
        self.triggers.len() + joined + self.tasks.len() + self.timers.len()
    }
}
