//! The queue between the loop and the thread that writes.
//!
//! What runs do (accepted, begun, ended) always goes in: there are at most as many such entries as accepted runs. Entries of
//! tasks have a bound. Beyond it they are only counted, by run and actor, and the counts are written: sums stay right, and the
//! history says how many tasks it left out.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::graph::{ActorId, Workflow};
use crate::history::entry::{Attempt, End, Entry};
use crate::history::file::tally::Tally;

/// Maximum number of queued entries of tasks.
const MAX_TASKS: usize = 64 << 10;
/// Maximum memory of queued entries of tasks, bytes.
const MAX_BYTES: usize = 64 << 20;
/// How long entries of tasks wait for more, so that they share a transaction.
const BATCH_AFTER: Duration = Duration::from_millis(100);
/// The number of entries of tasks that is written without waiting for more.
const BATCH_SIZE: usize = 512;

/// How the writer wakes the loop.
pub type Wake = Box<dyn Fn() + Send>;

/// What the loop and the writer share.
#[derive(Default)]
pub(super) struct WriteQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// How many of the entries are of tasks.
    tasks: usize,
    /// The memory that those take.
    bytes: usize,
    left_out: LeftOut,
    /// An entry of a run is queued: somebody waits for it to be on the disk.
    urgent: bool,
    closed: bool,
    /// The writer sleeps until there is something.
    idle: bool,
}

/// What was left out, by run and actor.
pub(super) type LeftOut = HashMap<(u64, ActorId), (Arc<Workflow>, Tally)>;

/// What the writer takes from the queue at once.
pub(super) struct WriteBatch {
    pub(super) entries: VecDeque<Entry>,
    pub(super) left_out: LeftOut,
    /// Nothing more comes.
    pub(super) closed: bool,
}

/// Where the supervisor puts what tasks do.
#[derive(Clone)]
pub struct TaskNews(Arc<WriteQueue>);

impl fmt::Debug for TaskNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskNews").finish_non_exhaustive()
    }
}

impl TaskNews {
    pub(super) fn new(queue: Arc<WriteQueue>) -> Self {
        TaskNews(queue)
    }

    /// A worker got a task.
    pub fn started(&self, attempt: Attempt) {
        let bytes = attempt.inputs.bytes();
        let mut state = self.0.lock();
        // The entry of its end has the same data: this one may be missing.
        if state.has_room() {
            state.put_task(Entry::TaskStarted(attempt), bytes);
            self.0.notify(state);
        }
    }

    /// An attempt has ended.
    pub fn ended(&self, attempt: Attempt, end: End) {
        let bytes = attempt.inputs.bytes() + end.outcome.as_ref().map_or(1024, |result| result.bytes());
        let mut state = self.0.lock();
        if state.has_room() {
            state.put_task(Entry::TaskEnded(attempt, end), bytes);
        } else {
            let tally = Tally::of(&attempt, &end, true);
            let sum = state.left_out.entry((attempt.run, attempt.actor));
            sum.or_insert_with(|| (attempt.workflow, Tally::default())).1.add(&tally);
        }
        self.0.notify(state);
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.tasks < MAX_TASKS && self.bytes < MAX_BYTES
    }

    fn put_task(&mut self, entry: Entry, bytes: usize) {
        self.tasks += 1;
        self.bytes += bytes;
        self.entries.push_back(entry);
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.left_out.is_empty()
    }
}

impl WriteQueue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry of a run.
    pub(super) fn put(&self, entry: Entry) {
        let mut state = self.lock();
        state.entries.push_back(entry);
        state.urgent = true;
        self.notify(state);
    }

    /// Wakes the writer if it would not come soon enough by itself. That is a system call, which most entries do without.
    fn notify(&self, mut state: MutexGuard<'_, State>) {
        let first = std::mem::take(&mut state.idle);
        let wake = first || state.urgent || state.tasks == BATCH_SIZE;
        drop(state);
        if wake {
            self.changed.notify_one();
        }
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Waits for entries, and a little for more of them. If none come, returns at `wake` at the latest.
    pub(super) fn take(&self, wake: Option<Instant>) -> WriteBatch {
        let mut state = self.lock();
        while state.is_empty() && !state.closed {
            let left = wake.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            state.idle = true;
            state = match left {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        state.idle = false;
        let by = Instant::now() + BATCH_AFTER;
        while !state.is_empty() && !state.closed && !state.urgent && state.tasks < BATCH_SIZE {
            let left = by.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.urgent = false;
        state.tasks = 0;
        state.bytes = 0;
        WriteBatch {
            entries: std::mem::take(&mut state.entries),
            left_out: std::mem::take(&mut state.left_out),
            closed: state.closed,
        }
    }
}
