//! From FILE or NAME on the command line to the checked workflow.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use tracing::warn;

use super::{Exit, Failure, locate, record};
use crate::config::{self, Loaded, Style};
use crate::graph::Workflow;

/// Loads a workflow with the defaults of this host. Warnings are logged; errors are printed in full.
pub(super) fn workflow(name: &str) -> Result<Workflow, Failure> {
    from_file(&locate::workflow_file(name)?, locate::defaults_file().as_deref())
}

/// Like [`workflow`], for a file.
pub(super) fn from_file(file: &Path, defaults: Option<&Path>) -> Result<Workflow, Failure> {
    // Paths are passed to Python, the history and D-Bus as text.
    if let Some(path) = file.canonicalize().ok().filter(|path| path.to_str().is_none()) {
        let why = anyhow!("the path {} is not valid UTF-8: rename the folder or file of the workflow", path.display());
        return Err(Failure::usage(why));
    }
    let loaded = match config::load(file, defaults) {
        Ok(loaded) => loaded,
        Err(errors) => {
            let text = errors.render(Style::for_stderr());
            io::stderr().write_all(text.as_bytes()).context("cannot write to standard error")?;
            return Err(Failure::Said(Exit::Usage));
        }
    };
    Ok(with_warnings(loaded))
}

/// Like [`from_file`], for a service that keeps its workflow if the file is invalid. The errors are returned.
pub(super) fn again(file: &Path, defaults: Option<&Path>) -> Result<Workflow, String> {
    config::load(file, defaults).map(with_warnings).map_err(|errors| errors.to_string())
}

/// Maximum number of warnings that are logged.
const MAX_WARNINGS: usize = 50;

fn with_warnings(loaded: Loaded) -> Workflow {
    for warning in loaded.warnings.iter().take(MAX_WARNINGS) {
        let line = warning.position().map_or_else(String::new, |position| format!(":{}", position.line));
        warn!("{}{line}: {}", warning.file(), warning.message);
    }
    if loaded.warnings.len() > MAX_WARNINGS {
        warn!("{} more warnings: run pushflow check", loaded.warnings.len() - MAX_WARNINGS);
    }
    let mut workflow = loaded.workflow;
    record::apply_environment(&mut workflow);
    workflow
}
