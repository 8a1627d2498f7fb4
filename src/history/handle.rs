//! The loop's end of the history: news go in, never waiting for the disk, and words come back.
//!
//! The news wait in one queue with a bound. What runs do (accepted, begun, ended) always goes in: there are not more such news than
//! runs that were accepted. News of tasks above the bound are not kept one by one: they are counted, for each run and
//! actor, and the counts are written, so that sums stay right and the history says how many tasks it left out.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::entry::{Attempt, End, Entry, NewRun, RunEnd, Word};
use super::store::Tally;
use super::writer::Writer;
use super::{HistoryError, Settings};
use crate::graph::{ActorId, Workflow};

/// So many news of tasks wait at most,
const MOST_WAITING: usize = 64 << 10;
/// and what they hold takes so many bytes.
const MOST_BYTES: usize = 64 << 20;
/// News of tasks are written after so long: what comes meanwhile is one transaction.
const TOGETHER: Duration = Duration::from_millis(100);
/// Or when there are so many.
const ENOUGH: usize = 512;

/// The history, as the loop has it.
pub struct History {
    shared: Arc<Shared>,
    words: mpsc::Receiver<Word>,
    thread: Option<JoinHandle<()>>,
    next_ticket: u64,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").finish_non_exhaustive()
    }
}

/// How the writer calls the loop.
pub type Wake = Box<dyn Fn() + Send>;

/// What loop and writer share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    news: Condvar,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// How many of them are of tasks, and what those hold.
    tasks: usize,
    bytes: usize,
    left_out: LeftOut,
    /// Somebody waits for an answer.
    urgent: bool,
    closed: bool,
    /// The writer sleeps until there is something.
    idle: bool,
}

/// What was left out, by run and actor.
pub(super) type LeftOut = HashMap<(u64, ActorId), (Arc<Workflow>, Tally)>;

/// What there is to write.
pub(super) struct News {
    pub(super) entries: VecDeque<Entry>,
    pub(super) left_out: LeftOut,
    /// Nothing more comes.
    pub(super) closed: bool,
}

impl History {
    /// Starts the writer. Its first word says whether the history is open.
    pub fn start(settings: Settings, wake: Wake) -> Result<Self, HistoryError> {
        let shared = Arc::new(Shared { queue: Mutex::default(), news: Condvar::new() });
        let (say, words) = mpsc::channel();
        let path = settings.path.clone();
        let writer = Writer::new(settings, Arc::clone(&shared), say, wake);
        let thread = std::thread::Builder::new().name("history".to_owned()).spawn(move || writer.work());
        let thread = thread.map_err(|error| HistoryError::Folder { path, error })?;
        Ok(History { shared, words, thread: Some(thread), next_ticket: 0 })
    }

    /// A run that was accepted: [`Word::Done`] says with which number it is on the disk.
    pub fn accept(&mut self, run: Arc<NewRun>) -> u64 {
        let ticket = self.ticket();
        self.shared.put(Entry::New { ticket, run });
        ticket
    }

    /// A run that waited begins: [`Word::Done`] says when that is on the disk.
    pub fn begin(&mut self, run: u64, at: u64) -> u64 {
        let ticket = self.ticket();
        self.shared.put(Entry::Begun { ticket, run, at });
        ticket
    }

    /// A run is to end: it does not run again, whatever happens.
    pub fn stopping(&self, run: u64, reason: &str) {
        self.shared.put(Entry::Stopping { run, reason: reason.to_owned() });
    }

    /// A run is over: [`Word::Done`] says when that is on the disk.
    pub fn end(&mut self, end: RunEnd) -> u64 {
        let ticket = self.ticket();
        self.shared.put(Entry::Ended { ticket, end: Box::new(end) });
        ticket
    }

    /// The way for news of tasks.
    pub fn tasks(&self) -> TaskNews {
        TaskNews(Arc::clone(&self.shared))
    }

    /// What the writer has said, if anything.
    pub fn word(&self) -> Option<Word> {
        self.words.try_recv().ok()
    }

    /// Waits for the writer to say something.
    pub fn wait_for_word(&self, patience: Duration) -> Option<Word> {
        self.words.recv_timeout(patience).ok()
    }

    /// Writes what there is and lets go of the file. A disk that hangs is not waited for any longer; whether it was in time.
    pub fn close(mut self, patience: Duration) -> bool {
        let Some(thread) = self.thread.take() else { return true };
        self.shared.close();
        let by = Instant::now() + patience;
        // The channel ends with the thread.
        while let Some(left) = by.checked_duration_since(Instant::now()) {
            match self.words.recv_timeout(left) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return thread.join().is_ok(),
                Err(mpsc::RecvTimeoutError::Timeout) => return false,
            }
        }
        false
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Where the supervisor puts news of tasks.
#[derive(Clone)]
pub struct TaskNews(Arc<Shared>);

impl fmt::Debug for TaskNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskNews").finish_non_exhaustive()
    }
}

impl TaskNews {
    /// A worker got a task.
    pub fn started(&self, attempt: Attempt) {
        let bytes = attempt.inputs.bytes();
        let mut queue = self.0.lock();
        // The news of its end say all of it.
        if queue.has_room() {
            queue.put_task(Entry::TaskStarted(attempt), bytes);
            self.0.notify(queue);
        }
    }

    /// An attempt is over.
    pub fn ended(&self, attempt: Attempt, end: End) {
        let bytes = attempt.inputs.bytes() + end.outcome.as_ref().map_or(1024, |result| result.bytes());
        let mut queue = self.0.lock();
        if queue.has_room() {
            queue.put_task(Entry::TaskEnded(attempt, end), bytes);
        } else {
            let tally = Tally::of(&attempt, &end, true);
            let sum = queue.left_out.entry((attempt.run, attempt.actor));
            sum.or_insert_with(|| (attempt.workflow, Tally::default())).1.add(&tally);
        }
        self.0.notify(queue);
    }
}

impl Queue {
    fn has_room(&self) -> bool {
        self.tasks < MOST_WAITING && self.bytes < MOST_BYTES
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, entry: Entry) {
        let mut queue = self.lock();
        queue.entries.push_back(entry);
        queue.urgent = true;
        self.notify(queue);
    }

    /// Wakes the writer where it would not come by itself soon enough: a system call that most news do without.
    fn notify(&self, mut queue: MutexGuard<'_, Queue>) {
        let first = std::mem::take(&mut queue.idle);
        let wake = first || queue.urgent || queue.tasks == ENOUGH;
        drop(queue);
        if wake {
            self.news.notify_one();
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    /// Waits for news, and for others that come soon after. Without any, until `wake` at the latest.
    pub(super) fn take(&self, wake: Option<Instant>) -> News {
        let mut queue = self.lock();
        while queue.is_empty() && !queue.closed {
            let left = wake.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            queue.idle = true;
            queue = match left {
                None => self.news.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.news.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        queue.idle = false;
        let by = Instant::now() + TOGETHER;
        while !queue.is_empty() && !queue.closed && !queue.urgent && queue.tasks < ENOUGH {
            let left = by.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = self.news.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.urgent = false;
        queue.tasks = 0;
        queue.bytes = 0;
        News {
            entries: std::mem::take(&mut queue.entries),
            left_out: std::mem::take(&mut queue.left_out),
            closed: queue.closed,
        }
    }
}
