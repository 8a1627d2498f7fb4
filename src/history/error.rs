//! Why a history cannot be read or written.

use std::io;
use std::path::PathBuf;

/// Why a history cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is no such file.
    #[error("there is no history {}", .0.display())]
    Missing(PathBuf),
    /// The user may not read it.
    #[error("{} may not be read by this user", .0.display())]
    Denied(PathBuf),
    /// It was written by a newer pushflow.
    #[error("{} was written by a newer pushflow: its version is {found}, and this one knows {known}", .path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its `user_version`.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// Its folder cannot be created or used.
    #[error("cannot use the folder of {}: {error}", .path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another service uses it.
    #[error("{} belongs to another service of this name, which is running", .0.display())]
    Taken(PathBuf),
    /// An error of SQLite.
    #[error("cannot {what} {}: {error}", .path.display())]
    Database {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        error: rusqlite::Error,
    },
}

impl HistoryError {
    pub(super) fn database(what: &'static str, path: &std::path::Path) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |error| HistoryError::Database { what, path, error }
    }
}
