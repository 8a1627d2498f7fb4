//! The last resort: kills everything below this process, whatever it does, and reaps it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::sys::{self, Pid};
use super::tree::{self, Process};

/// What became of it.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// How many processes were killed.
    pub killed: usize,
    /// What is still there.
    pub survivors: Vec<Process>,
}

/// Kills and reaps until this process has no children, which for a subreaper means that nothing is left below it; gives
/// up after `patience`. Nobody else may reap meanwhile.
pub fn leave_nothing(patience: Duration) -> Cleaned {
    let deadline = Instant::now() + patience;
    let mut killed = HashSet::new();
    while !sys::has_no_children() {
        // What is forked meanwhile becomes a child of this process when its parent dies: after each reaping one looks
        // again.
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
    Cleaned { killed: killed.len(), survivors }
}
