//! The tables, and how an older file becomes one of today: each version is a step, numbered by `user_version`. What the
//! columns hold is said in the files of the steps.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::history::HistoryError;

/// The steps, oldest first: a file of version N has had the first N.
const STEPS: [&str; 2] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// The version of today.
pub const VERSION: i64 = STEPS.len() as i64;

/// Brings a file to today's version. One that is newer stays as it is.
pub(in crate::history) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), HistoryError> {
    if version(connection, path)? == VERSION {
        return Ok(());
    }
    let cannot = |error| HistoryError::database("write", path)(error);
    // Another process may do the same just now: the second finds it done.
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

/// The version of a file that this pushflow can use; 0 for a new one.
pub(in crate::history) fn version(connection: &Connection, path: &Path) -> Result<i64, HistoryError> {
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(HistoryError::database("read", path))?;
    match found {
        0..=VERSION => Ok(found),
        _ => Err(HistoryError::TooNew { path: path.to_owned(), found, known: VERSION }),
    }
}
