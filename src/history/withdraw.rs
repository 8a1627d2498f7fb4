//! Withdrawing runs that were given to the history. A disk that hangs completes no write, and takes none back. After a while the
//! caller is told that the run was not accepted, and then it must never run, even if the write turns out to have succeeded.
//!
//! While this process lives, a [`Withdrawal`] decides, and the writer deletes withdrawn runs. If the process ends before that, a
//! note in a folder that is in memory ([`RefusedRuns`]) tells the next process.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use super::this_process;

const OPEN: u8 = 0;
const COMMITTED: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Whether a run that was given to the history is accepted: decided once, by the caller or by the writer.
#[derive(Debug, Default)]
pub struct Withdrawal(AtomicU8);

impl Withdrawal {
    /// Withdraws the run, whatever becomes of the write. False if the history has it already: its reply is on its way.
    pub fn withdraw(&self) -> bool {
        self.settle(WITHDRAWN)
    }

    /// The run is on the disk. False if it was withdrawn.
    pub(super) fn commit(&self) -> bool {
        self.settle(COMMITTED)
    }

    /// Whether the run was withdrawn, so that it need not be written.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.0.load(Ordering::Acquire) == WITHDRAWN
    }

    fn settle(&self, to: u8) -> bool {
        self.0.compare_exchange(OPEN, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// The note of runs that were withdrawn and may be in the file nevertheless: the process, and when they were accepted.
#[derive(Debug, Clone, Default)]
pub struct RefusedRuns {
    /// On another disk than the history; none if there is no such folder.
    path: Option<PathBuf>,
}

impl RefusedRuns {
    /// A note in this folder, which is created on first use.
    pub fn in_folder(folder: Option<PathBuf>) -> Self {
        RefusedRuns { path: folder.map(|folder| folder.join("refused")) }
    }

    /// Adds a run of this process.
    pub fn add(&self, queued_at: u64) -> io::Result<()> {
        let Some(path) = &self.path else { return Err(io::Error::other("there is no runtime folder")) };
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        file.write_all(format!("{} {queued_at}\n", this_process()).as_bytes())
    }

    /// Deletes the note: none of these runs can be in the file any more.
    pub fn forget(&self) {
        if let Some(path) = &self.path {
            // Usually there is none.
            let _ = fs::remove_file(path);
        }
    }

    /// The processes and times of acceptance.
    pub(super) fn read(&self) -> HashSet<(String, u64)> {
        let text = self.path.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let one = |line: &str| {
            let (owner, queued_at) = line.split_once(' ')?;
            Some((owner.to_owned(), queued_at.parse().ok()?))
        };
        text.lines().filter_map(one).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_committed_or_withdrawn_and_stays_so() {
        let (committed, withdrawn) = (Withdrawal::default(), Withdrawal::default());
        assert!(committed.commit() && !committed.withdraw() && !committed.is_withdrawn());
        assert!(withdrawn.withdraw() && !withdrawn.commit() && withdrawn.is_withdrawn());
    }

    #[test]
    fn what_was_refused_is_read_by_the_next_process_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let refused = RefusedRuns::in_folder(Some(folder.path().join("new")));
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
        assert!(RefusedRuns::default().add(9).is_err());
    }
}
