//! The thread that writes. It takes what there is as one transaction, and says what is done.
//!
//! What goes wrong with the file costs no run and is said once: a full or read-only disk is tried again, what tasks did
//! meanwhile is counted as left out, and what runs did is written as soon as it can be; a file that is no history any more is put
//! aside, and the runs that are not over go into a new one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tracing::{info, warn};

use super::entry::{Attempt, Entry, NewRun, Word};
use super::handle::{LeftOut, News, Shared, Wake};
use super::store::{Rows, Store, Tally};
use super::{HistoryError, Settings, aside, leftover, offer, open, open_for_writing, prune, this_process};

/// A file that cannot be written is tried again so often.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The thread's state.
pub(super) struct Writer {
    settings: Settings,
    shared: Arc<Shared>,
    say: mpsc::Sender<Word>,
    wake: Wake,
    file: Option<Connection>,
    /// The lock that says that no other service takes this one's runs.
    alone: Option<File>,
    owner: String,
    rows: Rows,
    /// What runs did that is not written yet, oldest first.
    owed: VecDeque<Entry>,
    /// What tasks did of which only the sums are written.
    left_out: LeftOut,
    /// Runs that are in the file and were taken back while they were written: their tickets and numbers.
    unwanted: Vec<(u64, u64)>,
    /// How many tasks have been left out since it was said last.
    left_out_unsaid: u64,
    /// The runs that are in the file and not over: what a new file would need.
    live: BTreeMap<u64, Live>,
    /// The highest number that a run got.
    last_run: u64,
    /// Whether the runs of an earlier process have been looked for.
    has_claimed: bool,
    /// Why it cannot be written, as it was said.
    trouble: Option<String>,
    pruner: prune::Pruner,
}

struct Live {
    run: Arc<NewRun>,
    begun_at: Option<u64>,
}

impl Writer {
    pub(super) fn new(settings: Settings, shared: Arc<Shared>, say: mpsc::Sender<Word>, wake: Wake) -> Self {
        Writer {
            pruner: prune::Pruner::new(&settings),
            settings,
            shared,
            say,
            wake,
            file: None,
            alone: None,
            owner: this_process(),
            rows: Rows::default(),
            owed: VecDeque::new(),
            left_out: LeftOut::default(),
            unwanted: Vec::new(),
            left_out_unsaid: 0,
            live: BTreeMap::new(),
            last_run: 0,
            has_claimed: false,
            trouble: None,
        }
    }

    pub(super) fn work(mut self) {
        if let Err(error) = self.open() {
            self.say(Word::Unusable(error.to_string()));
            self.complain(&error.to_string());
        }
        loop {
            let owes =
                !self.owed.is_empty() || !self.left_out.is_empty() || !self.unwanted.is_empty() || !self.has_claimed;
            let again =
                ((self.trouble.is_some() && owes) || !self.unwanted.is_empty()).then(|| Instant::now() + TRY_AGAIN);
            let tidy = self.file.is_some().then(|| self.pruner.next_time()).flatten();
            let news = self.shared.take(again.into_iter().chain(tidy).min());
            let closed = news.closed;
            self.on_news(news);
            if closed {
                break;
            }
            if let Some(file) = &mut self.file
                && let Err(error) = self.pruner.on_time(file, &self.settings.path)
            {
                self.complain(&error.to_string());
            }
        }
        if self.trouble.is_some() && !self.owed.is_empty() {
            warn!("the history {} lacks what happened last", self.settings.path.display());
        }
        // The last one out cuts the write-ahead log; what is in there is safe in any case.
        if let Some(file) = self.file.take() {
            let _ = file.close();
        }
    }

    fn say(&self, word: Word) {
        if self.say.send(word).is_ok() {
            (self.wake)();
        }
    }

