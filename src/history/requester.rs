//! On whose behalf a run was asked for.

/// On whose behalf a run was asked for, in pypushflow's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requester {
    /// `Request ID`.
    pub request_id: Option<String>,
    /// `initiator`.
    pub initiator: Option<String>,
    /// `host`.
    pub host: Option<String>,
    /// `port`.
    pub port: Option<String>,
}

impl Requester {
    /// As pypushflow's environment variables have it.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Requester {
            request_id: variable("PYPUSHFLOW_OBJECTID"),
            initiator: variable("PYPUSHFLOW_INITIATOR"),
            host: variable("PYPUSHFLOW_HOST"),
            port: variable("PYPUSHFLOW_PORT"),
        }
    }
}
