//! What is recorded of a task while it is under way.

/// What the task log says of a task while it is under way: nothing if there is no task log.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::supervisor) struct TaskRecord {
    pub(super) attempt: u32,
    /// In µs since the epoch.
    pub(super) queued_at: u64,
    pub(super) started_at: Option<u64>,
    pub(super) worker: Option<i32>,
    /// Whether its start was recorded.
    pub(super) recorded: bool,
}

impl TaskRecord {
    pub(super) fn new(attempt: u32, queued_at: u64) -> Self {
        TaskRecord { attempt, queued_at, ..TaskRecord::default() }
    }

    /// The worker that was about to execute it has not begun.
    pub(in crate::supervisor) fn has_not_started(&mut self) {
        (self.started_at, self.worker, self.recorded) = (None, None, false);
    }
}
