//! What those who look on are told: the command line, later the bus and the history.

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

/// Something that happened.
#[derive(Debug)]
pub enum Happening {
    /// A trigger arrived at an actor.
    ActorStarted(RunId, ActorId),
    /// A trigger of an actor is done with.
    ActorFinished(RunId, ActorId, ActorEnd),
    /// An actor failed and nobody took the error.
    Failed {
        /// In which run.
        run: RunId,
        /// Which.
        actor: ActorId,
        /// Why, in one line.
        message: String,
    },
    /// A run is over; it is not known to the supervisor any more.
    RunEnded {
        /// Which.
        run: RunId,
        /// How it ended.
        status: Status,
        /// What the stop actor held.
        output: Option<Payload>,
    },
    /// A payload was written as JSON ([`Supervisor::describe`](super::Supervisor::describe)).
    Described(JsonObject),
    /// What a run gave was written as JSON ([`Supervisor::describe_run`](super::Supervisor::describe_run)).
    RunDescribed(RunId, JsonObject),
    /// The process got SIGINT, SIGTERM or SIGHUP, by number.
    Signal(i32),
}
