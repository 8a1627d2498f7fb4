//! Tasks: their attempts, timeouts, retries, and how stop and abort end them.

use std::time::{Duration, Instant};

use super::run::{Phase, Run};
use super::{ActorEnd, Effect, Failure, FailureKind, Outcome, TaskId};
use crate::graph::{ActorId, Retry};
use crate::payload::{ErrorClass, Payload, PythonError};

/// The pause between two attempts never becomes longer.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// A task that has not ended.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) actor: ActorId,
    pub(super) input: Payload,
    pub(super) attempt: Attempt,
    /// How often it was tried again.
    pub(super) retries: u32,
}

/// Where the current attempt stands.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The pool has it and has not started it.
    Queued,
    /// A worker has it.
    Running {
        /// When its time is over.
        deadline: Option<Instant>,
        interrupted: Option<Cause>,
    },
    /// It failed and is tried again at this time.
    Waiting(Instant),
}

/// Why a running task was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its own timeout.
    TaskTimeout,
    /// The run was aborted, or its time was over.
    Run,
}

impl Run {
    /// A trigger of an actor that makes tasks.
    pub(super) fn start_task(&mut self, actor: ActorId, input: Payload, effects: &mut Vec<Effect>) {
        if let Phase::Stopping(reason) = &self.phase {
            let failure = stopped(reason);
            return self.fail(actor, &input, failure, effects);
        }
        let task = self.new_task(Task { actor, input: input.clone(), attempt: Attempt::Queued, retries: 0 });
        effects.push(Effect::Start { task, actor, payload: input });
    }

    /// The pool's word about the end of an attempt.
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

    /// An attempt failed: the task is tried again, or its error goes its way.
    fn fail_task(&mut self, id: TaskId, failure: Failure, now: Instant, effects: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let retry = self.workflow.actor(task.actor).retry;
        // After a stop, an abort or the run's timeout, which are what else interrupts it, nothing is tried again.
        let again = self.phase == Phase::Running && task.retries < retry.times;
        let delay = pause(retry, task.retries.saturating_add(1));
        // A time that the clock does not know never comes.
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

    /// What the end of an attempt will count as: an interrupt that its timeout has caused is a timeout.
    pub fn judge(&self, id: TaskId, failure: Failure) -> Failure {
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

    /// A task's time has come: its retry, or its timeout.
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

    /// Ends every task that no worker has: with an error that flows on.
    pub(super) fn stop_waiting_tasks(&mut self, reason: &str, effects: &mut Vec<Effect>) {
        for task in self.take_waiting_tasks(effects) {
            self.fail(task.actor, &task.input, stopped(reason), effects);
        }
    }

    /// Ends every task that no worker has: nothing flows on.
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

    /// Interrupts every task that a worker has, once.
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

fn stopped(reason: &str) -> Failure {
    Failure { kind: FailureKind::Stopped, error: PythonError::new(ErrorClass::WorkflowStopped, reason) }
}

/// The pause before this retry, from 1: doubled each time.
fn pause(retry: Retry, number: u32) -> Duration {
    let factor = 2_u32.saturating_pow(number.saturating_sub(1));
    retry.delay.saturating_mul(factor).min(LONGEST_DELAY.max(retry.delay))
}
