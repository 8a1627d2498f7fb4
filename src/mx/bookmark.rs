//! How far the history has been copied: a small file beside it, replaced as a whole.
//!
//! It is written after MongoDB has confirmed, so it can be behind and never ahead. Copying again after a crash changes nothing in
//! MongoDB. Without the file everything is copied again, to the same documents.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How far the copy is.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bookmark {
    /// The identity of the history that it is about.
    pub history: String,
    /// The database and collection. Another one is copied to from the start.
    pub place: String,
    /// The last change that has been copied.
    pub change: u64,
    /// The runs that have not ended.
    pub runs: BTreeMap<u64, Copied>,
}

/// What has been copied of a run.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The `_id` of its document.
    pub id: String,
    /// The start time in its document, milliseconds.
    pub start: i64,
    /// How many actors its document has.
    pub actors: usize,
    /// The last attempt among them.
    pub last: u64,
    /// Those of the attempts that have not ended, with their place in the document.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub open: BTreeMap<u64, usize>,
    /// There is no room for the inputs and outputs of tasks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// A write was given up. The server may still carry it out, after later ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
    /// It is not recorded: another document has its `_id`, or the server refuses it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
}

impl Bookmark {
    /// The file for a history.
    pub fn path(history: &Path) -> PathBuf {
        history.with_file_name("recorded.json")
    }

    /// Reads it; one that cannot be read is as good as none. The recorder that wrote it may have been killed while it waited for
    /// the server.
    pub fn read(path: &Path) -> Self {
        let read: Option<Self> = fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut bookmark = read.unwrap_or_default();
        bookmark.runs.values_mut().for_each(|run| run.in_doubt = true);
        bookmark
    }

    /// Writes it: after this, a crash or a loss of power finds it, or the one before.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        // Only for its user: it contains ids of runs.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        fs::rename(&new, path)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_damage_means_a_new_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = Bookmark::path(&folder.path().join("history.sqlite"));
        assert_eq!(Bookmark::read(&path), Bookmark::default());
        let run = Copied { id: "a".into(), open: BTreeMap::from([(7, 2)]), ..Copied::default() };
        let bookmark = Bookmark { history: "h".into(), place: "p".into(), change: 5, runs: BTreeMap::from([(3, run)]) };
        bookmark.write(&path).unwrap();
        let mut read = Bookmark::read(&path);
        assert!(std::mem::take(&mut read.runs.get_mut(&3).unwrap().in_doubt));
        assert_eq!(read, bookmark);
        fs::write(&path, "{\"history\": ").unwrap();
        assert_eq!(Bookmark::read(&path), Bookmark::default());
    }
}
