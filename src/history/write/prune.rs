//! Pruning: deleting runs that are too old, and the oldest runs if the file is too large. It is done in small steps between other
//! transactions.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Result, TransactionBehavior, params};

use super::age::{EARLIEST, HistoryTime};
use crate::history::clock::uptime;
use crate::history::{HistoryError, Settings, now};

/// How often to check whether there is something to delete,
const EVERY: Duration = Duration::from_secs(60);
/// and after how many entries.
const AFTER: usize = 20_000;
/// How many tasks are deleted in one transaction.
const AT_ONCE: i64 = 5000;
/// A file that is too large is reduced below its limit by this fraction, so that it is not always at the limit.
const ROOM: u64 = 10;
/// How many pages are released at once.
const PAGES: i64 = 4096;

/// When to prune, and how much.
pub(super) struct Pruner {
    keep_us: u64,
    max_size: u64,
    next: Instant,
    entries: usize,
    /// The size to which the file is being reduced.
    down_to: Option<u64>,
    /// The time for ages; none before the file was opened.
    time: Option<HistoryTime>,
}

impl Pruner {
    pub(super) fn new(settings: &Settings) -> Self {
        let keep_us = u64::try_from(settings.keep.as_micros()).unwrap_or(u64::MAX);
        Pruner { keep_us, max_size: settings.max_size, next: Instant::now(), entries: 0, down_to: None, time: None }
    }

    /// The file was opened, and nothing has been written into it.
    pub(super) fn opened(&mut self, file: &Connection) -> Result<()> {
        self.time = Some(HistoryTime::read(file, now())?);
        Ok(())
    }

    /// So many entries were written.
    pub(super) fn wrote(&mut self, entries: usize) {
        self.entries += entries;
        if self.entries >= AFTER {
            self.next = Instant::now();
        }
    }

    /// When [`Pruner::on_time`] wants to be called.
    pub(super) fn next_time(&self) -> Option<Instant> {
        Some(self.next)
    }

    /// Deletes a little if it is time.
    pub(super) fn on_time(&mut self, file: &mut Connection, path: &Path) -> std::result::Result<(), HistoryError> {
        let time = Instant::now();
        if self.next > time {
            return Ok(());
        }
        self.entries = 0;
        let more = self.forget(file).map_err(HistoryError::database("write", path))?;
        self.next = if more { time } else { time + EVERY };
        Ok(())
    }

    /// Whether there is more to do.
    fn forget(&mut self, file: &mut Connection) -> Result<bool> {
        let size = size(file)?;
        if size > self.max_size {
            self.down_to = Some(self.max_size - self.max_size / ROOM);
        }
        let too_large = self.down_to.is_some_and(|to| size > to);
        if !too_large {
            self.down_to = None;
        }
        let (now, keep_us) = (now(), self.keep_us);
        let time = self.time.as_mut().and_then(|time| time.go_on(now, uptime()));
        // Nobody waits for this transaction.
        file.pragma_update(None, "synchronous", "NORMAL")?;
        let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let due = Due { now, before: time.map_or(0, |time| time.saturating_sub(keep_us)), too_large };
        let forgotten = forget_some(&transaction, due)?;
        if let Some(time) = &mut self.time {
            time.write(&transaction)?;
        }
        transaction.commit()?;
        if !forgotten {
            self.down_to = None;
        }
        let free: i64 = file.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        if free > 0 {
            // Each page is a row of this statement.
            let mut statement = file.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(forgotten || free > PAGES)
    }
}

/// The size of the file's contents, bytes.
fn size(file: &Connection) -> Result<u64> {
    let number = |name| file.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok(u64::try_from(pages * number("page_size")?).unwrap_or_default())
}

/// What is to be deleted.
#[derive(Debug, Clone, Copy)]
struct Due {
    /// The time of the host's clock, microseconds since the epoch.
    now: u64,
    /// Runs that ended before this are too old.
    before: u64,
    /// The file is too large.
    too_large: bool,
}

/// Deletes the oldest ended run, or some of its tasks. If no run has ended, deletes the oldest ended tasks. Whether there was
/// something to delete.
fn forget_some(transaction: &Connection, due: Due) -> Result<bool> {
    let first = |query, values: &[i64]| {
        transaction.query_row(query, rusqlite::params_from_iter(values), |row| row.get::<_, i64>(0)).optional()
    };
    let oldest = first("SELECT id FROM runs WHERE ended_at IS NOT NULL ORDER BY id LIMIT 1", &[])?;
    // A run that ended while the clock was wrong has the age of the next one with a plausible time.
    let ended = first(
        "SELECT ended_at FROM runs WHERE ended_at BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1",
        &[EARLIEST as i64, due.now as i64],
    )?;
    let run = match oldest {
        Some(id) if due.too_large || ended.is_some_and(|ended| ended < due.before as i64) => id,
        _ if due.too_large => return forget_tasks_of_runs_that_go_on(transaction),
        _ => return Ok(false),
    };
    let tasks = transaction.execute(
        "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE run = ?1 ORDER BY id LIMIT ?2)",
        params![run, AT_ONCE],
    )?;
    if (tasks as i64) < AT_ONCE {
        transaction.execute("DELETE FROM actors WHERE run = ?1", [run])?;
        transaction.execute("DELETE FROM runs WHERE id = ?1", [run])?;
    } else {
        // A reader that sees the run now learns what is missing.
        transaction.execute("UPDATE runs SET left_out = left_out + ?2 WHERE id = ?1", params![run, tasks as i64])?;
    }
    Ok(true)
}

fn forget_tasks_of_runs_that_go_on(transaction: &Connection) -> Result<bool> {
    let run: Option<i64> = transaction
        .query_row("SELECT run FROM tasks WHERE ended_at IS NOT NULL ORDER BY id LIMIT 1", [], |row| row.get(0))
        .optional()?;
    let Some(run) = run else { return Ok(false) };
    let tasks = transaction.execute(
        "DELETE FROM tasks WHERE id IN \
         (SELECT id FROM tasks WHERE run = ?1 AND ended_at IS NOT NULL ORDER BY id LIMIT ?2)",
        params![run, AT_ONCE],
    )?;
    transaction.execute("UPDATE runs SET left_out = left_out + ?2 WHERE id = ?1", params![run, tasks as i64])?;
    Ok(tasks > 0)
}
