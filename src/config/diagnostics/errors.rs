//! The error of a file that is refused: all its diagnostics.

use std::fmt;

use super::diagnostic::Diagnostic;
use super::render::{Style, render};

/// All errors and warnings of a workflow file and of the files it names. `Display` shows all of them.
#[derive(Debug)]
pub struct ConfigErrors {
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) missing: bool,
}

impl ConfigErrors {
    /// Errors and warnings in the order of the text.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether the workflow file itself does not exist.
    pub fn is_missing_file(&self) -> bool {
        self.missing
    }

    /// All diagnostics as text.
    pub fn render(&self, style: Style) -> String {
        render(&self.diagnostics, style)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Style::Plain).trim_end())
    }
}

impl std::error::Error for ConfigErrors {}