    /// Opens the file, and claims the runs that an earlier process has left in it.
    fn open(&mut self) -> Result<(), HistoryError> {
        let path = self.settings.path.clone();
        if self.settings.on_crash.is_some() && self.alone.is_none() {
            self.alone = Some(open::alone(&path, self.settings.private)?);
        }
        let mut file = match open_for_writing(&path, self.settings.private) {
            Err(error) if is_broken(&error) => {
                self.put_aside(&error)?;
                open_for_writing(&path, self.settings.private)?
            }
            other => other?,
        };
        aside::go_on_counting(&file, self.last_run).map_err(HistoryError::database("write", &path))?;
        let cannot = HistoryError::database("write", &path);
        self.pruner.opened(&file).and_then(|()| self.claim_file(&file)).map_err(cannot)?;
        if !self.has_claimed {
            let left = leftover::claim(&mut file, &self.owner, &self.settings);
            let left = left.map_err(HistoryError::database("write", &path))?;
            self.last_run = self.last_run.max(left.last_run);
            for run in left.live {
                self.live.insert(run.0, Live { run: run.1, begun_at: None });
            }
            self.has_claimed = true;
            self.say(Word::Open(left.runs));
        }
        self.file = Some(file);
        Ok(())
    }

    /// Says whose history it is. A service's is the one of its name, whoever had it before.
    fn claim_file(&self, file: &Connection) -> rusqlite::Result<()> {
        let workflow = self.settings.file.to_string_lossy();
        let unless = if self.settings.on_crash.is_some() { "file IS NOT ?1" } else { "file IS NULL" };
        file.execute(&format!("UPDATE state SET file = ?1 WHERE {unless}"), [workflow]).map(drop)
    }

    fn put_aside(&mut self, error: &HistoryError) -> Result<(), HistoryError> {
        let (to, last) = aside::put_aside(&self.settings.path)?;
        self.last_run = self.last_run.max(last.unwrap_or_default());
        warn!("{error}: it is put aside as {}, and a new history begins", to.display());
        Ok(())
    }

    fn on_news(&mut self, news: News) {
        for (key, (workflow, tally)) in news.left_out {
            self.left_out.entry(key).or_insert_with(|| (workflow, Tally::default())).1.add(&tally);
            self.left_out_unsaid += tally.left_out;
        }
        let mut entries = std::mem::take(&mut self.owed);
        entries.extend(news.entries);
        if entries.is_empty() && self.left_out.is_empty() && self.unwanted.is_empty() && self.has_claimed {
            return;
        }
        let mut written = self.try_to_write(&entries);
        if let Err(error) = &written
            && is_broken(error)
        {
            written = self.begin_anew(error).and_then(|()| self.try_to_write(&entries));
        }
        match written {
            Ok(done) => {
                self.on_written();
                for (ticket, result) in done {
                    self.say(Word::Done(ticket, result));
                }
                self.delete_unwanted();
                if let Some(pulse) = &self.settings.pulse {
                    // A pipe that is full says what there is to say already.
                    let _ = rustix::io::write(pulse, b".");
                }
            }
            Err(error) => self.on_failed(entries, &error.to_string()),
        }
    }

