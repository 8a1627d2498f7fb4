//! A workflow file (TOML) becomes a checked [`Workflow`], or a list of all errors in it.
//!
//! | step | room |
//! | --- | --- |
//! | text → spanned tree | `toml` |
//! | tree → draft, checked key by key | `read` |
//! | draft → flat graph, names resolved, graph checked | `resolve` |
//! | the list of all keys, the JSON Schema, the reference | `schema` |
//! | collecting and showing errors | `diagnostics` |
//!
//! Nothing here knows how a workflow is executed.

mod diagnostics;
mod read;
mod resolve;
mod schema;
#[cfg(test)]
mod tests;
mod toml;

pub use diagnostics::diagnostic::{Diagnostic, Label, Severity};
pub use diagnostics::errors::ConfigErrors;
pub use diagnostics::render::{Style, render};
pub use read::files::read_text;
pub use read::units::{UnitError, duration as parse_duration};
pub use schema::json_schema::json_schema;
pub use schema::reference::{KeyReference, TableReference, reference};
pub use toml::source::{Position, Source};

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::graph::Workflow;
use diagnostics::problems::Problems;
use read::files;
use resolve::build;

/// A workflow file without errors.
#[derive(Debug)]
pub struct Loaded {
    /// The workflow.
    pub workflow: Workflow,
    /// The warnings.
    pub warnings: Vec<Diagnostic>,
}

/// Loads a workflow file. Keys that it does not have are taken from the defaults file, if there is one.
///
/// # Errors
/// All errors in the file, in the defaults, and in the files of its submodels.
pub fn load(path: &Path, defaults: Option<&Path>) -> Result<Loaded, ConfigErrors> {
    load_into(Problems::default(), path, defaults)
}

/// Like [`load`], with warnings of what would fail on this host: programs that cannot be started, scripts without `run`.
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

/// Loads a workflow from text, as if it were the content of this file. Relative paths start from the folder of the file.
///
/// # Errors
/// All errors in the text.
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
    let (draft, mut context) = read::workflow::workflow(source, defaults, problems);
    let workflow = draft.map(|draft| build::workflow(draft, (file, directory), &mut context));
    let warnings = context.problems.finish()?;
    let workflow = workflow.expect("a file that could not be read has an error");
    Ok(Loaded { workflow, warnings })
}
