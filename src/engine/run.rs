//! One run: placeholder signatures, to be filled in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Effect, Outcome, TaskId};
use crate::graph::Workflow;
use crate::payload::Payload;

/// One execution of a workflow, from inputs to output.
#[derive(Debug)]
pub struct Run {
    workflow: Arc<Workflow>,
}

impl Run {
    /// A run that has not begun. `timeout` replaces the workflow's.
    pub fn new(workflow: Arc<Workflow>, timeout: Option<Duration>) -> Self {
        let _ = timeout;
        Run { workflow }
    }

    /// Lets the inputs in (they are the whole payload: defaults are merged by the caller).
    pub fn start(&mut self, inputs: Payload, now: Instant, effects: &mut Vec<Effect>) {
        let _ = (inputs, now, effects, &self.workflow);
    }

    /// The pool has started a task on a worker.
    pub fn on_task_started(&mut self, task: TaskId, now: Instant) {
        let _ = (task, now);
    }

    /// A task has ended.
    pub fn on_task_ended(&mut self, task: TaskId, outcome: Outcome, now: Instant, effects: &mut Vec<Effect>) {
        let _ = (task, outcome, now, effects);
    }

    /// Stop (drain): nothing new starts, what runs may finish.
    pub fn stop(&mut self, reason: &str, now: Instant, effects: &mut Vec<Effect>) {
        let _ = (reason, now, effects);
    }

    /// Stop, and interrupt what runs.
    pub fn abort(&mut self, reason: &str, now: Instant, effects: &mut Vec<Effect>) {
        let _ = (reason, now, effects);
    }

    /// Time has passed, or there was more to do than one call does.
    pub fn on_time(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let _ = (now, effects);
    }

    /// When `on_time` wants to be called: a deadline, a retry, or at once.
    pub fn next_time(&self) -> Option<Instant> {
        None
    }
}
