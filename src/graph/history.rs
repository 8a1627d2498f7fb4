//! The `[history]` section: what is kept of runs.

use std::time::Duration;

/// What is kept of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepHistory {
    /// Whether services write a history.
    pub enabled: bool,
    /// How long ended runs are kept.
    pub keep: Duration,
    /// Maximum size of the file in bytes. The oldest runs are deleted when it is exceeded.
    pub max_size: u64,
}

impl Default for KeepHistory {
    fn default() -> Self {
        KeepHistory { enabled: true, keep: Duration::from_secs(90 * 86400), max_size: 2 << 30 }
    }
}
