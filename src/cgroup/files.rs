//! Reading and writing the small files of a cgroup.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::CgroupError;

/// Writes a value in one write(2), as the kernel requires.
pub(super) fn write(folder: &Path, file: &str, value: &str) -> Result<(), CgroupError> {
    let path = folder.join(file);
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut open| open.write_all(value.as_bytes()))
        .map_err(|error| CgroupError::new(format!("write {value} to"), &path, error))
}

/// Reads a file.
pub(super) fn read(folder: &Path, file: &str) -> Result<String, CgroupError> {
    let path = folder.join(file);
    fs::read_to_string(&path).map_err(|error| CgroupError::new("read", &path, error))
}

/// The number after a key in a file of `key number` lines ("flat keyed" in the kernel's cgroup-v2.rst).
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The number in a file with a single number. "max" gives `None`.
pub(super) fn single(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}
