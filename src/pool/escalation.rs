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

/// A job that is being pressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Escalation {
    step: Step,
    next: Option<Instant>,
}

impl Escalation {
    pub(super) fn new(step: Step, now: Instant, grace: Duration) -> Self {
        let next = (step != Step::Kill).then(|| now + grace);
        Escalation { step, next }
    }

    /// When the next step is due; never again after the last one.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// The step that is due now, if one is.
    pub(super) fn advance(&mut self, now: Instant, grace: Duration) -> Option<Step> {
        if self.next.is_none_or(|next| next > now) {
            return None;
        }
        let step = match self.step {
            Step::Interrupt => Step::Terminate,
            Step::Terminate | Step::Kill => Step::Kill,
        };
        *self = Escalation::new(step, now, grace);
        Some(step)
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
