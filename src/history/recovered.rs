//! Runs that an earlier process left unfinished, as the service takes them over.

use super::RunRecord;
use crate::engine::Failure;
use crate::payload::Payload;

/// A run that an earlier process has left.
#[derive(Debug)]
pub struct RecoveredRun {
    /// Its record in the history.
    pub record: RunRecord,
    /// What becomes of it.
    pub recovery: Recovery,
}

/// What becomes of a run that an earlier process has left.
#[derive(Debug)]
pub enum Recovery {
    /// It was running, and is over now.
    Over,
    /// It is queued, with its exact inputs.
    Queued(Payload),
    /// It is resumed from its results, oldest first.
    Resumed {
        /// Its exact inputs.
        inputs: Payload,
        /// The definition of its workflow.
        definition: String,
        /// The results of its tasks.
        results: Vec<KeptResult>,
    },
}

/// The kept result of an attempt.
#[derive(Debug)]
pub struct KeptResult {
    /// Which task of its run.
    pub number: u64,
    /// Its actor's path.
    pub path: String,
    /// What it returned, or how it failed.
    pub outcome: Result<Payload, Failure>,
}
