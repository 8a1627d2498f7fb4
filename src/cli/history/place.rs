//! The folder for the history of a workflow file.
//!
//! It has the name of the workflow, escaped as in the name of its unit. A second file of the same name gets a folder with a number:
//! `hello-2`.

use std::path::{Path, PathBuf};

use super::FILE;
use crate::history::{HistoryError, Reader, claim};
use crate::systemd::escape::instance;

/// Maximum number of files of one name with histories of their own.
const MAX_FILES: u32 = 1000;

/// The path of a workflow file in its history. Symbolic links are resolved, so that one file has one history.
pub(super) fn real(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

/// The folder for a foreground run, in the user's state folder. A history that cannot be opened is taken as the one: the error is
/// reported when it is written.
pub(super) fn of_file(state: &Path, file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let (first, file) = (instance(&stem), real(file));
    let further = (2..MAX_FILES).map(|number| format!("{first}-{number}"));
    let mut names = std::iter::once(first.clone()).chain(further);
    names.find(|name| is_of(&state.join(name).join(FILE), &file).unwrap_or(true)).unwrap_or(first)
}

/// Whether a history belongs to this file. One that belongs to no file is claimed.
fn is_of(history: &Path, file: &Path) -> Result<bool, HistoryError> {
    let said = match Reader::open(history) {
        Ok(reader) => reader.file()?,
        Err(HistoryError::Missing(_)) => None,
        Err(error) => return Err(error),
    };
    said.map_or_else(|| claim(history, file), |said| Ok(Path::new(&said) == file))
}

/// The name of a folder without the number at its end: `hello` for `hello-2`.
pub(super) fn without_number(name: &str) -> Option<&str> {
    let (before, number) = name.rsplit_once('-')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(before)
}
