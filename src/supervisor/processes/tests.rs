//! Tests of the process tree, with processes and owners that do not exist.

use super::*;

/// A process as /proc would show it.
pub(super) fn process(pid: i32, parent: i32, started: u64) -> Process {
    let pid = Pid::from_raw(pid);
    Process {
        pid,
        parent: Pid::from_raw(parent),
        group: pid,
        session: pid,
        name: "python3".into(),
        started,
        zombie: false,
        blocked: false,
        ticks: 0,
        pages: 0,
    }
}
