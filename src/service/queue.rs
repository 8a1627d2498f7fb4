//! Runs that were accepted and have not begun: the most urgent first, among equals the oldest. Bounded, in number and in
//! memory. No I/O, no clock.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::payload::Payload;
use crate::supervisor::RunId;

/// All inputs that wait may take so many bytes.
const MOST_BYTES: usize = 512 << 20;

/// A run that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) inputs: Payload,
    pub(super) timeout: Option<Duration>,
    /// What its inputs take, about.
    pub(super) bytes: usize,
}

/// The runs that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    runs: BTreeMap<(Reverse<i32>, RunId), Waiting>,
    bytes: usize,
    /// Places for runs that are being written to the disk.
    reserved: usize,
}

impl Queue {
    /// Why no run with so large inputs can be taken, if so; `most` is how many may wait.
    pub(super) fn refuses(&self, bytes: usize, most: u32) -> Option<String> {
        if self.runs.len() + self.reserved >= most as usize {
            return Some(format!("{most} runs are queued already ([service] max_queued_runs)"));
        }
        let would_take = self.bytes.saturating_add(bytes);
        (would_take > MOST_BYTES).then(|| {
            format!(
                "the inputs of all queued runs would take {} MiB, of {} that there are",
                would_take >> 20,
                MOST_BYTES >> 20
            )
        })
    }

    /// Holds a place for a run with so large inputs.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.reserved += 1;
        self.bytes += bytes;
    }

    /// Gives the place back.
    pub(super) fn release(&mut self, bytes: usize) {
        self.reserved -= 1;
        self.bytes -= bytes;
    }

    /// Whether nothing waits, or is about to.
    pub(super) fn is_idle(&self) -> bool {
        self.runs.is_empty() && self.reserved == 0
    }

    pub(super) fn push(&mut self, id: RunId, priority: i32, waiting: Waiting) {
        self.bytes += waiting.bytes;
        self.runs.insert((Reverse(priority), id), waiting);
    }

    pub(super) fn pop(&mut self) -> Option<(RunId, Waiting)> {
        let ((_, id), waiting) = self.runs.pop_first()?;
        self.bytes -= waiting.bytes;
        Some((id, waiting))
    }

    /// Takes one out; whether it was there.
    pub(super) fn remove(&mut self, id: RunId) -> bool {
        let Some(key) = self.runs.keys().find(|(_, waiting)| *waiting == id).copied() else { return false };
        if let Some(waiting) = self.runs.remove(&key) {
            self.bytes -= waiting.bytes;
        }
        true
    }

    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(bytes: usize) -> Waiting {
        Waiting { inputs: Payload::new(), timeout: None, bytes }
    }

    fn order(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop()).map(|(id, _)| id.0).collect()
    }

    #[test]
    fn the_most_urgent_comes_first_and_among_equals_the_oldest() {
        let mut queue = Queue::default();
        for (id, priority) in [(1, 0), (2, 5), (3, -1), (4, 5), (5, 0)] {
            queue.push(RunId(id), priority, waiting(0));
        }
        assert_eq!(order(&mut queue), [2, 4, 1, 5, 3]);
    }

    #[test]
    fn a_full_queue_says_what_it_is_full_of() {
        let mut queue = Queue::default();
        assert_eq!(queue.refuses(0, 1), None);
        queue.push(RunId(1), 0, waiting(MOST_BYTES));
        assert!(queue.refuses(0, 1).is_some_and(|why| why.starts_with("1 runs are queued already")));
        assert!(queue.refuses(1, 2).is_some_and(|why| why.contains("MiB")));
        assert_eq!(queue.refuses(0, 2), None);
        assert!(queue.remove(RunId(1)) && !queue.remove(RunId(1)));
        assert_eq!((queue.refuses(MOST_BYTES, 1), queue.is_empty()), (None, true));
    }
}
