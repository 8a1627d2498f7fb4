//! The clock that people have, and the one of a run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::process::sys::since_boot;

/// Microseconds since the epoch. A clock that shows a time before that was never set: 0.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros)
}

/// How long this host is up, suspended or not, microseconds.
pub(super) fn uptime() -> u64 {
    micros(since_boot())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The times of one run: the first is that of the host's clock, and the others are later by what has really passed. So a clock
/// that is set meanwhile changes none of its durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunClock {
    first: u64,
    up: u64,
}

impl RunClock {
    /// The clock of a run that begins now.
    pub fn start() -> Self {
        RunClock { first: now(), up: uptime() }
    }

    /// When it began, microseconds since the epoch.
    pub fn started_at(self) -> u64 {
        self.first
    }

    /// Microseconds since the epoch, as this run has them.
    pub fn now(self) -> u64 {
        self.first.saturating_add(uptime().saturating_sub(self.up))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_from_its_beginning_by_what_has_passed() {
        let clock = RunClock { first: 5, up: uptime() - 3_000_000 };
        assert_eq!(clock.started_at(), 5);
        assert!((3_000_005..4_000_000).contains(&clock.now()), "{}", clock.now());
    }
}
