//! A workflow file (TOML) becomes a checked [`Workflow`], or a list of everything that is wrong with it.
//!
//! Text → tables with places (`syntax`, `grow`, `raw`, `table`) → a draft, checked key by key (`draft`, `actors`,
//! `settings`, `plain`) → the flat graph, names resolved (`build`, `links`) → what only the whole graph shows (`reach`).
//! Mistakes are collected on the way (`diagnostics`) and shown together (`render`). `keys` lists every key of the file;
//! the JSON Schema (`json_schema`) is made from it. Nothing here knows how anything runs.

mod actors;
mod build;
mod diagnostics;
mod draft;
mod files;
mod grow;
mod home;
mod json_schema;
mod keys;
mod links;
mod names;
mod plain;
mod raw;
mod reach;
mod reference;
mod render;
mod run_function;
mod scripts;
mod settings;
mod shapes;
mod source;
mod suggest;
mod syntax;
mod table;
#[cfg(test)]
mod tests;
mod units;
mod words;

pub use diagnostics::{ConfigErrors, Diagnostic, Label, Severity};
pub use files::read_text;
pub use json_schema::json_schema;
pub use reference::{KeyReference, TableReference, reference};
pub use render::{Style, render};
pub use source::{Position, Source};
pub use units::duration as parse_duration;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::graph::Workflow;
use diagnostics::Problems;

/// A good workflow file.
#[derive(Debug)]
pub struct Loaded {
    /// The workflow.
    pub workflow: Workflow,
    /// What there is to think about.
    pub warnings: Vec<Diagnostic>,
}

/// Loads a workflow file. The defaults file (absent where there is none) lies beneath it, key by key: what the workflow
/// file says wins.
///
/// # Errors
/// Everything that is wrong with the file, with the defaults, and with the files of its submodels.
pub fn load(path: &Path, defaults: Option<&Path>) -> Result<Loaded, ConfigErrors> {
    load_into(Problems::default(), path, defaults)
}

/// The same, with warnings of what would fail on this host: programs that cannot be started, scripts without a `run`.
///
/// # Errors
/// As [`load`].
pub fn check(path: &Path, defaults: Option<&Path>) -> Result<Loaded, ConfigErrors> {
    let mut problems = Problems::default();
    problems.thorough = true;
    load_into(problems, path, defaults)
}

fn load_into(mut problems: Problems, path: &Path, defaults: Option<&Path>) -> Result<Loaded, ConfigErrors> {
    let name = path.to_string_lossy();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let source = files::read(&name, &path, &mut problems);
    let defaults = defaults.and_then(|path| files::read(&path.to_string_lossy(), path, &mut problems).ok());
    match source {
        Ok(source) => finish(source, defaults, problems),
        Err(kind) => {
            if kind == ErrorKind::NotFound {
                let (id, _) = problems.add_source(Source::new(name, &path, ""));
                problems.missing = true;
                problems.file_error(id, "there is no such file");
            }
            Err(problems.finish().expect_err("a file that cannot be read is an error"))
        }
    }
}

/// Loads a workflow from text, as if it stood in this file; relative paths are relative to the file's folder.
///
/// # Errors
/// Everything that is wrong with the text.
pub fn load_str(text: &str, file: &Path) -> Result<Loaded, ConfigErrors> {
    let mut problems = Problems::default();
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let source = problems.add_source(Source::new(name, path, text));
    finish(source, None, problems)
}

fn finish(
    source: (u32, Arc<Source>),
    defaults: Option<(u32, Arc<Source>)>,
    problems: Problems,
) -> Result<Loaded, ConfigErrors> {
    let (file, directory) = (source.1.path().to_path_buf(), source.1.directory().to_path_buf());
    let (draft, mut around) = files::workflow(source, defaults, problems);
    let workflow = draft.map(|draft| build::workflow(draft, (file, directory), &mut around));
    let warnings = around.problems.finish()?;
    let workflow = workflow.expect("a file that could not be read has an error");
    Ok(Loaded { workflow, warnings })
}
