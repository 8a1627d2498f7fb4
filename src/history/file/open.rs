//! Opening a history for writing: creating the file and its folder, and updating it to the current version.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::migrations;
use crate::history::HistoryError;

/// How long a writer waits for another one: runs in the foreground share the file of their user.
const PATIENCE: Duration = Duration::from_secs(10);
/// The size to which a long write-ahead log is truncated, bytes.
const MAX_LOG_BYTES: i64 = 32 << 20;

/// The number of pages in the write-ahead log from which on each transaction copies it into the file. The last writer does the same
/// when it closes the file, and a run in the foreground waits for that.
const CHECKPOINT_PAGES: i64 = 256;

/// The file that a service locks beside its history.
const LOCK: &str = "service.lock";

/// Makes sure that this is the only service of a history, as long as the returned file is open.
pub(in crate::history) fn lock_service(path: &Path, private: bool) -> Result<File, HistoryError> {
    make_folder(path, private)?;
    let folder = |error| HistoryError::Folder { path: path.to_owned(), error };
    let lock = OpenOptions::new().append(true).create(true).mode(mode(private)).open(path.with_file_name(LOCK));
    let lock = lock.map_err(folder)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(HistoryError::Taken(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(folder(error)),
    }
}

/// Inputs and outputs are not for everybody: those of system services are for the group pushflow, those of a user for nobody else.
fn mode(private: bool) -> u32 {
    if private { 0o600 } else { 0o640 }
}

fn make_folder(path: &Path, private: bool) -> Result<(), HistoryError> {
    let mode = if private { 0o700 } else { 0o750 };
    let made = path.parent().map(|parent| DirBuilder::new().recursive(true).mode(mode).create(parent));
    made.unwrap_or(Ok(())).map_err(|error| HistoryError::Folder { path: path.to_owned(), error })
}

/// Opens a history for writing, and creates it if there is none. Only its user may read one that is `private`.
pub fn open_for_writing(path: &Path, private: bool) -> Result<Connection, HistoryError> {
    let folder = |error| HistoryError::Folder { path: path.to_owned(), error };
    make_folder(path, private)?;
    // The files that SQLite creates beside it get the same mode.
    let file = OpenOptions::new().append(true).create(true).mode(mode(private)).open(path).map_err(folder)?;
    if private && file.metadata().is_ok_and(|found| found.permissions().mode() & 0o077 != 0) {
        // It was created by an earlier version. On a file system without modes it stays as it is.
        let _ = file.set_permissions(Permissions::from_mode(mode(private)));
    }
    // Closing this descriptor later would release SQLite's locks on the file.
    drop(file);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let cannot = |error| HistoryError::database("open", path)(error);
    let mut connection = Connection::open_with_flags(path, flags).map_err(cannot)?;
    connection.busy_timeout(PATIENCE).map_err(cannot)?;
    // Before anything is written: a file of a newer version is not changed.
    migrations::version(&connection, path)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(cannot)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(cannot)?;
    connection.pragma_update_and_check(None, "journal_size_limit", MAX_LOG_BYTES, |_| Ok(())).map_err(cannot)?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(())).map_err(cannot)?;
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(cannot)?;
    connection.set_prepared_statement_cache_capacity(64);
    migrations::migrate(&mut connection, path)?;
    Ok(connection)
}

/// Assigns a private history to a workflow file, if it is not assigned. Whether it is assigned to this one. Creates it if there is none.
pub fn claim(path: &Path, file: &Path) -> Result<bool, HistoryError> {
    let connection = open_for_writing(path, true)?;
    let file = file.to_string_lossy();
    let claimed = connection.execute("UPDATE state SET file = ?1 WHERE file IS NULL", [&file]);
    let its = claimed.and_then(|_| connection.query_row("SELECT file IS ?1 FROM state", [&file], |row| row.get(0)));
    its.map_err(HistoryError::database("write", path))
}
