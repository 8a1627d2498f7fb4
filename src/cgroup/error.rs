//! Errors of operations on the cgroup file system.

use std::io;
use std::path::{Path, PathBuf};

/// A failed operation on a cgroup.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct CgroupError {
    /// The operation: "write max to", "create", "remove".
    pub operation: String,
    /// The file or folder.
    pub path: PathBuf,
    /// The error of the kernel.
    pub source: io::Error,
}

impl CgroupError {
    pub(super) fn new(operation: impl Into<String>, path: &Path, source: impl Into<io::Error>) -> Self {
        CgroupError { operation: operation.into(), path: path.to_owned(), source: source.into() }
    }
}
