//! The versions of the tables. Each version is a step from the one before, and the file has its number (`user_version`). The files of
//! the steps describe the columns.
//!
//! `rusqlite_migration` would do the same, but it is not available for the rusqlite in use: 2.6 requires rusqlite 0.40, and only one
//! version of the bundled SQLite can be linked.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::history::HistoryError;

/// The steps, oldest first. A file of version N has had the first N.
const STEPS: [&str; 2] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// The current version.
pub const VERSION: i64 = STEPS.len() as i64;

/// Updates a file to the current version. A file of a newer version is left unchanged.
pub(in crate::history) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), HistoryError> {
    if version(connection, path)? == VERSION {
        return Ok(());
    }
    let cannot = |error| HistoryError::database("write", path)(error);
    // Another process may do the same at this moment. The second one finds it done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(cannot)?;
    let found = version(&transaction, path)?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        transaction.execute_batch(step).map_err(cannot)?;
    }
    if found == 0 {
        let first = "INSERT INTO state (one, change, identity) VALUES (1, 0, lower(hex(randomblob(16))))";
        transaction.execute(first, []).map_err(cannot)?;
    }
    transaction.pragma_update(None, "user_version", VERSION).map_err(cannot)?;
    transaction.commit().map_err(cannot)
}

/// The version of a file, if this pushflow can use it; 0 for a new file.
pub(in crate::history) fn version(connection: &Connection, path: &Path) -> Result<i64, HistoryError> {
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(HistoryError::database("read", path))?;
    match found {
        0..=VERSION => Ok(found),
        _ => Err(HistoryError::TooNew { path: path.to_owned(), found, known: VERSION }),
    }
}
