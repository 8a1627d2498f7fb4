//! The wall clock, and the clock of a run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::process::sys::since_boot;

/// Microseconds since the epoch; 0 if the clock shows a time before the epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros)
}

/// The uptime of the host, including suspension, microseconds.
pub(super) fn uptime() -> u64 {
    micros(since_boot())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The clock of one run. It starts with the time of the host's clock and then counts by itself, so that setting the host's clock
/// changes no duration.
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

    /// When it started, microseconds since the epoch.
    pub fn started_at(self) -> u64 {
        self.first
    }

    /// The current time, microseconds since the epoch.
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
