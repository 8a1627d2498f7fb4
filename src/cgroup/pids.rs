//! The pids controller's files.

use super::files::keyed;

/// `pids.events`: how often fork(2) or clone(2) failed because of a limit.
pub fn refused(text: &str) -> Option<u64> {
    keyed(text, "max")
}
