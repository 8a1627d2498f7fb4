//! What happens to a run once a write about it is safe.

use std::sync::Arc;

use super::queue::QueuedRun;
use crate::engine::Status;
use crate::history::RunStatus;
use crate::service::request::ReplySender;
use crate::supervisor::RunId;

/// What waits for the disk.
#[derive(Debug)]
pub(in crate::service) enum PendingRun {
    /// A run is to be accepted.
    Accept(Candidate, Option<ReplySender>),
    /// A queued run is to begin, or to end before it has begun.
    Begin(RunId, QueuedRun, Option<Status>),
    /// A run has ended, which nobody was told.
    End(RunId, Box<EndedRun>, Option<ReplySender>),
}

/// A run that is about to be accepted.
#[derive(Debug)]
pub(in crate::service) struct Candidate {
    pub(super) run: QueuedRun,
    /// It begins at once.
    pub(super) begins: bool,
    /// It is the one run of the service.
    pub(super) own: bool,
}

/// How a run ended.
#[derive(Debug)]
pub(in crate::service) struct EndedRun {
    pub(super) status: RunStatus,
    /// Its output as it is shown over D-Bus: whole, unless it is large.
    pub(super) shown: Option<Arc<str>>,
    /// The error, as JSON.
    pub(super) error: Option<Arc<str>>,
    /// When, microseconds since the epoch.
    pub(super) at: u64,
}
