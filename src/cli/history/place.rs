//! Which folder of the state folder the history of a workflow file is in.
//!
//! It has the name that a service of the workflow has, escaped as in the name of its unit. Another file of that name gets a
//! folder of its own, with a number: `hello-2`.

use std::path::{Path, PathBuf};

use super::FILE;
use crate::history::{HistoryError, Reader, claim};
use crate::systemd::escape::instance;

/// So many files of one name have histories of their own.
const MOST: u32 = 1000;

/// The workflow file as its history has it: links are followed, so that one file has one history.
pub(super) fn real(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

/// The folder for a file that runs in the foreground, below the user's state folder. A history that cannot be opened is the one: whoever
/// writes it says what is wrong.
pub(super) fn of_file(state: &Path, file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let (first, file) = (instance(&stem), real(file));
    let further = (2..MOST).map(|number| format!("{first}-{number}"));
    let mut names = std::iter::once(first.clone()).chain(further);
    names.find(|name| is_of(&state.join(name).join(FILE), &file).unwrap_or(true)).unwrap_or(first)
}

/// Whether a history is this file's; one that is nobody's becomes it.
fn is_of(history: &Path, file: &Path) -> Result<bool, HistoryError> {
    let said = match Reader::open(history) {
        Ok(reader) => reader.file()?,
        Err(HistoryError::Missing(_)) => None,
        Err(error) => return Err(error),
    };
    said.map_or_else(|| claim(history, file), |said| Ok(Path::new(&said) == file))
}

/// The number at the end of a folder's name, where it has one: `hello-2`.
pub(super) fn without_number(name: &str) -> Option<&str> {
    let (before, number) = name.rsplit_once('-')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(before)
}
