//! The thread that writes the history. It writes each batch as one transaction, and replies when that is on the disk.
//!
//! Trouble with the file ends no run, and is logged once. A disk that is full or read-only is tried again: meanwhile, what
//! tasks do is counted as left out, and what runs do is kept until it can be written. A damaged file is put into quarantine,
//! and the unfinished runs are written into a new one.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tracing::{info, warn};

use super::prune::Pruner;
use super::queue::{LeftOut, Wake, WriteBatch, WriteQueue};
use super::transaction::{LiveRun, Reply, write};
use crate::history::entry::{Entry, WriteError, WriteId, WriterReply};
use crate::history::file::open::{lock_service, open_for_writing};
use crate::history::file::statements::{Rows, Statements, delete_runs};
use crate::history::file::tally::Tally;
use crate::history::recover::{claim, continue_numbers, quarantine};
use crate::history::{HistoryError, Settings, this_process};

/// How often a file that cannot be written is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// The thread's state.
pub(super) struct Writer {
    settings: Settings,
    queue: Arc<WriteQueue>,
    replies: mpsc::Sender<WriterReply>,
    wake: Wake,
    file: Option<Connection>,
    /// The lock that keeps other services from the runs of this one.
    service_lock: Option<File>,
    owner: String,
    rows: Rows,
    /// Entries of runs that could not be written yet, oldest first.
    unwritten: VecDeque<Entry>,
    /// What tasks did of which only the sums are written.
    left_out: LeftOut,
    /// Runs that are in the file and were withdrawn while they were written.
    withdrawn: Vec<(WriteId, u64)>,
    /// How many tasks have been left out since that was logged last.
    left_out_unlogged: u64,
    /// The unfinished runs in the file: a new file would need them.
    live: BTreeMap<u64, LiveRun>,
    /// The highest number of a run.
    last_run: u64,
    /// Whether the runs of an earlier process have been taken over.
    has_claimed: bool,
    /// Why the file cannot be written, as it was logged.
    trouble: Option<String>,
    pruner: Pruner,
}

impl Writer {
    pub(super) fn new(
        settings: Settings,
        queue: Arc<WriteQueue>,
        replies: mpsc::Sender<WriterReply>,
        wake: Wake,
    ) -> Self {
        Writer {
            pruner: Pruner::new(&settings),
            settings,
            queue,
            replies,
            wake,
            file: None,
            service_lock: None,
            owner: this_process(),
            rows: Rows::default(),
            unwritten: VecDeque::new(),
            left_out: LeftOut::default(),
            withdrawn: Vec::new(),
            left_out_unlogged: 0,
            live: BTreeMap::new(),
            last_run: 0,
            has_claimed: false,
            trouble: None,
        }
    }

    pub(super) fn work(mut self) {
        if let Err(error) = self.open() {
            self.report(&error.to_string());
            self.reply(WriterReply::Unusable(error));
        }
        loop {
            let is_behind = !self.unwritten.is_empty()
                || !self.left_out.is_empty()
                || !self.withdrawn.is_empty()
                || !self.has_claimed;
            let retries = (self.trouble.is_some() && is_behind) || !self.withdrawn.is_empty();
            let retry = retries.then(|| Instant::now() + RETRY_EVERY);
            let prune = self.file.is_some().then(|| self.pruner.next_time()).flatten();
            let batch = self.queue.take(retry.into_iter().chain(prune).min());
            let closed = batch.closed;
            self.on_batch(batch);
            if closed {
                break;
            }
            if let Some(file) = &mut self.file
                && let Err(error) = self.pruner.on_time(file, &self.settings.path)
            {
                self.report(&error.to_string());
            }
        }
        if self.trouble.is_some() && !self.unwritten.is_empty() {
            warn!("the history {} lacks the last events of its runs", self.settings.path.display());
        }
        // The last process that closes the file truncates the write-ahead log. Its contents are safe in any case.
        if let Some(file) = self.file.take() {
            let _ = file.close();
        }
    }

    fn reply(&self, reply: WriterReply) {
        if self.replies.send(reply).is_ok() {
            (self.wake)();
        }
    }