    fn on_written(&mut self) {
        self.left_out.clear();
        let left_out = std::mem::take(&mut self.left_out_unsaid);
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

    /// What runs did is kept for later, tasks are counted, and whoever asked for a run is told.
    fn on_failed(&mut self, entries: VecDeque<Entry>, why: &str) {
        for entry in entries {
            match entry {
                Entry::New { ticket, .. } => self.say(Word::Done(ticket, Err(why.to_owned()))),
                Entry::Begun { ticket, run, at } => {
                    if ticket != 0 {
                        self.say(Word::Done(ticket, Err(why.to_owned())));
                    }
                    self.owed.push_back(Entry::Begun { ticket: 0, run, at });
                }
                Entry::Ended { ticket, end } => {
                    if ticket != 0 {
                        self.say(Word::Done(ticket, Err(why.to_owned())));
                    }
                    self.owed.push_back(Entry::Ended { ticket: 0, end });
                }
                Entry::Stopping { run, reason } => self.owed.push_back(Entry::Stopping { run, reason }),
                Entry::TaskStarted(_) => {}
                Entry::TaskEnded(attempt, end) => {
                    let tally = Tally::of(&attempt, &end, true);
                    self.left_out_unsaid += 1;
                    let sum = self.left_out.entry((attempt.run, attempt.actor));
                    sum.or_insert_with(|| (attempt.workflow, Tally::default())).1.add(&tally);
                }
            }
        }
        self.complain(why);
    }

    fn complain(&mut self, why: &str) {
        if self.trouble.as_deref() != Some(why) {
            warn!("the history is not written: {why}. Runs that were accepted go on; it is tried again");
            self.trouble = Some(why.to_owned());
        }
    }

    /// A file that is broken makes place for a new one, with the runs that are not over.
    fn begin_anew(&mut self, error: &HistoryError) -> Result<(), HistoryError> {
        self.file = None;
        self.rows = Rows::default();
        self.unwanted.clear();
        self.put_aside(error)?;
        self.open()?;
        let path = self.settings.path.clone();
        let Some(file) = &mut self.file else { return Ok(()) };
        let workflow = self.settings.file.to_string_lossy();
        let restore = |file: &mut Connection, rows: &mut Rows| {
            let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let change = transaction.query_row("SELECT change FROM state", [], |row| row.get(0))?;
            let mut store = Store { connection: &transaction, rows, change, owner: &self.owner, file: &workflow };
            for (id, live) in &self.live {
                store.put_run(&live.run, Some(*id), live.begun_at)?;
            }
            let change = store.change;
            transaction.execute("UPDATE state SET change = ?1", [change])?;
            transaction.commit()
        };
        restore(file, &mut self.rows).map_err(HistoryError::database("write", &path))
    }

    /// One transaction. The tickets of what is in it, with the numbers of their runs.
    fn try_to_write(&mut self, entries: &VecDeque<Entry>) -> Result<Vec<Answer>, HistoryError> {
        if self.file.is_none() {
            self.open()?;
        }
        let path = self.settings.path.clone();
        let cannot = |error| HistoryError::database("write", &path)(error);
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        // What somebody waits for survives a power cut; tasks are written with the next of these, or soon.
        let safe = entries.iter().any(|entry| !matches!(entry, Entry::TaskStarted(_) | Entry::TaskEnded(..)));
        file.pragma_update(None, "synchronous", if safe { "FULL" } else { "NORMAL" }).map_err(cannot)?;
        let mut rows = self.rows.clone();
        let workflow = self.settings.file.to_string_lossy();
        let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate).map_err(cannot)?;
        let change = transaction.query_row("SELECT change FROM state", [], |row| row.get(0)).map_err(cannot)?;
        let mut store =
            Store { connection: &transaction, rows: &mut rows, change, owner: &self.owner, file: &workflow };
        let written = write(&mut store, entries, &self.left_out, &self.live).map_err(cannot)?;
        let change = store.change;
        transaction.execute("UPDATE state SET change = ?1", [change]).map_err(cannot)?;
        transaction.commit().map_err(cannot)?;
        self.rows = rows;
        self.pruner.wrote(entries.len());
        let mut done = written.done;
        for (ticket, id, run) in written.new {
            self.last_run = self.last_run.max(id);
            if !run.offer.keep() {
                self.unwanted.push((ticket, id));
                continue;
            }
            done.push((ticket, Ok(id)));
            let begun_at = run.begins.then_some(run.queued_at);
            self.live.insert(id, Live { run, begun_at });
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
        Ok(done)
    }

    /// Deletes what was taken back while it was written, before anything else is; later, where that fails.
    fn delete_unwanted(&mut self) {
        let Some(file) = self.file.as_mut().filter(|_| !self.unwanted.is_empty()) else { return };
        let runs: Vec<u64> = self.unwanted.iter().map(|(_, run)| *run).collect();
        match offer::delete_now(file, &runs) {
            Ok(()) => {
                for (ticket, _) in std::mem::take(&mut self.unwanted) {
                    self.say(Word::Done(ticket, Err(TAKEN_BACK.to_owned())));
                }
            }
            Err(error) => self.complain(&error.to_string()),
        }
    }
}

/// A ticket, and what is said of it.
type Answer = (u64, Result<u64, String>);

/// What is said of a run that was taken back; nobody waits for it any more.
const TAKEN_BACK: &str = "it was taken back";

#[derive(Default)]
struct Written {
    done: Vec<Answer>,
    new: Vec<(u64, u64, Arc<NewRun>)>,
}

/// Writes news in their order, but for attempts that have ended by the end of them: those are one row written once.
///
/// News of a run that could not be written when it was accepted are not of one that has its number.
fn write(
    store: &mut Store<'_>,
    entries: &VecDeque<Entry>,
    left_out: &LeftOut,
    live: &BTreeMap<u64, Live>,
) -> rusqlite::Result<Written> {
    let mut written = Written::default();
    let mut begun: HashMap<u64, &Attempt> = HashMap::new();
    let mut tallies: HashMap<_, (&Attempt, Tally)> = HashMap::new();
    for ((run, actor), (workflow, tally)) in left_out {
        if live.contains_key(run) {
            store.add(*run, workflow, *actor, tally)?;
        }
    }
    for entry in entries {
        if let Some(run) = entry.run()
            && !live.contains_key(&run)
        {
            written.done.extend(entry.ticket().map(|ticket| (ticket, Ok(run))));
            continue;
        }
        match entry {
            Entry::New { ticket, run } if run.offer.is_withdrawn() => {
                written.done.push((*ticket, Err(TAKEN_BACK.to_owned())));
            }
            Entry::New { ticket, run } => {
                let id = store.put_run(run, None, run.begins.then_some(run.queued_at))?;
                written.new.push((*ticket, id, Arc::clone(run)));
            }
            Entry::Begun { ticket, run, at } => {
                store.begin_run(*run, *at)?;
                written.done.push((*ticket, Ok(*run)));
            }
            Entry::Stopping { run, reason } => store.put_stopping(*run, reason)?,
            Entry::TaskStarted(attempt) => _ = begun.insert(attempt.job, attempt),
            Entry::TaskEnded(attempt, end) => {
                begun.remove(&attempt.job);
                store.put_ended(attempt, end)?;
                let tally = tallies.entry((attempt.run, attempt.actor)).or_insert((attempt, Tally::default()));
                tally.1.add(&Tally::of(attempt, end, false));
            }
            Entry::Ended { ticket, end } => {
                put_tallies(store, tallies.extract_if(|(run, _), _| *run == end.run).map(|(_, tally)| tally))?;
                for (_, attempt) in begun.extract_if(|_, attempt| attempt.run == end.run) {
                    store.put_running(attempt)?;
                }
                store.end_run(end)?;
                written.done.push((*ticket, Ok(end.run)));
            }
        }
    }
    put_tallies(store, tallies.into_values())?;
    let mut begun: Vec<_> = begun.into_values().collect();
    begun.sort_unstable_by_key(|attempt| attempt.job);
    for attempt in begun {
        store.put_running(attempt)?;
    }
    written.done.retain(|(ticket, _)| *ticket != 0);
    Ok(written)
}

fn put_tallies<'a>(store: &mut Store<'_>, tallies: impl Iterator<Item = (&'a Attempt, Tally)>) -> rusqlite::Result<()> {
    for (attempt, tally) in tallies {
        store.add(attempt.run, &attempt.workflow, attempt.actor, &tally)?;
    }
    Ok(())
}

/// Whether the file is no database any more.
fn is_broken(error: &HistoryError) -> bool {
    let HistoryError::Database { error, .. } = error else { return false };
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
