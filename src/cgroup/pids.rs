//! The pids controller's files.

use super::files::keyed;

/// The counter in `pids.events`: failures of fork(2) and clone(2) because of a limit.
pub fn refused(text: &str) -> Option<u64> {
    keyed(text, "max")
}
