//! The memory controller's files.

use super::files::keyed;

/// `memory.events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Events {
    /// How often the limit was reached and an allocation was about to fail.
    pub oom: Option<u64>,
    /// How many processes were killed, for whatever shortage: of the limit here, of one above, or of the host's memory.
    pub oom_kill: Option<u64>,
}

impl Events {
    /// Reads the text of the file.
    pub fn parse(text: &str) -> Self {
        Events { oom: keyed(text, "oom"), oom_kill: keyed(text, "oom_kill") }
    }
}
