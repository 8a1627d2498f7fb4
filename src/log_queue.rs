//! The queue of log lines. A thread writes them and may wait for its reader: a terminal that is stopped (Ctrl-S), a pipe that
//! nobody reads, or a journal that does not answer delays nothing else.
//!
//! The queue is bounded. While the reader is slow ([`is_behind`]), the output of tasks stays in their pipes. If the reader does not
//! read at all, further lines are dropped, and their number is logged in their place. Before [`start`], the caller writes each line
//! itself: commands that supervise nothing need no thread, and a process that is going to fork must not have one.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::process::sys;

/// Maximum size of the queue, bytes. Output of tasks has less, so that there is room for messages of pushflow.
const MAX_BYTES: usize = 8 << 20;
const MAX_TASK_BYTES: usize = 6 << 20;
/// The size from which on the queue is behind, bytes.
const BEHIND: usize = 4 << 20;
/// Memory of an entry besides its text, bytes.
const OVERHEAD: usize = 128;
/// A reader that has read nothing for so long does not read.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A task has printed it.
    Task,
    /// Pushflow itself.
    Pushflow,
}

type Work = Box<dyn FnOnce() + Send>;

enum Entry {
    /// A line of this size.
    Write(usize, Work),
    /// So many lines were dropped here.
    Lost(u64),
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    entries: VecDeque<Entry>,
    /// The size of the entries, including the one that is being written.
    bytes: usize,
    /// The thread runs.
    started: bool,
    /// The thread waits for entries.
    waits: bool,
    /// How many lines were dropped since the last entry.
    lost: u64,
    /// When the last entry was written.
    progress: Option<Instant>,
    /// Why lines are lost, for the message about that.
    reader: &'static str,
}

static QUEUE: Queue = Queue {
    state: Mutex::new(State {
        entries: VecDeque::new(),
        bytes: 0,
        started: false,
        waits: false,
        lost: 0,
        progress: None,
        reader: "nobody read standard error",
    }),
    changed: Condvar::new(),
};

/// The size of the queue, readable without the lock.
static BYTES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this is the writing thread. Its own messages are written at once.
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

fn state() -> MutexGuard<'static, State> {
    // No code panics between two changes that belong together.
    QUEUE.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread. Call this when no process will be forked any more.
pub fn start() -> io::Result<()> {
    let mut state = state();
    if !state.started {
        sys::spawn_thread("log", write_all)?;
        state.started = true;
    }
    Ok(())
}

/// Sets why lines are lost, for the message about that: `the journal did not answer`.
pub fn set_reader(why: &'static str) {
    state().reader = why;
}

/// Queues `work`, which writes about `size` bytes. Never waits once [`start`] was called. False if the line was dropped.
pub fn write(source: Source, size: usize, work: impl FnOnce() + Send + 'static) -> bool {
    if IS_WRITER.get() {
        work();
        return true;
    }
    let mut state = state();
    if !state.started {
        drop(state);
        work();
        return true;
    }
    let size = size + OVERHEAD;
    let most = if source == Source::Task { MAX_TASK_BYTES } else { MAX_BYTES };
    if state.bytes + size > most && !state.entries.is_empty() {
        state.lost += 1;
        return false;
    }
    let lost = std::mem::take(&mut state.lost);
    if lost > 0 {
        state.entries.push_back(Entry::Lost(lost));
        state.bytes += OVERHEAD;
    }
    state.entries.push_back(Entry::Write(size, Box::new(work)));
    state.bytes += size;
    BYTES.store(state.bytes, Ordering::Relaxed);
    if state.waits {
        QUEUE.changed.notify_all();
    }
    true
}

/// Whether the queue is long and its reader is slow: output of tasks should wait too. Nothing waits for a reader that does not read at
/// all.
pub fn is_behind() -> bool {
    if BYTES.load(Ordering::Relaxed) < BEHIND {
        return false;
    }
    let state = state();
    state.bytes >= BEHIND && state.progress.is_some_and(|at| at.elapsed() < PATIENCE)
}

/// Waits until everything is written, or the reader does not read.
pub fn flush() {
    let begin = Instant::now();
    let mut state = state();
    while state.started && (state.bytes > 0 || state.lost > 0) {
        let last = state.progress.map_or(begin, |progress| progress.max(begin));
        let left = PATIENCE.saturating_sub(last.elapsed());
        if left.is_zero() {
            return;
        }
        state = QUEUE.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// The thread.
fn write_all() {
    IS_WRITER.set(true);
    let mut state = state();
    loop {
        let reader = state.reader;
        if state.entries.is_empty() && state.lost > 0 {
            let lost = std::mem::take(&mut state.lost);
            state.entries.push_back(Entry::Lost(lost));
            state.bytes += OVERHEAD;
        }
        let Some(entry) = state.entries.pop_front() else {
            state.waits = true;
            state = QUEUE.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waits = false;
            continue;
        };
        drop(state);
        let size = match entry {
            Entry::Write(size, work) => {
                work();
                size
            }
            Entry::Lost(1) => {
                warn!("1 line of the log was lost: {reader}");
                OVERHEAD
            }
            Entry::Lost(lost) => {
                warn!("{lost} lines of the log were lost: {reader}");
                OVERHEAD
            }
        };
        state = self::state();
        state.bytes -= size;
        state.progress = Some(Instant::now());
        BYTES.store(state.bytes, Ordering::Relaxed);
        if state.bytes == 0 {
            QUEUE.changed.notify_all();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// There is one queue a process, and so one test of it.
    #[test]
    fn a_reader_that_stops_costs_lines_and_nobody_any_time() {
        let (written, lines) = mpsc::channel();
        let say = |text: String| {
            let written = written.clone();
            let size = text.len();
            write(Source::Task, size, move || written.send(text).unwrap());
        };
        say("at once".to_owned());
        assert_eq!(lines.try_recv().unwrap(), "at once", "before there is a thread, the caller writes");
        start().unwrap();
        let (go_on, stopped) = mpsc::channel::<()>();
        write(Source::Pushflow, 0, move || stopped.recv().unwrap());
        let long = "x".repeat(64 << 10);
        let begin = Instant::now();
        for _ in 0..1000 {
            say(long.clone());
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        let begin = Instant::now();
        flush();
        assert!((PATIENCE..PATIENCE * 5).contains(&begin.elapsed()), "it waits for a moment and no longer");
        assert!(!is_behind(), "who does not read is not waited for");
        assert!(state().lost > 800, "{}", state().lost);
        go_on.send(()).unwrap();
        flush();
        say("after it".to_owned());
        flush();
        let all: Vec<String> = lines.try_iter().collect();
        assert!((10..200).contains(&all.len()), "{} were kept", all.len());
        assert_eq!(all.last().unwrap(), "after it");
        let state = state();
        assert_eq!((state.bytes, state.lost), (0, 0));
    }
}
