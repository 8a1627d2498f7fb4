//! The `[service]` section: how `pushflow serve` behaves.

use std::time::Duration;

/// How a workflow behaves as a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What the service does with its life.
    pub mode: ServiceMode,
    /// How many runs go on at once; the others are queued.
    pub max_concurrent_runs: u32,
    /// How many runs may be queued; above it a request is refused.
    pub max_queued_runs: u32,
    /// How long a stop waits for non-daemonic children.
    pub stop_timeout: Duration,
    /// What becomes of runs that were in progress when the supervisor died.
    pub on_crash: OnCrash,
}

impl Default for Service {
    fn default() -> Self {
        Service {
            mode: ServiceMode::Run,
            max_concurrent_runs: 1,
            max_queued_runs: 1000,
            stop_timeout: Duration::from_secs(90),
            on_crash: OnCrash::Interrupt,
        }
    }
}

/// What a service does with its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServiceMode {
    /// Runs once at start, with the configured inputs, and exits at its end.
    #[default]
    Run,
    /// Waits for requests.
    Resident,
}

/// What becomes of a run that was in progress when the supervisor died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCrash {
    /// It ends as `interrupted`.
    #[default]
    Interrupt,
    /// It runs again from its inputs.
    Rerun,
    /// It goes on from the tasks whose results were recorded.
    Resume,
}
