//! The memory controller's files.

use super::files::keyed;

/// `memory.events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Events {
    /// Number of times that the limit was reached and an allocation was about to fail.
    pub oom: Option<u64>,
    /// Number of killed processes, whether the limit was here, in a parent, or the memory of the host.
    pub oom_kill: Option<u64>,
}

impl Events {
    /// Parses the file.
    pub fn parse(text: &str) -> Self {
        Events { oom: keyed(text, "oom"), oom_kill: keyed(text, "oom_kill") }
    }
}
