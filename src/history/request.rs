//! A run as it was asked for.

use std::sync::Arc;
use std::time::Duration;

use super::requester::Requester;
use crate::payload::Payload;

/// A run as it was asked for. The bus makes it, the service completes it when it accepts the run, and from then on the queue,
/// the status snapshot and the history share it.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// The inputs: before acceptance the caller's only, then with those of the workflow.
    pub inputs: Payload,
    /// The inputs as a JSON object, written at acceptance.
    pub inputs_json: Arc<str>,
    /// The timeout, if it is not the workflow's.
    pub timeout: Option<Duration>,
    /// Runs of a higher priority start first.
    pub priority: i32,
    /// What the caller calls it.
    pub label: String,
    /// The user who asked for it; none if it was the service itself, or a run in the foreground.
    pub uid: Option<u32>,
    /// On whose behalf, if the caller said so.
    pub requester: Requester,
    /// When it was accepted, microseconds since the epoch.
    pub queued_at: u64,
}

impl RunRequest {
    /// The same without the values of the inputs, which are of no use once the run has begun. Their JSON stays.
    pub fn without_inputs(&self) -> Self {
        RunRequest { inputs: Payload::new(), ..self.clone() }
    }
}
