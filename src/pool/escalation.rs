//! How an interrupted job is pressed until it ends: SIGINT, and after each grace time the next signal.

use std::time::{Duration, Instant};

/// One step of the escalation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// SIGINT: the task gets an exception, the worker lives.
    Interrupt,
    /// SIGTERM to all of its processes.
    Terminate,
    /// SIGKILL to all of its processes.
    Kill,
}

/// What is due while a job is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The next step.
    Step(Step),
    /// It was killed, and is still there: once.
    Stuck,
}

/// A job that is being pressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Escalation {
    step: Step,
    next: Option<Instant>,
}

impl Escalation {
    pub(super) fn new(step: Step, now: Instant, grace: Duration) -> Self {
        Escalation { step, next: Some(now + grace) }
    }

    /// When something is due next, if anything is.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// What is due now, if anything is.
    pub(super) fn advance(&mut self, now: Instant, grace: Duration) -> Option<Due> {
        self.next.take_if(|next| *next <= now)?;
        let step = match self.step {
            Step::Interrupt => Step::Terminate,
            Step::Terminate => Step::Kill,
            Step::Kill => return Some(Due::Stuck),
        };
        *self = Escalation::new(step, now, grace);
        Some(Due::Step(step))
    }

    /// Goes on to a step at once, unless it is there already.
    pub(super) fn raise(&mut self, step: Step, now: Instant, grace: Duration) -> bool {
        let higher = step > self.step;
        if higher {
            *self = Escalation::new(step, now, grace);
        }
        higher
    }
}
