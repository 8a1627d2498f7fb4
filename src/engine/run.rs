//! The entry points: start, ends of tasks, stop, abort, time.

use std::time::Instant;

use super::state::{Attempt, Phase, Run, Trail, Trigger};
use super::{Effect, Outcome, Status, TaskId};
use crate::graph::OnTimeout;
use crate::payload::Payload;

/// Maximum number of triggers handled in one call. A cycle without tasks must not block the caller.
const TRIGGERS_PER_CALL: usize = 4096;

impl Run {
    /// Starts the run. `inputs` is the whole payload: the caller has merged the defaults.
    pub fn start(&mut self, inputs: Payload, now: Instant, effects: &mut Vec<Effect>) {
        if self.phase != Phase::New {
            return;
        }
        self.phase = Phase::Running;
        self.started = Some(now);
        self.deadline = self.timeout.and_then(|timeout| now.checked_add(timeout));
        self.trigger(self.workflow.start, inputs);
        self.handle_triggers(effects);
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

    /// A task had not begun on its worker, and is in the queue of the pool again.
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
        self.handle_triggers(effects);
    }

    /// Stops the run: no task starts any more, running tasks may finish.
    pub fn stop(&mut self, reason: &str, _now: Instant, effects: &mut Vec<Effect>) {
        if self.stop_tasks(reason, Status::Stopped, effects) {
            self.handle_triggers(effects);
        }
    }

    /// Stops the run and interrupts running tasks.
    pub fn abort(&mut self, reason: &str, _now: Instant, effects: &mut Vec<Effect>) {
        if self.stop_tasks(reason, Status::Aborted, effects) {
            self.interrupt_tasks(effects);
            self.handle_triggers(effects);
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
            // A stop becomes an abort, or the time limit was already reached.
            Phase::Stopping(_) | Phase::TimedOut => {
                self.status.worsen(status);
                true
            }
            Phase::New | Phase::Ended => false,
        }
    }

    /// Called at `next_time`: handles timeouts, retries, and triggers that are left over from earlier calls.
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
        self.handle_triggers(effects);
    }

    /// Whether the time limit of the run is reached: then `on_time` withdraws tasks.
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// When `on_time` must be called: at a timeout, at a retry, or at once.
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

    /// Handles triggers, and ends the run if there is nothing left.
    pub(super) fn handle_triggers(&mut self, effects: &mut Vec<Effect>) {
        for _ in 0..TRIGGERS_PER_CALL {
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
}
