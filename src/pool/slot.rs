//! What a worker of a pool does at the moment.

use std::collections::VecDeque;
use std::time::Instant;

use super::JobId;
use super::escalation::Escalation;

/// A worker or a program.
#[derive(Debug)]
pub(super) enum Slot {
    /// `late` and `overdue`: when these are reported; `None` if never, or not again.
    Starting {
        late: Option<Instant>,
        overdue: Option<Instant>,
    },
    Idle {
        since: Instant,
        tasks: u32,
    },
    Busy {
        job: JobId,
        tasks: u32,
        escalation: Option<Escalation>,
        /// The jobs that it begins after this one.
        prefilled: Prefilled,
    },
    Program {
        job: JobId,
        escalation: Option<Escalation>,
    },
    Retiring,
}

/// The prefilled jobs of one worker.
#[derive(Debug, Default)]
pub(super) struct Prefilled {
    pub(super) jobs: VecDeque<JobId>,
    /// Whether the worker was told that more jobs follow.
    pub(super) open: bool,
    /// When the worker began its current job, or got its first prefilled job.
    pub(super) since: Option<Instant>,
}
