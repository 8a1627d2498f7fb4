//! What must be on the disk before it counts: a run before its caller is told that it was accepted, its beginning before its
//! first task starts, its end before anybody is told. A supervisor that is killed at any moment leaves all that the next one
//! needs, and nothing happens twice.
//!
//! The loop does not wait. It hands over a write together with what is to happen then, and gets that back as a
//! [`DurabilityEvent`]: at once if there is no history, otherwise when the history has replied. A new run that cannot be
//! written is refused; an accepted one continues.
//!
//! A disk that hangs fails no write and completes none. After a while, new runs are refused and accepted ones continue, as
//! with a full disk. Their events stay queued and are written when the disk answers. A refused run is not written, or is
//! deleted before anything else happens, so that it never runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::history::{History, NewRun, RecoveredRun, RefusedRuns, RunEnd, WriteError, WriteId, WriterReply};

/// A disk that has not answered for so long hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a service waits at its start for the history to be opened.
const PATIENCE_AT_START: Duration = Duration::from_secs(20);
/// How long a service waits at its end for the disk,
const PATIENCE_AT_END: Duration = Duration::from_secs(10);
/// and how long if the disk hangs already.
const PATIENCE_WITH_HANGING_DISK: Duration = Duration::from_secs(2);

/// Something to write.
#[derive(Debug)]
pub(super) enum Write {
    /// A run was accepted.
    Accept(Arc<NewRun>),
    /// A queued run begins: its number, and when, microseconds since the epoch.
    Begin(u64, u64),
    /// A run has ended.
    End(Box<RunEnd>),
}

/// What the history has said.
#[must_use]
#[derive(Debug)]
pub(super) enum DurabilityEvent<T> {
    /// The history is open. These are the runs that an earlier process left unfinished.
    Recovered(Vec<RecoveredRun>),
    /// A write is safe, or is given up: what the caller handed over with it, and the result.
    Settled(T, WriteResult),
}

/// What has become of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WriteResult {
    /// It is on the disk, with this number of its run.
    Written(u64),
    /// There is no history.
    NotRecorded,
    /// It is not on the disk, for this reason.
    Failed(WriteError),
}

/// The history, and the writes that it has not replied to. `T` is what the caller wants back with the reply.
#[derive(Debug)]
pub(super) struct Durability<T> {
    history: Option<History>,
    pending: BTreeMap<WriteId, PendingWrite<T>>,
    /// The latest time of acceptance: no two runs have the same.
    last_accepted: u64,
    /// The disk does not answer.
    hangs: bool,
    /// The runs that were withdrawn while they were written,
    withdrawn: BTreeSet<WriteId>,
    /// and where that is noted for the next process.
    refused: RefusedRuns,
}

#[derive(Debug)]
struct PendingWrite<T> {
    since: Instant,
    then: T,
    /// The run that can be withdrawn.
    new: Option<Arc<NewRun>>,
}

impl<T> Durability<T> {
    /// Without a history.
    pub(super) fn new() -> Self {
        Durability {
            history: None,
            pending: BTreeMap::new(),
            last_accepted: 0,
            hangs: false,
            withdrawn: BTreeSet::new(),
            refused: RefusedRuns::default(),
        }
    }

    /// From now on, writes go to this history. Runs that are refused while the disk hangs are noted.
    pub(super) fn use_history(&mut self, history: History, refused: RefusedRuns) {
        (self.history, self.refused) = (Some(history), refused);
    }

    pub(super) fn has_history(&self) -> bool {
        self.history.is_some()
    }

    /// Whether no write is pending.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// What the callers of pending writes want back.
    pub(super) fn pending(&mut self) -> impl Iterator<Item = &mut T> {
        self.pending.values_mut().map(|pending| &mut pending.then)
    }

    /// The time of acceptance of the next run: `now`, or later if another run has that.
    pub(super) fn acceptance_time(&mut self, now: u64) -> u64 {
        self.last_accepted = now.max(self.last_accepted + 1);
        self.last_accepted
    }

    /// Writes something. Returns `then` as an event, now or later.
    pub(super) fn write(&mut self, write: Write, then: T, now: Instant) -> Option<DurabilityEvent<T>> {
        let Some(history) = &mut self.history else {
            return Some(DurabilityEvent::Settled(then, WriteResult::NotRecorded));
        };
        let (id, new) = match write {
            Write::Accept(_) if self.hangs => return Some(hanging(then)),
            Write::Accept(run) => (history.accept(Arc::clone(&run)), Some(run)),
            Write::Begin(run, at) => (history.begin(run, at), None),
            Write::End(end) => (history.end(*end), None),
        };
        if self.hangs {
            return Some(hanging(then));
        }
        self.pending.insert(id, PendingWrite { since: now, then, new });
        None
    }

