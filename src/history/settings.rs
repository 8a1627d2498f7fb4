//! Where a history is and how much of it is kept.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::RefusedRuns;
use crate::graph::OnCrash;

/// How a history is written.
#[derive(Debug)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// The workflow file whose runs are recorded, absolute.
    pub file: PathBuf,
    /// Whether only its user may read it, and not the group.
    pub private: bool,
    /// How long ended runs are kept.
    pub keep: Duration,
    /// Maximum size of the file, bytes.
    pub max_size: u64,
    /// What happens to the unfinished runs of an earlier service. None: they do not belong to this process.
    pub on_crash: Option<OnCrash>,
    /// Runs that an earlier process refused, and that may be in the file nevertheless.
    pub refused: RefusedRuns,
    /// A non-blocking pipe that gets a byte after each transaction, for followers.
    pub pulse: Option<OwnedFd>,
}
