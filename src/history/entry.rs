//! What the history is told, and what it replies.

use std::sync::Arc;

use super::recovered::RecoveredRun;
use super::values::Recorded;
use super::{Figures, HistoryError, RunError, RunRequest, RunStatus, Withdrawal};
use crate::engine::Failure;
use crate::graph::{ActorId, Workflow};

/// A run that was accepted.
#[derive(Debug)]
pub struct NewRun {
    /// What was asked for.
    pub request: Arc<RunRequest>,
    /// The workflow's name.
    pub workflow: String,
    /// Whether it begins as soon as it is on the disk, instead of being queued.
    pub begins: bool,
    /// Whether it survives a crash: its exact inputs are kept for that.
    pub survives: bool,
    /// The definition of the workflow, if the run may be resumed from its results.
    pub definition: Option<String>,
    /// The service may withdraw it until it is on the disk.
    pub withdrawal: Withdrawal,
}

/// Identifies a write: its reply has the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub(super) u64);

/// One thing to write.
#[derive(Debug)]
pub(super) enum Entry {
    /// A run was accepted. The reply has its number.
    New { id: WriteId, run: Arc<NewRun> },
    /// A queued run begins. Without an id, nobody waits for a reply.
    Begun { id: Option<WriteId>, run: u64, at: u64 },
    /// A run is being stopped.
    Stopping { run: u64, reason: String },
    /// A worker got a task.
    TaskStarted(Attempt),
    /// An attempt has ended.
    TaskEnded(Attempt, End),
    /// A run has ended. Without an id, nobody waits for a reply.
    Ended { id: Option<WriteId>, end: Box<RunEnd> },
}

impl Entry {
    /// Its run; none for a run that has no number yet.
    pub(super) fn run(&self) -> Option<u64> {
        match self {
            Entry::New { .. } => None,
            Entry::Begun { run, .. } | Entry::Stopping { run, .. } => Some(*run),
            Entry::TaskStarted(attempt) | Entry::TaskEnded(attempt, _) => Some(attempt.run),
            Entry::Ended { end, .. } => Some(end.run),
        }
    }

    /// The write that a reply is expected for.
    pub(super) fn id(&self) -> Option<WriteId> {
        match self {
            Entry::New { id, .. } => Some(*id),
            Entry::Begun { id, .. } | Entry::Ended { id, .. } => *id,
            Entry::Stopping { .. } | Entry::TaskStarted(_) | Entry::TaskEnded(..) => None,
        }
    }
}

/// An attempt to execute an actor.
#[derive(Debug)]
pub struct Attempt {
    /// Unique in this process.
    pub job: u64,
    /// Its run.
    pub run: u64,
    /// Which task of the run.
    pub number: u64,
    /// Which attempt, from 0.
    pub attempt: u32,
    /// The workflow,
    pub workflow: Arc<Workflow>,
    /// and the actor in it.
    pub actor: ActorId,
    /// When its inputs arrived, microseconds since the epoch.
    pub queued_at: u64,
    /// When a worker got it.
    pub started_at: Option<u64>,
    /// The worker's or program's process number.
    pub worker: Option<i32>,
    /// What it was given.
    pub inputs: Recorded,
}

/// How an attempt ended.
#[derive(Debug)]
pub struct End {
    /// When, microseconds since the epoch.
    pub at: u64,
    /// What it returned, or how it failed.
    pub outcome: Result<Recorded, Box<Failure>>,
    /// Where it stands among the ends of its run, if the run may go on from its results.
    pub position: Option<u64>,
    /// What it has used.
    pub figures: Figures,
}

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// Its number.
    pub run: u64,
    /// Its status.
    pub status: RunStatus,
    /// When, microseconds since the epoch.
    pub at: u64,
    /// Its output, a JSON object.
    pub outputs: Option<Arc<str>>,
    /// What went wrong.
    pub error: Option<RunError>,
    /// What it has used.
    pub figures: Figures,
    /// What its actors have used, by their paths.
    pub actors: Vec<(String, Figures)>,
}

/// A reply of the writer.
#[derive(Debug)]
pub enum WriterReply {
    /// The history is open. These are the runs that an earlier process left unfinished.
    Open(Vec<RecoveredRun>),
    /// The history cannot be used now. The writer tries again.
    Unusable(HistoryError),
    /// A write is on the disk, with the number of its run, or has failed.
    Written(WriteId, Result<u64, WriteError>),
}

/// Why a write is not on the disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The file could not be written.
    #[error("{0}")]
    Failed(String),
    /// The disk has not answered in time.
    #[error("the disk does not answer")]
    Hangs,
    /// The run was withdrawn before it was on the disk.
    #[error("the run was withdrawn")]
    Withdrawn,
}
