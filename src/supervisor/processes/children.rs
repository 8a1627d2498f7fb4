//! The direct children of the supervisor.

use crate::graph::PoolId;
use crate::pool::WorkerId;

/// What a direct child is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Child {
    Forkserver(PoolId, ForkserverPhase),
    Worker(PoolId, WorkerId),
    Program(PoolId, WorkerId),
    /// Copies the history to MongoDB.
    Recorder,
    /// Nobody needs to know how it ends.
    LetGo,
}

/// How far a forkserver has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum ForkserverPhase {
    /// It is starting, and leaves the task modules to the workers.
    Starting,
    /// It is starting, and imports the task modules.
    Importing,
    /// It serves, or has said why it cannot.
    Answered,
}
