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
    /// Whether it is for its user alone, and not for the group too.
    pub private: bool,
    /// How long runs that are over are kept.
    pub keep: Duration,
    /// How large the file may become, bytes.
    pub max_size: u64,
    /// What becomes of the runs that an earlier service has left; none: they are not this process's.
    pub on_crash: Option<OnCrash>,
    /// Runs that an earlier process has refused and that may be in the file.
    pub refused: RefusedRuns,
    /// Where a byte is written after each transaction, for those who follow: the end of a pipe that does not block.
    pub pulse: Option<OwnedFd>,
}
