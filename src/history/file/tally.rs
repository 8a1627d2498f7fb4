//! Sums over the tasks of one actor.

use crate::history::entry::{Attempt, End};

/// What the tasks of one actor have done that is not yet in its row.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::history) struct Tally {
    pub(in crate::history) tasks: u64,
    pub(in crate::history) failed: u64,
    pub(in crate::history) time_us: u64,
    pub(in crate::history) longest_us: u64,
    /// How many of the tasks have no row.
    pub(in crate::history) left_out: u64,
}

impl Tally {
    /// One attempt that ended.
    pub(in crate::history) fn of(attempt: &Attempt, end: &End, left_out: bool) -> Self {
        let time_us = attempt.started_at.map_or(0, |since| end.at.saturating_sub(since));
        Tally {
            tasks: 1,
            failed: u64::from(end.outcome.is_err()),
            time_us,
            longest_us: time_us,
            left_out: u64::from(left_out),
        }
    }

    pub(in crate::history) fn add(&mut self, other: &Tally) {
        self.tasks += other.tasks;
        self.failed += other.failed;
        self.time_us += other.time_us;
        self.longest_us = self.longest_us.max(other.longest_us);
        self.left_out += other.left_out;
    }
}
