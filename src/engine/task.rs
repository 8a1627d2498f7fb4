//! Tasks: attempts, timeouts, retries, and their end at a stop or abort.

use std::time::{Duration, Instant};

use super::flow::stopped;
use super::state::{Attempt, Cause, Phase, Run, Task};
use super::{ActorEnd, Effect, Failure, FailureKind, Outcome, TaskId};
use crate::graph::Retry;
use crate::payload::{ErrorClass, Payload, PythonError};

/// Maximum pause between two attempts, unless `retry_delay` is longer.
const MAX_DELAY: Duration = Duration::from_secs(3600);

impl Run {
    /// An attempt has ended.
    pub(super) fn end_attempt(&mut self, id: TaskId, outcome: Outcome, now: Instant, effects: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get(&id) else { return };
        let cause = match task.attempt {
            Attempt::Waiting(_) => return,
            Attempt::Queued => None,
            Attempt::Running { deadline, interrupted } => {
                if let Some(at) = deadline {
                    self.timers.remove(&(at, id));
                }
                interrupted
            }
        };
        match outcome {
            Outcome::Returned(result) => self.succeed(id, &result, effects),
            Outcome::Failed(failure) => {
                let failure = if cause == Some(Cause::TaskTimeout) { self.timed_out_or(id, failure) } else { failure };
                self.fail_task(id, failure, now, effects);
            }
        }
    }

    fn succeed(&mut self, id: TaskId, result: &Payload, effects: &mut Vec<Effect>) {
        let Some(task) = self.tasks.remove(&id) else { return };
        let mut payload = task.input;
        payload.merge(result);
        effects.push(Effect::ActorFinished(task.actor, ActorEnd::Finished));
        self.follow_links(task.actor, payload);
    }

    /// Retries a failed task, or ends it with the error.
    fn fail_task(&mut self, id: TaskId, failure: Failure, now: Instant, effects: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let retry = self.workflow.actor(task.actor).retry;
        // There are no retries after a stop, an abort or the time limit of the run.
        let again = self.phase == Phase::Running && task.retries < retry.times;
        let delay = pause(retry, task.retries.saturating_add(1));
        // A time beyond the range of the clock never comes.
        let at = now.checked_add(delay).filter(|_| again);
        if let Some(at) = at {
            task.retries += 1;
            task.attempt = Attempt::Waiting(at);
            self.timers.insert((at, id));
            effects.push(Effect::Retrying { actor: task.actor, retry: task.retries, delay, failure });
        } else if let Some(task) = self.tasks.remove(&id) {
            self.fail(task.actor, &task.input, failure, effects);
        }
    }

    /// The failure that an attempt ends with: an interrupt because of its timeout becomes a timeout.
    pub fn classify(&self, id: TaskId, failure: Failure) -> Failure {
        match self.tasks.get(&id).map(|task| &task.attempt) {
            Some(Attempt::Running { interrupted: Some(Cause::TaskTimeout), .. }) => self.timed_out_or(id, failure),
            _ => failure,
        }
    }

    fn timed_out_or(&self, id: TaskId, failure: Failure) -> Failure {
        match failure.kind {
            FailureKind::Interrupted | FailureKind::Lost => self.timed_out(id),
            _ => failure,
        }
    }

    fn timed_out(&self, id: TaskId) -> Failure {
        let timeout = self.tasks.get(&id).and_then(|task| self.workflow.actor(task.actor).timeout).unwrap_or_default();
        let message = format!("the task took longer than its timeout of {timeout:?}");
        Failure { kind: FailureKind::TimedOut, error: PythonError::new(ErrorClass::TaskTimeout, message) }
    }

    /// The retry or the timeout of a task is due.
    pub(super) fn on_timer(&mut self, id: TaskId, now: Instant, effects: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        match &mut task.attempt {
            Attempt::Waiting(at) if *at <= now => {
                task.attempt = Attempt::Queued;
                effects.push(Effect::Start { task: id, actor: task.actor, payload: task.input.clone() });
            }
            Attempt::Running { deadline, interrupted } if deadline.is_some_and(|at| at <= now) => {
                *deadline = None;
                if interrupted.is_none() {
                    *interrupted = Some(Cause::TaskTimeout);
                    effects.push(Effect::Interrupt(id));
                }
            }
            _ => {}
        }
    }

    /// Ends all tasks that are not on a worker, with an error that follows links.
    pub(super) fn stop_waiting_tasks(&mut self, reason: &str, effects: &mut Vec<Effect>) {
        for task in self.take_waiting_tasks(effects) {
            self.fail(task.actor, &task.input, stopped(reason), effects);
        }
    }

    /// Ends all tasks that are not on a worker. Their errors follow no links.
    pub(super) fn drop_waiting_tasks(&mut self, effects: &mut Vec<Effect>) {
        for task in self.take_waiting_tasks(effects) {
            effects.push(Effect::ActorFinished(task.actor, ActorEnd::Failed(FailureKind::Stopped)));
        }
    }

    fn take_waiting_tasks(&mut self, effects: &mut Vec<Effect>) -> Vec<Task> {
        let waiting = self.tasks.extract_if(.., |_, task| !matches!(task.attempt, Attempt::Running { .. }));
        let mut taken = Vec::new();
        for (id, task) in waiting {
            match task.attempt {
                Attempt::Waiting(at) => _ = self.timers.remove(&(at, id)),
                _ => effects.push(Effect::Withdraw(id)),
            }
            taken.push(task);
        }
        taken
    }

    /// Interrupts all tasks on workers, each once.
    pub(super) fn interrupt_tasks(&mut self, effects: &mut Vec<Effect>) {
        for (id, task) in &mut self.tasks {
            if let Attempt::Running { interrupted, .. } = &mut task.attempt {
                if interrupted.is_none() {
                    effects.push(Effect::Interrupt(*id));
                }
                *interrupted = Some(Cause::Run);
            }
        }
    }
}

/// The pause before a retry. `number` counts from 1; the pause doubles each time.
fn pause(retry: Retry, number: u32) -> Duration {
    let factor = 2_u32.saturating_pow(number.saturating_sub(1));
    retry.delay.saturating_mul(factor).min(MAX_DELAY.max(retry.delay))
}
