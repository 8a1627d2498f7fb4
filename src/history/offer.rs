//! Offers that are taken back: a run counts when the history has it and who offers it still wants it. A disk that hangs answers no
//! write, and takes none back either; whoever asked for the run is told after a while that it was not accepted, and then it
//! must never run, also when the write turns out to have come through.
//!
//! While this process lives, an [`Offer`] decides, and the writer deletes what was taken back. Should it end before, a note in a
//! folder that is in memory ([`Refused`]) tells the next process.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use rusqlite::{Connection, TransactionBehavior};

use super::this_process;

const OPEN: u8 = 0;
const KEPT: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Whether a run that was given to the history counts.
#[derive(Debug, Default)]
pub struct Offer(AtomicU8);

impl Offer {
    /// Takes the run back: it does not count, whatever becomes of the write. False where it counts already: the history says so,
    /// or is about to.
    pub fn withdraw(&self) -> bool {
        self.settle(WITHDRAWN)
    }

    /// It is on the disk: whether it counts.
    pub(super) fn keep(&self) -> bool {
        self.settle(KEPT)
    }

    /// It need not be written.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.0.load(Ordering::Acquire) == WITHDRAWN
    }

    fn settle(&self, to: u8) -> bool {
        self.0.compare_exchange(OPEN, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// The note of runs that were taken back and may be in the file nevertheless: who offered them, and when they were accepted.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    /// Not on the disk that hangs; none where there is no such folder.
    path: Option<PathBuf>,
}

impl Refused {
    /// In this folder, which is made when it is needed.
    pub fn in_folder(folder: Option<PathBuf>) -> Self {
        Refused { path: folder.map(|folder| folder.join("refused")) }
    }

    /// Notes a run of this process.
    pub fn add(&self, queued_at: u64) -> io::Result<()> {
        let Some(path) = &self.path else { return Err(io::Error::other("there is no folder for it")) };
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        file.write_all(format!("{} {queued_at}\n", this_process()).as_bytes())
    }

    /// None of them can be in the file any more.
    pub fn forget(&self) {
        if let Some(path) = &self.path {
            // Mostly there is none.
            let _ = fs::remove_file(path);
        }
    }

    /// Whose and which they are.
    pub(super) fn read(&self) -> HashSet<(String, u64)> {
        let text = self.path.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let one = |line: &str| {
            let (owner, queued_at) = line.split_once(' ')?;
            Some((owner.to_owned(), queued_at.parse().ok()?))
        };
        text.lines().filter_map(one).collect()
    }
}

/// Deletes runs as if they had never been: nobody was told of them.
pub(super) fn delete(connection: &Connection, runs: &[u64]) -> rusqlite::Result<()> {
    for run in runs {
        for statement in ["DELETE FROM kept_runs WHERE run = ?1", "DELETE FROM runs WHERE id = ?1"] {
            connection.prepare_cached(statement)?.execute([*run as i64])?;
        }
    }
    Ok(())
}

/// The same as a transaction of its own.
pub(super) fn delete_now(file: &mut Connection, runs: &[u64]) -> rusqlite::Result<()> {
    file.pragma_update(None, "synchronous", "FULL")?;
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    delete(&transaction, runs)?;
    transaction.commit()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_kept_or_withdrawn_and_stays_so() {
        let (kept, withdrawn) = (Offer::default(), Offer::default());
        assert!(kept.keep() && !kept.withdraw() && !kept.is_withdrawn());
        assert!(withdrawn.withdraw() && !withdrawn.keep() && withdrawn.is_withdrawn());
    }

    #[test]
    fn what_was_refused_is_read_by_the_next_process_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let refused = Refused::in_folder(Some(folder.path().join("new")));
        assert!(refused.read().is_empty());
        refused.add(7).unwrap();
        refused.add(8).unwrap();
        // Half of a line, as a process that is killed leaves it.
        let mut file = OpenOptions::new().append(true).open(folder.path().join("new/refused")).unwrap();
        file.write_all(b"boot:1:2").unwrap();
        let owner = this_process();
        assert_eq!(refused.read(), HashSet::from([(owner.clone(), 7), (owner, 8)]));
        refused.forget();
        assert!(refused.read().is_empty());
        assert!(Refused::default().add(9).is_err());
    }
}
