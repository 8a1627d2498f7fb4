//! The `[service]` section: how `pushflow serve` behaves.

use std::time::Duration;

/// How a workflow behaves as a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Run once, or wait for requests.
    pub mode: ServiceMode,
    /// Maximum number of concurrent runs. Further runs are queued.
    pub max_concurrent_runs: u32,
    /// Maximum number of queued runs. Further requests are refused.
    pub max_queued_runs: u32,
    /// Time that a stop waits for non-daemonic children.
    pub stop_timeout: Duration,
    /// What happens to runs that were active when the supervisor died.
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

/// Run once, or wait for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum ServiceMode {
    /// Runs once with the configured inputs, and exits.
    #[default]
    Run,
    /// Waits for requests.
    Resident,
}

/// What happens to a run that was active when the supervisor died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum OnCrash {
    /// It ends as `interrupted`.
    #[default]
    Interrupt,
    /// It runs again from its inputs.
    Rerun,
    /// It continues after the tasks whose results were recorded.
    Resume,
}
