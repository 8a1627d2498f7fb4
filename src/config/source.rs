//! The text of one file, and places in it. Lines and columns are computed only when a diagnostic is shown.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::text::masked;

/// The text of a workflow file.
#[derive(Debug)]
pub struct Source {
    name: String,
    path: PathBuf,
    /// The folder of the file itself, where the path is a symbolic link.
    directory: PathBuf,
    text: String,
    /// The text without what is there twice; the rest is where it was.
    reduced: OnceLock<String>,
    line_starts: OnceLock<Vec<usize>>,
    /// The text as it may be shown, where that differs.
    masked: OnceLock<Option<String>>,
}

/// Where something stands, as people count: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A place in one of the files that a workflow is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub source: u32,
    pub start: u32,
    pub end: u32,
}

impl Place {
    pub fn new(source: u32, span: Range<usize>) -> Self {
        let offset = |at: usize| u32::try_from(at).expect("larger files are refused");
        Place { source, start: offset(span.start), end: offset(span.end) }
    }

    pub fn span(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and where it is written.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub value: T,
    pub at: Place,
}

impl Source {
    /// The text gets a newline at its end, so that what is missing there can be pointed at.
    pub(super) fn new(name: impl Into<String>, path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let (name, path) = (name.into(), path.into());
        let directory = real_file(&path).parent().unwrap_or(Path::new("/")).to_path_buf();
        let (reduced, line_starts, masked) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Source { name, path, directory, text, reduced, line_starts, masked }
    }

    /// The file's name as the user gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that relative paths are relative to: of a symbolic link that of the file it leads to, absolute.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a relative path leads: from the folder of the file itself, or else, where it is a symbolic link and there is
    /// something of that name beside the link, from there.
    pub(super) fn beside(&self, relative: &str) -> PathBuf {
        let path = self.directory.join(relative);
        let beside_link =
            self.path.parent().filter(|folder| *folder != self.directory).map(|folder| folder.join(relative));
        beside_link.filter(|other| !path.exists() && other.exists()).unwrap_or(path)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text as it may be shown on a terminal: everything is where it was.
    pub(super) fn masked(&self) -> &str {
        let masked = self.masked.get_or_init(|| match masked(&self.text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(masked) => Some(masked),
        });
        masked.as_deref().unwrap_or(&self.text)
    }

    pub(super) fn set_reduced(&self, text: String) -> &str {
        self.reduced.get_or_init(|| text)
    }

    /// The line and column of a byte offset; the end of the text for an offset beyond it.
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.boundary(offset);
        let line = self.line_index(offset);
        let start = self.line_starts()[line];
        Position { line: line + 1, column: self.text[start..offset].chars().count() + 1 }
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_index(self.boundary(offset)) + 1
    }

    /// The bytes of the line around an offset, without its end.
    pub(super) fn line_span(&self, offset: usize) -> Range<usize> {
        let line = self.line_index(self.boundary(offset));
        let starts = self.line_starts();
        let start = starts[line];
        let end = starts.get(line + 1).copied().unwrap_or(self.text.len());
        start..start + self.text[start..end].trim_end_matches(['\n', '\r']).len()
    }

    /// The offset, moved back into the text and to the start of a character.
    pub(super) fn boundary(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }

    fn line_index(&self, offset: usize) -> usize {
        // The newline at the end begins no line.
        let offset = offset.min(self.text.len() - 1);
        self.line_starts().partition_point(|start| *start <= offset) - 1
    }

    fn line_starts(&self) -> &[usize] {
        self.line_starts
            .get_or_init(|| std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }
}

/// The file that a symbolic link leads to. Links among the folders on the way stay, so that people see the paths they know.
fn real_file(path: &Path) -> PathBuf {
    let mut file = path.to_path_buf();
    // As many as the kernel follows (path_resolution(7)).
    for _ in 0..40 {
        match std::fs::read_link(&file) {
            Ok(to) => file = file.parent().unwrap_or(Path::new("/")).join(to),
            Err(_) => break,
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("a", "/a", "é = 1\n\nb = 2");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(3), Position { line: 1, column: 3 });
        assert_eq!(source.position(7), Position { line: 2, column: 1 });
        assert_eq!(source.position(8), Position { line: 3, column: 1 });
        assert_eq!(source.position(12), Position { line: 3, column: 5 });
    }

    #[test]
    fn an_empty_text_has_one_line() {
        assert_eq!(Source::new("a", "/a", "").position(0), Position { line: 1, column: 1 });
        assert_eq!(Source::new("a", "/a", "").line_span(0), 0..0);
    }
}
