//! The text of one file, and locations in it. Lines and columns are computed only when a diagnostic is shown.

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
    /// The folder that contains the file. For a symbolic link, the folder of its target.
    directory: PathBuf,
    text: String,
    line_starts: OnceLock<Vec<usize>>,
    /// The text with control characters masked. `None` if there are none.
    masked: OnceLock<Option<String>>,
}

/// Line and column, both counted from 1. Columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A range of bytes in one of the files of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::config) struct Location {
    /// Index of the file in `Problems`.
    pub source: u32,
    pub start: u32,
    pub end: u32,
}

impl Location {
    pub fn new(source: u32, span: Range<usize>) -> Self {
        let offset = |at: usize| u32::try_from(at).expect("larger files are refused");
        Location { source, start: offset(span.start), end: offset(span.end) }
    }

    pub fn span(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and its location.
#[derive(Debug, Clone)]
pub(in crate::config) struct Located<T> {
    pub value: T,
    pub at: Location,
}

impl Source {
    /// Appends a newline to a text without one, so that a diagnostic can point behind the last line.
    pub(in crate::config) fn new(name: impl Into<String>, path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let (name, path) = (name.into(), path.into());
        let directory = real_file(&path).parent().unwrap_or(Path::new("/")).to_path_buf();
        Source { name, path, directory, text, line_starts: OnceLock::new(), masked: OnceLock::new() }
    }

    /// The name of the file as the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The absolute path of the folder that relative paths start from. For a symbolic link, the folder of its target.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Resolves a path that is written in this file. If the file is a symbolic link, its target's folder comes first, then the
    /// folder of the link.
    pub(in crate::config) fn resolve(&self, relative: &str) -> PathBuf {
        let path = self.directory.join(relative);
        let beside_link =
            self.path.parent().filter(|folder| *folder != self.directory).map(|folder| folder.join(relative));
        beside_link.filter(|other| !path.exists() && other.exists()).unwrap_or(path)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with control characters masked, for terminals. Offsets stay the same.
    pub(in crate::config) fn masked(&self) -> &str {
        let masked = self.masked.get_or_init(|| match masked(&self.text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(masked) => Some(masked),
        });
        masked.as_deref().unwrap_or(&self.text)
    }

    /// The line and column of a byte offset. An offset beyond the text means its end.
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.boundary(offset);
        let line = self.line_index(offset);
        let start = self.line_starts()[line];
        Position { line: line + 1, column: self.text[start..offset].chars().count() + 1 }
    }

    /// The line of a byte offset, counted from 1.
    pub(in crate::config) fn line(&self, offset: usize) -> usize {
        self.line_index(self.boundary(offset)) + 1
    }

    /// The byte range of the line that contains an offset, without the line break.
    pub(in crate::config) fn line_span(&self, offset: usize) -> Range<usize> {
        let line = self.line_index(self.boundary(offset));
        let starts = self.line_starts();
        let start = starts[line];
        let end = starts.get(line + 1).copied().unwrap_or(self.text.len());
        start..start + self.text[start..end].trim_end_matches(['\n', '\r']).len()
    }

    /// The nearest start of a character at or before an offset.
    pub(in crate::config) fn boundary(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }

    fn line_index(&self, offset: usize) -> usize {
        // The last newline does not begin a line.
        let offset = offset.min(self.text.len() - 1);
        self.line_starts().partition_point(|start| *start <= offset) - 1
    }

    fn line_starts(&self) -> &[usize] {
        self.line_starts
            .get_or_init(|| std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }
}

/// The target of a symbolic link. Links among the parent folders are not resolved: messages show the paths that users know.
fn real_file(path: &Path) -> PathBuf {
    let mut file = path.to_path_buf();
    // The kernel follows 40 links at most (path_resolution(7)).
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
