//! Termination of an interrupted job: SIGINT, then SIGTERM and SIGKILL, each after the grace time.

use std::time::{Duration, Instant};

/// One step of the escalation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EscalationStep {
    /// SIGINT: the task gets an exception, the worker lives.
    Interrupt,
    /// SIGTERM to all of its processes.
    Terminate,
    /// SIGKILL to all of its processes.
    Kill,
}

/// What is due while a job is terminated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The next step.
    Step(EscalationStep),
    /// It was killed, and has not ended: reported once.
    Stuck,
}

/// The termination of one job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Escalation {
    step: EscalationStep,
    next: Option<Instant>,
}

impl Escalation {
    pub(super) fn new(step: EscalationStep, now: Instant, grace: Duration) -> Self {
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
            EscalationStep::Interrupt => EscalationStep::Terminate,
            EscalationStep::Terminate => EscalationStep::Kill,
            EscalationStep::Kill => return Some(Due::Stuck),
        };
        *self = Escalation::new(step, now, grace);
        Some(Due::Step(step))
    }

    /// Goes to a step at once. False if that step was reached already.
    pub(super) fn raise(&mut self, step: EscalationStep, now: Instant, grace: Duration) -> bool {
        let higher = step > self.step;
        if higher {
            *self = Escalation::new(step, now, grace);
        }
        higher
    }
}
