//! The inputs and outputs of the engine.

use std::time::Duration;

use crate::graph::ActorId;
use crate::payload::{Payload, PythonError};

use super::Status;

/// One execution of a python or exec actor. The id is unique in its run. A retry keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// How a task ended.
#[derive(Debug)]
pub enum Outcome {
    /// The return value of `run`, or the results of the program, without the input.
    Returned(Payload),
    /// The task failed.
    Failed(Failure),
}

/// Why a task failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// The Python error.
    pub error: PythonError,
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The task raised an exception, its module could not be imported, or its program exited with an error.
    Raised,
    /// It was interrupted. It returned, or was killed.
    Interrupted,
    /// Its worker died or broke the protocol.
    Lost,
    /// It took longer than its timeout.
    TimedOut,
    /// The run was stopped before the task started.
    Stopped,
    /// A router has no port for a value.
    NoRoute,
}

/// What the supervisor must do, or may report.
#[derive(Debug)]
pub enum Effect {
    /// Queue this task in the pool of its actor. The supervisor calls `on_task_started` and `on_task_ended`.
    Start {
        /// The task.
        task: TaskId,
        /// Its actor.
        actor: ActorId,
        /// Its input.
        payload: Payload,
    },
    /// Remove a task from the queue of its pool. Its end is not reported.
    Withdraw(TaskId),
    /// Interrupt a task on a worker. Its end is still reported.
    Interrupt(TaskId),
    /// A trigger arrived at this actor. Not for ports of submodels.
    ActorStarted(ActorId),
    /// A trigger of this actor is finished. For retried tasks: once, after the last attempt.
    ActorFinished(ActorId, ActorEnd),
    /// An attempt failed and will be repeated.
    Retrying {
        /// The actor of the task.
        actor: ActorId,
        /// The number of the next retry, from 1.
        retry: u32,
        /// The pause before it.
        delay: Duration,
        /// The failure.
        failure: Failure,
    },
    /// An actor failed.
    Failed {
        /// The actor.
        actor: ActorId,
        /// The failure.
        failure: Failure,
        /// Whether the error followed an error link or an `on_error` of a scope.
        handled: bool,
    },
    /// The run has ended: nothing of it is queued or running. This is the last effect, exactly once.
    Ended {
        /// Its status.
        status: Status,
        /// The payload of the stop actor.
        output: Option<Payload>,
    },
}

/// How a trigger of an actor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorEnd {
    /// It passed its payload on.
    Finished,
    /// It failed.
    Failed(FailureKind),
}
