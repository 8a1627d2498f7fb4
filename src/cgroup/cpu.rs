//! `cpu.stat`.

use std::time::Duration;

use super::files::keyed;

/// CPU time. Available without the controller, except for throttling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Time in user mode.
    pub user: Option<Duration>,
    /// Time in the kernel.
    pub system: Option<Duration>,
    /// Time in which processes were throttled by `cpu.max`.
    pub throttled: Option<Duration>,
}

impl Stat {
    /// Parses the file.
    pub fn parse(text: &str) -> Self {
        let time = |key| keyed(text, key).map(Duration::from_micros);
        Stat { user: time("user_usec"), system: time("system_usec"), throttled: time("throttled_usec") }
    }
}
