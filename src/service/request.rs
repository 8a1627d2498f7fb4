//! What the bus asks of the loop, and what the loop tells the bus.

use std::time::Duration;

use crate::graph::ActorId;
use crate::history::Requester;
use crate::payload::Payload;
use crate::process::tree::{Process, Snapshot};
use crate::supervisor::RunId;
use crate::supervisor::listing::Listing;

/// One method call: a message to the loop.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub ask: Ask,
    /// Where the answer goes. Nobody may be waiting any more.
    pub answer: async_channel::Sender<Result<Answer, Refusal>>,
}

/// What is asked.
#[derive(Debug)]
pub enum Ask {
    /// A run.
    Run(Order),
    /// Accept no more runs, finish those accepted, then exit.
    Drain,
    /// Abort every run.
    AbortAll(String),
    /// Stop one run.
    Stop(RunId, String),
    /// Abort one run.
    Abort(RunId, String),
    /// Read the workflow file again.
    Reload,
    /// Say which of these processes are the service's, and whose. So long it takes to find and describe them.
    Arrange(Snapshot, Duration),
    /// Send a signal to processes: `all`, `daemonic`, `non-daemonic`, `actor:ID`.
    Signal(String, i32),
    /// Send a signal to one process.
    Kill(Process, i32),
    /// Write on the board what running runs have used up to now.
    Account,
    /// The service can be called over the bus from now on, or it has become clear that it cannot yet.
    BusTried,
}

/// The longest label of a run, and the longest request id, initiator, host and port, in characters. They are for people, and
/// stay in memory and in the history.
pub const LONGEST_LABEL: usize = 200;

/// A run that is asked for.
#[derive(Debug, Default)]
pub struct Order {
    /// Its inputs, over those of the workflow.
    pub inputs: Payload,
    /// Instead of the workflow's timeout.
    pub timeout: Option<Duration>,
    /// Higher ones start first.
    pub priority: i32,
    /// For people.
    pub label: String,
    /// Who asks; none where it is the service itself.
    pub uid: Option<u32>,
    /// Who is behind it, where that was said.
    pub requester: Requester,
}

/// What the loop answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done, or under way.
    Done,
    /// The run was accepted.
    Run(RunId),
    /// The processes, in their order.
    Processes(Listing),
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The inputs or options are wrong.
    InvalidInputs(String),
    /// There is no such run, or it is over.
    NoSuchRun(String),
    /// There is no such process any more.
    NoSuchProcess(String),
    /// An argument is none that it could be.
    InvalidArguments(String),
    /// Too much is waiting.
    QueueFull(String),
    /// It could not be written to the disk, and so would not outlive a crash.
    NotKept(String),
    /// It accepts nothing more.
    ShuttingDown(String),
    /// A service of this mode does not do that.
    NotSupported(String),
    /// The workflow file is wrong.
    InvalidFile(String),
    /// Who asks may not.
    AccessDenied(String),
    /// Who asks would have to show who they are first.
    AuthorizationRequired(String),
    /// Something broke.
    Failed(String),
}

/// What the bus is told. What has become of the workflow and its runs is on the [`Board`](super::Board).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A run was accepted.
    Accepted(RunId),
    /// A run has begun.
    Started(RunId),
    /// A run is over.
    Ended(RunId),
    /// A run that was over is not on the board any more.
    Forgotten(RunId),
    /// A trigger arrived at an actor.
    ActorStarted(RunId, ActorId),
    /// A trigger of an actor is done with: how it ended.
    ActorFinished(RunId, ActorId, &'static str),
    /// The state of the service has changed.
    Changed,
    /// Another workflow is in its place.
    Replaced,
    /// Processes have been started or have ended.
    Processes,
    /// Let go of the bus.
    Close,
}
