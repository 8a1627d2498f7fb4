//! One error or warning, and where in a file it is.

use std::ops::Range;
use std::sync::Arc;

use crate::config::toml::source::{Location, Position, Source};

/// Whether the file can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is used as it is.
    Warning,
    /// The file is refused.
    Error,
}

/// A marked piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The marked bytes.
    pub span: Range<usize>,
    /// The text at the mark. May be empty.
    pub text: String,
}

/// One error or warning.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in lower case.
    pub message: String,
    /// How to correct it.
    pub help: Option<String>,
    /// The file.
    pub source: Arc<Source>,
    /// Marks in the file, the main one first. Empty if the file cannot be read at all.
    pub labels: Vec<Label>,
}

impl Diagnostic {
    /// The name of the file as the user wrote it.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// Line and column of the main mark.
    pub fn position(&self) -> Option<Position> {
        self.labels.first().map(|label| self.source.position(label.span.start))
    }

    /// Sets the text of the main mark.
    pub(in crate::config) fn label(&mut self, text: impl Into<String>) -> &mut Self {
        if let Some(label) = self.labels.first_mut() {
            label.text = text.into();
        }
        self
    }

    pub(in crate::config) fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    /// Adds a second mark in the same file.
    pub(in crate::config) fn also(&mut self, at: Location, text: impl Into<String>) -> &mut Self {
        self.labels.push(Label { span: at.span(), text: text.into() });
        self
    }
}
