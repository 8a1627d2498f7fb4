//! One transaction: what a batch of entries changes in the file.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::queue::LeftOut;
use crate::history::entry::{Attempt, Entry, NewRun, WriteError, WriteId};
use crate::history::file::statements::Statements;
use crate::history::file::tally::Tally;

/// A write, and its reply.
pub(super) type Reply = (WriteId, Result<u64, WriteError>);

/// A run that is in the file and has not ended.
pub(super) struct LiveRun {
    pub(super) run: Arc<NewRun>,
    pub(super) begun_at: Option<u64>,
}

/// What a transaction has written.
#[derive(Default)]
pub(super) struct Written {
    pub(super) replies: Vec<Reply>,
    /// New runs: their writes and their numbers.
    pub(super) new: Vec<(WriteId, u64, Arc<NewRun>)>,
}

/// Writes entries in their order. An attempt that has ended by the end of them is one row, written once.
///
/// A run that could not be written when it was accepted has no number in the file: its other entries are left out.
pub(super) fn write(
    statements: &mut Statements<'_>,
    entries: &VecDeque<Entry>,
    left_out: &LeftOut,
    live: &BTreeMap<u64, LiveRun>,
) -> rusqlite::Result<Written> {
    let mut written = Written::default();
    let mut begun: HashMap<u64, &Attempt> = HashMap::new();
    let mut tallies: HashMap<_, (&Attempt, Tally)> = HashMap::new();
    for ((run, actor), (workflow, tally)) in left_out {
        if live.contains_key(run) {
            statements.add(*run, workflow, *actor, tally)?;
        }
    }
    for entry in entries {
        if let Some(run) = entry.run()
            && !live.contains_key(&run)
        {
            written.replies.extend(entry.id().map(|id| (id, Ok(run))));
            continue;
        }
        match entry {
            Entry::New { id, run } if run.withdrawal.is_withdrawn() => {
                written.replies.push((*id, Err(WriteError::Withdrawn)));
            }
            Entry::New { id, run } => {
                let number = statements.put_run(run, None, run.begins.then_some(run.request.queued_at))?;
                written.new.push((*id, number, Arc::clone(run)));
            }
            Entry::Begun { id, run, at } => {
                statements.begin_run(*run, *at)?;
                written.replies.extend(id.map(|id| (id, Ok(*run))));
            }
            Entry::Stopping { run, reason } => statements.put_stopping(*run, reason)?,
            Entry::TaskStarted(attempt) => _ = begun.insert(attempt.job, attempt),
            Entry::TaskEnded(attempt, end) => {
                begun.remove(&attempt.job);
                statements.put_ended(attempt, end)?;
                let tally = tallies.entry((attempt.run, attempt.actor)).or_insert((attempt, Tally::default()));
                tally.1.add(&Tally::of(attempt, end, false));
            }
            Entry::Ended { id, end } => {
                put_tallies(statements, tallies.extract_if(|(run, _), _| *run == end.run).map(|(_, tally)| tally))?;
                for (_, attempt) in begun.extract_if(|_, attempt| attempt.run == end.run) {
                    statements.put_running(attempt)?;
                }
                statements.end_run(end)?;
                written.replies.extend(id.map(|id| (id, Ok(end.run))));
            }
        }
    }
    put_tallies(statements, tallies.into_values())?;
    let mut begun: Vec<_> = begun.into_values().collect();
    begun.sort_unstable_by_key(|attempt| attempt.job);
    for attempt in begun {
        statements.put_running(attempt)?;
    }
    Ok(written)
}

fn put_tallies<'a>(
    statements: &mut Statements<'_>,
    tallies: impl Iterator<Item = (&'a Attempt, Tally)>,
) -> rusqlite::Result<()> {
    for (attempt, tally) in tallies {
        statements.add(attempt.run, &attempt.workflow, attempt.actor, &tally)?;
    }
    Ok(())
}
