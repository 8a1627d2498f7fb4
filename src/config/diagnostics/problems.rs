//! Collects diagnostics while files are read.

use std::path::PathBuf;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Label, Severity};
use super::errors::ConfigErrors;
use super::suggest::Suggestions;
use crate::config::toml::source::{Located, Location, Source};

/// Maximum number of diagnostics that are kept.
const MAX_KEPT: usize = 100_000;

/// The diagnostics so far, and the files they are about.
#[derive(Debug, Default)]
pub(in crate::config) struct Problems {
    found: Vec<(Option<Location>, Diagnostic)>,
    sources: Vec<Arc<Source>>,
    /// Whether the workflow file itself does not exist.
    pub missing: bool,
    /// Whether to check this host as well: programs, and the contents of scripts.
    pub thorough: bool,
    /// Whether there was an error, even one that was not kept.
    failed: bool,
    pub suggestions: Suggestions,
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

    /// The absolute path of the folder that contains a file.
    pub fn directory_of(&self, source: u32) -> PathBuf {
        self.source(source).directory().to_path_buf()
    }

    /// Resolves a path that is written in a file.
    pub fn resolve(&self, path: &Located<String>) -> PathBuf {
        self.source(path.at.source).resolve(&path.value)
    }

    pub fn error(&mut self, at: Location, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Error, at, message.into())
    }

    pub fn warning(&mut self, at: Location, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Warning, at, message.into())
    }

    /// An error about a whole file.
    pub fn file_error(&mut self, source: u32, message: impl Into<String>) -> &mut Diagnostic {
        self.push(None, source, Severity::Error, message.into(), Vec::new())
    }

    pub fn add(&mut self, severity: Severity, at: Location, message: String) -> &mut Diagnostic {
        let label = Label { span: at.span(), text: String::new() };
        self.push(Some(at), at.source, severity, message, vec![label])
    }

    fn push(
        &mut self,
        at: Option<Location>,
        source: u32,
        severity: Severity,
        message: String,
        labels: Vec<Label>,
    ) -> &mut Diagnostic {
        let source = self.sources[source as usize].clone();
        self.failed |= severity == Severity::Error;
        if self.found.len() == MAX_KEPT {
            self.found.pop();
        }
        self.found.push((at, Diagnostic { severity, message, help: None, source, labels }));
        &mut self.found.last_mut().expect("one was just pushed").1
    }

    /// The warnings, or all diagnostics as an error if there is at least one error. They are sorted by location, and duplicates
    /// are removed: two submodels may use the same file.
    pub fn finish(mut self) -> Result<Vec<Diagnostic>, ConfigErrors> {
        self.found.sort_by_key(|(at, _)| *at);
        self.found.dedup_by(|next, last| next.0 == last.0 && next.1.message == last.1.message);
        let diagnostics = self.found.into_iter().map(|(_, diagnostic)| diagnostic).collect();
        if self.failed { Err(ConfigErrors { diagnostics, missing: self.missing }) } else { Ok(diagnostics) }
    }
}
