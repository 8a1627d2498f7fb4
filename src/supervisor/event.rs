//! What the supervisor reports to its caller: the command line or the service.

use std::fmt;

use crate::engine::{ActorEnd, Status};
use crate::graph::ActorId;
use crate::payload::{JsonObject, Payload};

/// One execution of the workflow, in this supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event that the caller may want to know of.
#[derive(Debug)]
pub enum SupervisorEvent {
    /// A trigger arrived at an actor.
    ActorStarted(RunId, ActorId),
    /// A trigger of an actor was dealt with.
    ActorFinished(RunId, ActorId, ActorEnd),
    /// An actor failed, and no error link or error handler took the error.
    Failed {
        /// The run.
        run: RunId,
        /// The actor.
        actor: ActorId,
        /// Why, in one line.
        message: String,
    },
    /// A run has ended. The supervisor does not know it any more.
    RunEnded {
        /// The run.
        run: RunId,
        /// How it ended.
        status: Status,
        /// The payload that reached the stop actor.
        output: Option<Payload>,
    },
    /// A payload was written as JSON ([`Supervisor::describe`](super::Supervisor::describe)).
    Described(JsonObject),
    /// The output of a run was written as JSON ([`Supervisor::describe_run`](super::Supervisor::describe_run)).
    RunDescribed(RunId, JsonObject),
    /// The process got SIGINT, SIGTERM or SIGHUP, by number.
    Signal(i32),
}