    /// Opens the file, and takes over the runs that an earlier process left in it.
    fn open(&mut self) -> Result<(), HistoryError> {
        let path = self.settings.path.clone();
        if self.settings.on_crash.is_some() && self.service_lock.is_none() {
            self.service_lock = Some(lock_service(&path, self.settings.private)?);
        }
        let mut file = match open_for_writing(&path, self.settings.private) {
            Err(error) if is_damaged(&error) => {
                self.quarantine(&error)?;
                open_for_writing(&path, self.settings.private)?
            }
            other => other?,
        };
        continue_numbers(&file, self.last_run).map_err(HistoryError::database("write", &path))?;
        let cannot = HistoryError::database("write", &path);
        self.pruner.opened(&file).and_then(|()| self.claim_file(&file)).map_err(cannot)?;
        if !self.has_claimed {
            let claimed = claim(&mut file, &self.owner, &self.settings);
            let claimed = claimed.map_err(HistoryError::database("write", &path))?;
            self.last_run = self.last_run.max(claimed.last_run);
            for (id, run) in claimed.live {
                self.live.insert(id, LiveRun { run, begun_at: None });
            }
            self.has_claimed = true;
            self.reply(WriterReply::Open(claimed.runs));
        }
        self.file = Some(file);
        Ok(())
    }

    /// Records whose history it is. The history of a service belongs to the service of that name, whatever was recorded before.
    fn claim_file(&self, file: &Connection) -> rusqlite::Result<()> {
        let workflow = self.settings.file.to_string_lossy();
        let unless = if self.settings.on_crash.is_some() { "file IS NOT ?1" } else { "file IS NULL" };
        file.execute(&format!("UPDATE state SET file = ?1 WHERE {unless}"), [workflow]).map(drop)
    }

    fn quarantine(&mut self, error: &HistoryError) -> Result<(), HistoryError> {
        let (to, last) = quarantine(&self.settings.path)?;
        self.last_run = self.last_run.max(last.unwrap_or_default());
        warn!("{error}: the file was renamed to {}, and a new history begins", to.display());
        Ok(())
    }

    fn on_batch(&mut self, batch: WriteBatch) {
        for (key, (workflow, tally)) in batch.left_out {
            self.left_out.entry(key).or_insert_with(|| (workflow, Tally::default())).1.add(&tally);
            self.left_out_unlogged += tally.left_out;
        }
        let mut entries = std::mem::take(&mut self.unwritten);
        entries.extend(batch.entries);
        if entries.is_empty() && self.left_out.is_empty() && self.withdrawn.is_empty() && self.has_claimed {
            return;
        }
        let mut written = self.try_to_write(&entries);
        if let Err(error) = &written
            && is_damaged(error)
        {
            written = self.begin_anew(error).and_then(|()| self.try_to_write(&entries));
        }
        match written {
            Ok(replies) => {
                self.on_written();
                for (id, result) in replies {
                    self.reply(WriterReply::Written(id, result));
                }
                self.delete_withdrawn();
                if let Some(pulse) = &self.settings.pulse {
                    // A full pipe has the reader awake already.
                    let _ = rustix::io::write(pulse, b".");
                }
            }
            Err(error) => self.on_failed(entries, &error.to_string()),
        }
    }

    fn on_written(&mut self) {
        self.left_out.clear();
        let left_out = std::mem::take(&mut self.left_out_unlogged);
        let path = self.settings.path.display();
        match self.trouble.take() {
            Some(_) if left_out > 0 => {
                info!("the history {path} is written again; {left_out} tasks were left out of it")
            }
            Some(_) => info!("the history {path} is written again; nothing was left out of it"),
            None if left_out > 0 => {
                warn!("the disk of {path} is too slow: {left_out} tasks were left out of the history")
            }
            None => {}
        }
    }

    /// Keeps entries of runs for later, counts tasks as left out, and replies to those who wait.
    fn on_failed(&mut self, entries: VecDeque<Entry>, why: &str) {
        for entry in entries {
            if let Some(id) = entry.id() {
                self.reply(WriterReply::Written(id, Err(WriteError::Failed(why.to_owned()))));
            }
            match entry {
                Entry::New { .. } | Entry::TaskStarted(_) => {}
                Entry::Begun { run, at, .. } => self.unwritten.push_back(Entry::Begun { id: None, run, at }),
                Entry::Ended { end, .. } => self.unwritten.push_back(Entry::Ended { id: None, end }),
                Entry::Stopping { .. } => self.unwritten.push_back(entry),
                Entry::TaskEnded(attempt, end) => {
                    let tally = Tally::of(&attempt, &end, true);
                    self.left_out_unlogged += 1;
                    let sum = self.left_out.entry((attempt.run, attempt.actor));
                    sum.or_insert_with(|| (attempt.workflow, Tally::default())).1.add(&tally);
                }
            }
        }
        self.report(why);
    }

