//! The way of log lines from whoever writes them to a thread that may wait for its reader: a terminal that is stopped (Ctrl-S), a pipe
//! that nobody reads and a journal that does not answer hold up nobody else.
//!
//! It has a bound. While the reader is slow, [`is_behind`] says so, and what tasks print is left in their pipes; while it does not read
//! at all, further lines are dropped, counted, and their number is told in their place. Before [`start`] everything is written at once,
//! by the caller: commands that supervise nothing need no thread, and a process that is going to fork must not have one.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::process::sys;

/// So many bytes may wait; of what tasks print less, so that there is room for what pushflow has to say.
const MOST: usize = 8 << 20;
const MOST_OF_TASKS: usize = 6 << 20;
/// From here on the queue is said to be behind.
const BEHIND: usize = 4 << 20;
/// What an entry takes beside its text.
const OVERHEAD: usize = 128;
/// A reader that takes nothing for so long does not read.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who a line is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// What a task has printed.
    Task,
    /// Pushflow itself.
    Pushflow,
}

type Work = Box<dyn FnOnce() + Send>;

enum Entry {
    /// Writes something of this size.
    Write(usize, Work),
    /// So many were dropped here.
    Lost(u64),
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    entries: VecDeque<Entry>,
    /// How much they take; of that which is being written too.
    bytes: usize,
    /// There is a thread that writes.
    started: bool,
    /// That thread waits for entries.
    waits: bool,
    /// How many were dropped since the last one that was not.
    lost: u64,
    /// When an entry was written last.
    progress: Option<Instant>,
    /// Who does not read, in the message on what was lost.
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

/// How much waits, for a look without the lock.
static BYTES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// What the writing thread itself has to say goes ahead of what waits.
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

fn state() -> MutexGuard<'static, State> {
    // Nothing in here panics between two changes that belong together.
    QUEUE.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on a thread writes. Call it when no process will be forked any more.
pub fn start() -> io::Result<()> {
    let mut state = state();
    if !state.started {
        sys::spawn_thread("log", write_all)?;
        state.started = true;
    }
    Ok(())
}

/// Says in the message on lost lines why they were: `the journal did not answer`.
pub fn set_reader(why: &'static str) {
    state().reader = why;
}

/// Has something written, in its turn; `size`: how long about it is. It never waits once [`start`] was called. False where it was dropped.
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
    let most = if source == Source::Task { MOST_OF_TASKS } else { MOST };
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

/// Whether much waits for a reader that does read: what is printed had better wait too. A reader that does not read at all is not
/// waited for.
pub fn is_behind() -> bool {
    if BYTES.load(Ordering::Relaxed) < BEHIND {
        return false;
    }
    let state = state();
    state.bytes >= BEHIND && state.progress.is_some_and(|at| at.elapsed() < PATIENCE)
}

/// Waits until everything is written, as long as somebody reads.
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
