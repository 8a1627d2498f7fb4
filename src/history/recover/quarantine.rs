//! Quarantine of a damaged file: it is renamed, and a new file continues its numbers of runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};

use crate::history::HistoryError;

/// Renames a damaged file and the files that SQLite keeps beside it. Returns its new path, and the last number of a run in it
/// if that can still be read.
pub(in crate::history) fn quarantine(path: &Path) -> Result<(PathBuf, Option<u64>), HistoryError> {
    let last = last_run(path);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let to = beside(path, &format!(".broken-{now}"));
    fs::rename(path, &to).map_err(|error| HistoryError::Folder { path: path.to_owned(), error })?;
    // Together they may still be of use. Beside a new file they would damage it.
    for kind in ["-wal", "-shm"] {
        let from = beside(path, kind);
        if from.exists() {
            let moved = fs::rename(&from, beside(&to, kind)).or_else(|_| fs::remove_file(&from));
            moved.map_err(|error| HistoryError::Folder { path: path.to_owned(), error })?;
        }
    }
    Ok((to, last))
}

fn last_run(path: &Path) -> Option<u64> {
    let file = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let counter = "SELECT seq FROM sqlite_sequence WHERE name = 'runs'";
    let counted: Option<i64> = file.query_row(counter, [], |row| row.get(0)).ok();
    let last = counted.or_else(|| file.query_row("SELECT max(id) FROM runs", [], |row| row.get(0)).ok())?;
    u64::try_from(last).ok()
}

/// Makes sure that no number of a run is used again.
pub(in crate::history) fn continue_numbers(file: &Connection, last: u64) -> rusqlite::Result<()> {
    let last = last as i64;
    let counted: Option<i64> =
        file.query_row("SELECT max(seq) FROM sqlite_sequence WHERE name = 'runs'", [], |row| row.get(0))?;
    match counted {
        Some(counted) if counted < last => {
            file.execute("UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'runs'", [last])?;
        }
        None if last > 0 => {
            file.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('runs', ?1)", [last])?;
        }
        _ => {}
    }
    Ok(())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