    fn report(&mut self, why: &str) {
        if self.trouble.as_deref() != Some(why) {
            warn!("the history is not written: {why}. Accepted runs continue; writing is tried again");
            self.trouble = Some(why.to_owned());
        }
    }

    /// Replaces a damaged file by a new one that has the unfinished runs.
    fn begin_anew(&mut self, error: &HistoryError) -> Result<(), HistoryError> {
        self.file = None;
        self.rows = Rows::default();
        self.withdrawn.clear();
        self.quarantine(error)?;
        self.open()?;
        let path = self.settings.path.clone();
        let Some(file) = &mut self.file else { return Ok(()) };
        let workflow = self.settings.file.to_string_lossy();
        let restore = |file: &mut Connection, rows: &mut Rows| {
            let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let change = transaction.query_row("SELECT change FROM state", [], |row| row.get(0))?;
            let mut statements =
                Statements { connection: &transaction, rows, change, owner: &self.owner, file: &workflow };
            for (id, live) in &self.live {
                statements.put_run(&live.run, Some(*id), live.begun_at)?;
            }
            let change = statements.change;
            transaction.execute("UPDATE state SET change = ?1", [change])?;
            transaction.commit()
        };
        restore(file, &mut self.rows).map_err(HistoryError::database("write", &path))
    }

    /// Writes entries in one transaction, and returns the replies to them.
    fn try_to_write(&mut self, entries: &VecDeque<Entry>) -> Result<Vec<Reply>, HistoryError> {
        if self.file.is_none() {
            self.open()?;
        }
        let path = self.settings.path.clone();
        let cannot = |error| HistoryError::database("write", &path)(error);
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        // What somebody waits for must survive a power cut. Tasks become safe with the next such transaction, or soon.
        let safe = entries.iter().any(|entry| !matches!(entry, Entry::TaskStarted(_) | Entry::TaskEnded(..)));
        file.pragma_update(None, "synchronous", if safe { "FULL" } else { "NORMAL" }).map_err(cannot)?;
        let mut rows = self.rows.clone();
        let workflow = self.settings.file.to_string_lossy();
        let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate).map_err(cannot)?;
        let change = transaction.query_row("SELECT change FROM state", [], |row| row.get(0)).map_err(cannot)?;
        let mut statements =
            Statements { connection: &transaction, rows: &mut rows, change, owner: &self.owner, file: &workflow };
        let written = write(&mut statements, entries, &self.left_out, &self.live).map_err(cannot)?;
        let change = statements.change;
        transaction.execute("UPDATE state SET change = ?1", [change]).map_err(cannot)?;
        transaction.commit().map_err(cannot)?;
        self.rows = rows;
        self.pruner.wrote(entries.len());
        let mut replies = written.replies;
        for (id, number, run) in written.new {
            self.last_run = self.last_run.max(number);
            if !run.withdrawal.commit() {
                self.withdrawn.push((id, number));
                continue;
            }
            replies.push((id, Ok(number)));
            let begun_at = run.begins.then_some(run.request.queued_at);
            self.live.insert(number, LiveRun { run, begun_at });
        }
        for entry in entries {
            match entry {
                Entry::Begun { run, at, .. } => {
                    if let Some(live) = self.live.get_mut(run) {
                        live.begun_at = Some(*at);
                    }
                }
                Entry::Ended { end, .. } => _ = self.live.remove(&end.run),
                _ => {}
            }
        }
        Ok(replies)
    }

    /// Deletes the runs that were withdrawn while they were written, before anything else is written. Tries again later if that
    /// fails.
    fn delete_withdrawn(&mut self) {
        let Some(file) = self.file.as_mut().filter(|_| !self.withdrawn.is_empty()) else { return };
        let runs: Vec<u64> = self.withdrawn.iter().map(|(_, run)| *run).collect();
        match delete_safely(file, &runs) {
            Ok(()) => {
                for (id, _) in std::mem::take(&mut self.withdrawn) {
                    self.reply(WriterReply::Written(id, Err(WriteError::Withdrawn)));
                }
            }
            Err(error) => self.report(&error.to_string()),
        }
    }
}

/// Deletes runs in a transaction that survives a power cut.
fn delete_safely(file: &mut Connection, runs: &[u64]) -> rusqlite::Result<()> {
    file.pragma_update(None, "synchronous", "FULL")?;
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    delete_runs(&transaction, runs)?;
    transaction.commit()
}

/// Whether the file is not a usable database any more.
fn is_damaged(error: &HistoryError) -> bool {
    let HistoryError::Database { error, .. } = error else { return false };
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
