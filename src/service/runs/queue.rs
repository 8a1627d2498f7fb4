//! The queue of accepted runs that have not begun: by priority, then by age. It is bounded in number and in memory. No I/O, no
//! clock.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::history::RunRequest;
use crate::supervisor::RunId;

/// Maximum size of all queued inputs, bytes.
const MAX_BYTES: usize = 512 << 20;

/// A queued run.
#[derive(Debug)]
pub(in crate::service) struct QueuedRun {
    pub(super) request: Arc<RunRequest>,
    /// The approximate size of its inputs.
    pub(super) bytes: usize,
}

/// The queued runs.
#[derive(Debug, Default)]
pub(in crate::service) struct Queue {
    runs: BTreeMap<(Reverse<i32>, RunId), QueuedRun>,
    bytes: usize,
    /// Places of runs that are being written to the disk.
    reserved: usize,
}

impl Queue {
    /// Why a run with inputs of so many bytes cannot be queued, if so. `most`: maximum number of queued runs.
    pub(in crate::service) fn refuses(&self, bytes: usize, most: u32) -> Option<String> {
        if self.runs.len() + self.reserved >= most as usize {
            return Some(format!("{most} runs are queued already ([service] max_queued_runs)"));
        }
        let would_take = self.bytes.saturating_add(bytes);
        (would_take > MAX_BYTES).then(|| {
            format!(
                "the inputs of all queued runs would take {} MiB, of {} that there are",
                would_take >> 20,
                MAX_BYTES >> 20
            )
        })
    }

    /// Reserves a place for a run with inputs of so many bytes.
    pub(in crate::service) fn reserve(&mut self, bytes: usize) {
        self.reserved += 1;
        self.bytes += bytes;
    }

    /// Gives back a reserved place.
    pub(in crate::service) fn release(&mut self, bytes: usize) {
        self.reserved -= 1;
        self.bytes -= bytes;
    }

    /// Whether no run is queued or has a reserved place.
    pub(in crate::service) fn is_idle(&self) -> bool {
        self.runs.is_empty() && self.reserved == 0
    }

    pub(in crate::service) fn push(&mut self, id: RunId, run: QueuedRun) {
        self.bytes += run.bytes;
        self.runs.insert((Reverse(run.request.priority), id), run);
    }

    pub(in crate::service) fn pop(&mut self) -> Option<(RunId, QueuedRun)> {
        let ((_, id), run) = self.runs.pop_first()?;
        self.bytes -= run.bytes;
        Some((id, run))
    }

    /// Removes a run. Whether it was queued.
    pub(in crate::service) fn remove(&mut self, id: RunId) -> bool {
        let Some(key) = self.runs.keys().find(|(_, queued)| *queued == id).copied() else { return false };
        if let Some(run) = self.runs.remove(&key) {
            self.bytes -= run.bytes;
        }
        true
    }

    pub(in crate::service) fn len(&self) -> usize {
        self.runs.len()
    }

    pub(in crate::service) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(priority: i32, bytes: usize) -> QueuedRun {
        QueuedRun { request: Arc::new(RunRequest { priority, ..RunRequest::default() }), bytes }
    }

    fn order(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop()).map(|(id, _)| id.0).collect()
    }

    #[test]
    fn the_highest_priority_comes_first_and_among_equals_the_oldest() {
        let mut queue = Queue::default();
        for (id, priority) in [(1, 0), (2, 5), (3, -1), (4, 5), (5, 0)] {
            queue.push(RunId(id), run(priority, 0));
        }
        assert_eq!(order(&mut queue), [2, 4, 1, 5, 3]);
    }

    #[test]
    fn a_full_queue_says_what_it_is_full_of() {
        let mut queue = Queue::default();
        assert_eq!(queue.refuses(0, 1), None);
        queue.push(RunId(1), run(0, MAX_BYTES));
        assert!(queue.refuses(0, 1).is_some_and(|why| why.starts_with("1 runs are queued already")));
        assert!(queue.refuses(1, 2).is_some_and(|why| why.contains("MiB")));
        assert_eq!(queue.refuses(0, 2), None);
        assert!(queue.remove(RunId(1)) && !queue.remove(RunId(1)));
        assert_eq!((queue.refuses(MAX_BYTES, 1), queue.is_empty()), (None, true));
    }
}