    /// A run is being stopped: it is not begun again. Nobody waits for that.
    pub(super) fn stopping(&self, run: u64, reason: &str) {
        if let Some(history) = &self.history {
            history.stopping(run, reason);
        }
    }

    /// Waits for the history to be opened: runs that an earlier process left come before any others.
    pub(super) fn wait_until_open(&mut self) -> Option<DurabilityEvent<T>> {
        match self.history.as_ref()?.wait_for_reply(PATIENCE_AT_START) {
            Some(reply) => self.on_reply(reply),
            None => {
                warn!("the disk of the history does not answer: the service starts, and accepts no runs until it does");
                self.hangs = true;
                None
            }
        }
    }

    /// What the history has replied since this was called last.
    pub(super) fn events(&mut self) -> Vec<DurabilityEvent<T>> {
        let mut events = Vec::new();
        while let Some(reply) = self.history.as_ref().and_then(History::reply) {
            events.extend(self.on_reply(reply));
        }
        events
    }

    fn on_reply(&mut self, reply: WriterReply) -> Option<DurabilityEvent<T>> {
        if std::mem::take(&mut self.hangs) {
            info!("the disk of the history answers again");
        }
        match reply {
            WriterReply::Open(runs) => Some(DurabilityEvent::Recovered(runs)),
            // The writer has logged it.
            WriterReply::Unusable(_) => None,
            WriterReply::Written(id, result) => match self.pending.remove(&id) {
                Some(pending) => {
                    let result = result.map_or_else(WriteResult::Failed, WriteResult::Written);
                    Some(DurabilityEvent::Settled(pending.then, result))
                }
                None => {
                    if self.withdrawn.remove(&id) && self.withdrawn.is_empty() {
                        self.refused.forget();
                    }
                    None
                }
            },
        }
    }

    /// When [`Durability::on_time`] wants to be called.
    pub(super) fn next_time(&self) -> Option<Instant> {
        self.pending.values().next().map(|pending| pending.since + PATIENCE)
    }

    /// Gives up all writes if the oldest has waited too long: later ones will not be written sooner.
    pub(super) fn on_time(&mut self, now: Instant) -> Vec<DurabilityEvent<T>> {
        if self.next_time().is_none_or(|at| at > now) {
            return Vec::new();
        }
        if !std::mem::replace(&mut self.hangs, true) {
            warn!(
                "the disk of the history has not answered for {} seconds: new runs are refused, and accepted ones continue; \
                 what they do is written when it answers",
                PATIENCE.as_secs()
            );
        }
        let ids: Vec<WriteId> = self.pending.keys().copied().collect();
        ids.into_iter().filter_map(|id| self.give_up(id)).collect()
    }

    fn give_up(&mut self, id: WriteId) -> Option<DurabilityEvent<T>> {
        if let Some(run) = &self.pending.get(&id)?.new {
            if !run.withdrawal.withdraw() {
                // It is on the disk already: the reply is on its way.
                return None;
            }
            // From here on it may be in the file, and must not run.
            if let Err(error) = self.refused.add(run.request.queued_at) {
                error!(
                    "cannot note that a run was refused: {error}. If this service ends before the disk answers, the next one \
                     may start the run"
                );
            }
            self.withdrawn.insert(id);
        }
        let pending = self.pending.remove(&id)?;
        Some(hanging(pending.then))
    }

    /// Writes what is queued, and closes the history.
    pub(super) fn close(&mut self) {
        let patience = if self.hangs { PATIENCE_WITH_HANGING_DISK } else { PATIENCE_AT_END };
        if let Some(history) = self.history.take()
            && !history.close(patience)
        {
            warn!(
                "the disk of the history does not answer: the last events are not recorded, and the kernel may keep this \
                 process until the disk answers"
            );
        }
    }
}

fn hanging<T>(then: T) -> DurabilityEvent<T> {
    DurabilityEvent::Settled(then, WriteResult::Failed(WriteError::Hangs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_history_everything_is_settled_at_once() {
        let mut durability = Durability::new();
        let Some(DurabilityEvent::Settled(then, result)) =
            durability.write(Write::Begin(7, 0), "begin", Instant::now())
        else {
            panic!("nothing was returned")
        };
        assert_eq!((then, result), ("begin", WriteResult::NotRecorded));
        assert!(durability.is_idle() && durability.next_time().is_none());
    }

    #[test]
    fn no_two_runs_are_accepted_at_the_same_time() {
        let mut durability = Durability::<()>::new();
        let times = [5, 5, 3, 9].map(|now| durability.acceptance_time(now));
        assert_eq!(times, [5, 6, 7, 9]);
    }
}
