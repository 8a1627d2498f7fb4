//! `cpu.pressure`, `memory.pressure` and `io.pressure`: pressure stall information (PSI).

use std::time::Duration;

/// Total time in which at least one process waited for the resource.
pub fn stalled(text: &str) -> Option<Duration> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = some.split_whitespace().find_map(|field| field.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}
