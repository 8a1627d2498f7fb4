//! What the bus asks of the loop, and what the loop tells the bus.

use std::time::Duration;

use crate::engine::ActorEnd;
use crate::graph::ActorId;
use crate::history::RunRequest;
use crate::process::tree::{Process, Snapshot};
use crate::supervisor::RunId;
use crate::supervisor::listing::Listing;

/// One method call: a message to the loop.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// Where the reply goes. The caller may be gone.
    pub reply: ReplySender,
}

/// Where a reply goes.
pub type ReplySender = async_channel::Sender<Result<Response, RequestError>>;

/// Replies, if there is somebody to reply to.
pub(super) fn send_reply(reply: Option<ReplySender>, response: Result<Response, RequestError>) {
    if let Some(reply) = reply {
        // The caller may be gone.
        let _ = reply.try_send(response);
    }
}

/// What is asked.
#[derive(Debug)]
pub enum Command {
    /// Accept a run.
    Run(RunRequest),
    /// Accept no more runs, finish the accepted ones, then exit.
    Drain,
    /// Abort all runs.
    AbortAll(String),
    /// Stop one run.
    Stop(RunId, String),
    /// Abort one run.
    Abort(RunId, String),
    /// Read the workflow file again.
    Reload,
    /// Say which of these processes belong to the service, and what they do. Finding and describing them took so long.
    ListProcesses(Snapshot, Duration),
    /// Send a signal to processes: `all`, `daemonic`, `non-daemonic`, `actor:ID`.
    Signal(String, i32),
    /// Send a signal to one process.
    Kill(Process, i32),
    /// Write into the status snapshot what running runs have used up to now.
    UpdateUsage,
    /// The service can be called over the bus from now on, or the bus cannot be reached for now.
    BusTried,
}

/// The maximum length of a run's label, request id, initiator, host and port, in characters. They are for people, and stay in
/// memory and in the history.
pub const MAX_LABEL: usize = 200;

/// The reply of the loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// It is done, or under way.
    Done,
    /// The run was accepted.
    Run(RunId),
    /// The processes, in the order of the tree.
    Processes(Listing),
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The inputs or options are wrong.
    #[error("{0}")]
    InvalidInputs(String),
    /// There is no such run, or it is over.
    #[error("{0}")]
    NoSuchRun(String),
    /// There is no such process any more.
    #[error("{0}")]
    NoSuchProcess(String),
    /// An argument is wrong.
    #[error("{0}")]
    InvalidArguments(String),
    /// Too many runs are queued, or their inputs are too large.
    #[error("{0}")]
    QueueFull(String),
    /// The run could not be written to the disk, and so would not survive a crash.
    #[error("{0}")]
    NotKept(String),
    /// The service accepts no more runs.
    #[error("{0}")]
    ShuttingDown(String),
    /// A service of this mode does not do that.
    #[error("{0}")]
    NotSupported(String),
    /// The workflow file is wrong.
    #[error("{0}")]
    InvalidFile(String),
    /// The caller is not allowed to do that.
    #[error("{0}")]
    AccessDenied(String),
    /// The caller must authenticate first.
    #[error("{0}")]
    AuthorizationRequired(String),
    /// Something else went wrong.
    #[error("{0}")]
    Failed(String),
}

/// What the bus is told. The details are in the [`StatusSnapshot`](super::StatusSnapshot).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A run was accepted.
    Accepted(RunId),
    /// A run has begun.
    Started(RunId),
    /// A run has ended.
    Ended(RunId),
    /// A run that had ended is not in the snapshot any more.
    Forgotten(RunId),
    /// A trigger arrived at an actor.
    ActorStarted(RunId, ActorId),
    /// An actor has finished with a trigger.
    ActorFinished(RunId, ActorId, ActorEnd),
    /// The state of the service has changed.
    Changed,
    /// The workflow was replaced.
    Replaced,
    /// Processes have started or ended.
    Processes,
    /// Disconnect from the bus.
    Close,
}
