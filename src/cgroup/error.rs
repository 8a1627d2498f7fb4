//! What went wrong with a file of the cgroup file system.

use std::io;
use std::path::{Path, PathBuf};

/// An operation on a cgroup that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct CgroupError {
    /// What was tried: "write max to", "make", "remove".
    pub operation: String,
    /// The file or folder.
    pub path: PathBuf,
    /// What the kernel said.
    pub source: io::Error,
}

impl CgroupError {
    pub(super) fn new(operation: impl Into<String>, path: &Path, source: impl Into<io::Error>) -> Self {
        CgroupError { operation: operation.into(), path: path.to_owned(), source: source.into() }
    }
}
