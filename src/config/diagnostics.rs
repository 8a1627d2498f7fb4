//! What is wrong with a file: collected while reading, shown all at once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::render::{Style, render};
use super::source::{Place, Position, Source};
use super::suggest::Guesses;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is used as it is.
    Warning,
    /// The file is refused.
    Error,
}

/// A remark on a piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The bytes it is about.
    pub span: Range<usize>,
    /// What it says; may be empty.
    pub text: String,
}

/// One mistake, or one thing to think about.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, lower case.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// The file.
    pub source: Arc<Source>,
    /// Where in the file, the main place first; none where the file could not be read at all.
    pub labels: Vec<Label>,
}

impl Diagnostic {
    /// The file's name as the user gave it.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// Line and column of the main place.
    pub fn position(&self) -> Option<Position> {
        self.labels.first().map(|label| self.source.position(label.span.start))
    }

    pub(super) fn label(&mut self, text: impl Into<String>) -> &mut Self {
        if let Some(label) = self.labels.first_mut() {
            label.text = text.into();
        }
        self
    }

    pub(super) fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    /// A second place, in the same file.
    pub(super) fn also(&mut self, at: Place, text: impl Into<String>) -> &mut Self {
        self.labels.push(Label { span: at.span(), text: text.into() });
        self
    }
}

/// Everything that is wrong with a workflow file (and the files it names). Its `Display` shows all of it.
#[derive(Debug)]
pub struct ConfigErrors {
    diagnostics: Vec<Diagnostic>,
    missing: bool,
}

impl ConfigErrors {
    /// The errors, and the warnings found beside them, in the order of the text.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether the workflow file itself does not exist.
    pub fn is_missing_file(&self) -> bool {
        self.missing
    }

    /// All of it, for a terminal or a pipe.
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

/// So many are kept.
const MOST_KEPT: usize = 100_000;

/// What was found so far, and in which files.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<(Option<Place>, Diagnostic)>,
    sources: Vec<Arc<Source>>,
    /// The workflow file itself could not be found.
    pub missing: bool,
    /// Whether to look at this host too: for programs, and into scripts.
    pub thorough: bool,
    /// There was an error, kept or not.
    failed: bool,
    pub guesses: Guesses,
}

impl Problems {
    pub fn add_source(&mut self, source: Source) -> (u32, Arc<Source>) {
        let source = Arc::new(source);
        self.sources.push(source.clone());
        (self.sources.len() as u32 - 1, source)
    }

    pub fn source(&self, id: u32) -> &Arc<Source> {
        &self.sources[id as usize]
    }

    pub fn error(&mut self, at: Place, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Error, at, message.into())
    }

    pub fn warning(&mut self, at: Place, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Warning, at, message.into())
    }

    /// An error about a whole file.
    pub fn file_error(&mut self, source: u32, message: impl Into<String>) -> &mut Diagnostic {
        self.push(None, source, Severity::Error, message.into(), Vec::new())
    }

    fn add(&mut self, severity: Severity, at: Place, message: String) -> &mut Diagnostic {
        let label = Label { span: at.span(), text: String::new() };
        self.push(Some(at), at.source, severity, message, vec![label])
    }

    fn push(
        &mut self,
        at: Option<Place>,
        source: u32,
        severity: Severity,
        message: String,
        labels: Vec<Label>,
    ) -> &mut Diagnostic {
        let source = self.sources[source as usize].clone();
        self.failed |= severity == Severity::Error;
        if self.found.len() == MOST_KEPT {
            // Nobody reads so many.
            self.found.pop();
        }
        self.found.push((at, Diagnostic { severity, message, help: None, source, labels }));
        &mut self.found.last_mut().expect("one was just pushed").1
    }

    pub fn has_errors(&self) -> bool {
        self.failed
    }

    /// The warnings, or all of it where there is an error: in the order of the text, each once (a submodel's file may
    /// be used twice).
    pub fn finish(mut self) -> Result<Vec<Diagnostic>, ConfigErrors> {
        let failed = self.has_errors();
        self.found.sort_by_key(|(at, _)| *at);
        self.found.dedup_by(|next, last| next.0 == last.0 && next.1.message == last.1.message);
        let diagnostics = self.found.into_iter().map(|(_, diagnostic)| diagnostic).collect();
        if failed { Err(ConfigErrors { diagnostics, missing: self.missing }) } else { Ok(diagnostics) }
    }
}
