//! What the engine is told and what it asks for.

use std::time::Duration;

use crate::graph::ActorId;
use crate::payload::{Payload, PythonError};

use super::Status;

/// One execution of a python or exec actor in a run; unique in its run. A retry keeps the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// How a task ended: in exactly one of these ways.
#[derive(Debug)]
pub enum Outcome {
    /// `run` returned this mapping (the result alone, without the input), or the program's results.
    Returned(Payload),
    /// It did not.
    Failed(Failure),
}

/// Why a task failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What sort of failure.
    pub kind: FailureKind,
    /// The error as Python sees it.
    pub error: PythonError,
}

/// What sort of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The task raised, its import failed, its program exited with an error.
    Raised,
    /// It was interrupted, whether it returned from that by itself or had to be killed.
    Interrupted,
    /// Its worker died or broke the protocol.
    Lost,
    /// It took longer than its timeout.
    TimedOut,
    /// The run was stopped before it could start.
    Stopped,
    /// A router had no port for a value.
    NoRoute,
}

/// What the engine asks the supervisor to do, or tells those who look on.
#[derive(Debug)]
pub enum Effect {
    /// Give this task to its actor's pool. It is answered by `on_task_started` and `on_task_ended`.
    Start {
        /// The task.
        task: TaskId,
        /// Its actor.
        actor: ActorId,
        /// Its input.
        payload: Payload,
    },
    /// Take back a task that was given to the pool and has not been started; nothing more is said of it.
    Withdraw(TaskId),
    /// Interrupt a task that has been started; its end is still reported.
    Interrupt(TaskId),
    /// A trigger arrived at this actor (every kind but a submodel's ports).
    ActorStarted(ActorId),
    /// A trigger of this actor is done with. For retried tasks: once, at the last attempt.
    ActorFinished(ActorId, ActorEnd),
    /// An attempt failed and will be repeated.
    Retrying {
        /// Whose task.
        actor: ActorId,
        /// Which retry comes next, from 1.
        retry: u32,
        /// After which pause.
        delay: Duration,
        /// What went wrong.
        failure: Failure,
    },
    /// An actor failed.
    Failed {
        /// Which actor.
        actor: ActorId,
        /// What went wrong.
        failure: Failure,
        /// Whether somebody took the error (an error link, a scope's `on_error`).
        handled: bool,
    },
    /// The run is over: nothing of it is queued or running. Said exactly once, last.
    Ended {
        /// How it ended.
        status: Status,
        /// What the stop actor holds.
        output: Option<Payload>,
    },
}

/// How a trigger of an actor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorEnd {
    /// It passed its payload on.
    Finished,
    /// It failed in this way.
    Failed(FailureKind),
}
