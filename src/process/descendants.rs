//! Kills and reaps all descendants of this process, as a last resort.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::sys::{self, Pid};
use super::tree::{self, Process};

/// The result.
#[derive(Debug, Default)]
pub struct Killed {
    /// Number of killed processes.
    pub killed: usize,
    /// Processes that still exist.
    pub survivors: Vec<Process>,
}

/// Kills and reaps until this process has no children; for a subreaper this means no descendants. Gives up after `patience`.
/// Nothing else may reap meanwhile.
pub fn kill_all(patience: Duration) -> Killed {
    let deadline = Instant::now() + patience;
    let mut killed = HashSet::new();
    while !sys::has_no_children() {
        // A process that is forked meanwhile becomes a child of this process when its parent dies. So the tree is read again after
        // each reaping.
        killed.extend(
            tree::kill_below(&[Pid::this()], |_| false).into_iter().map(|process| (process.pid, process.started)),
        );
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || !sys::wait_for_child(left) {
            break;
        }
        while let Ok(Some(_)) = sys::reap() {}
    }
    let survivors = if sys::has_no_children() { Vec::new() } else { tree::descendants(Pid::this()) };
    Killed { killed: killed.len(), survivors }
}
