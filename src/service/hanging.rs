//! A disk that hangs: it fails no write and finishes none. Nobody waits for it longer than a while: what is new is refused, what was
//! accepted goes on, as with a disk that is full. What is told to the history meanwhile waits there, and is written when the disk
//! answers; a run that was refused is not, or is deleted before anything else happens, so that it never runs.

use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::Service;
use super::keeping::{Keeping, Pending};

/// A disk that has not answered for so long hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// At its end, a service waits so long for a disk,
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(10);
/// or, where that hangs already, so long.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// Why a run is refused.
pub(super) const HANGS: &str = "the disk does not answer";

impl Keeping {
    /// When the oldest write has had its time.
    pub(super) fn next_time(&self) -> Option<Instant> {
        self.tickets.values().next().map(|(since, _)| *since + PATIENCE)
    }
}

impl Service {
    /// What has waited too long for the disk goes on without it.
    pub(super) fn give_up_on_the_disk(&mut self, now: Instant) {
        if self.keeping.next_time().is_none_or(|at| at > now) {
            return;
        }
        if !std::mem::replace(&mut self.keeping.hangs, true) {
            warn!(
                "the disk of the history has not answered for {} seconds: new runs are refused, and those that were accepted \
                 go on; what they do is written when it answers",
                PATIENCE.as_secs()
            );
        }
        // What was given to it later will not be written sooner.
        let tickets: Vec<u64> = self.keeping.tickets.keys().copied().collect();
        for ticket in tickets {
            self.give_up(ticket);
        }
    }

    fn give_up(&mut self, ticket: u64) {
        let Some((_, pending)) = self.keeping.tickets.get(&ticket) else { return };
        if let Pending::Accept(accepting, _, run) = pending {
            if !run.offer.withdraw() {
                // It is kept this moment: the history says so.
                return;
            }
            // From here on it may be in the file, and must not run.
            if let Err(error) = self.keeping.refused.add(accepting.facts.queued_at) {
                error!(
                    "cannot note that a run was refused: {error}. Should this service end before the disk answers, the run may \
                     begin with the next one"
                );
            }
            self.keeping.taken_back.insert(ticket);
        }
        if let Some(pending) = self.keeping.take(ticket) {
            self.go_on(pending, Err(HANGS.to_owned()));
        }
    }

    /// The history has said something.
    pub(super) fn disk_answers(&mut self) {
        if std::mem::take(&mut self.keeping.hangs) {
            info!("the disk of the history answers again");
        }
    }

    /// It has said something of a ticket that was given up.
    pub(super) fn heard_late(&mut self, ticket: u64) {
        if self.keeping.taken_back.remove(&ticket) && self.keeping.taken_back.is_empty() {
            self.keeping.refused.forget();
        }
    }

    /// Writes what is left, and lets go of the history.
    pub(super) fn close_history(&mut self) {
        let patience = if self.keeping.hangs { LAST_CHANCE } else { PATIENCE_AT_THE_END };
        if let Some(history) = self.keeping.history.take()
            && !history.close(patience)
        {
            warn!(
                "the disk of the history does not answer: what happened last is not in it, and the kernel may keep this process \
                 until it does"
            );
        }
    }
}
