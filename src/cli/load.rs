//! From FILE or NAME on the command line to the checked workflow.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use tracing::warn;

use super::{Exit, Failure, locate, record};
use crate::config::{self, Loaded, Style};
use crate::graph::Workflow;

/// Loads a workflow with the defaults of this host. Warnings are a log line each; what is wrong is shown in full.
pub(super) fn workflow(name: &str) -> Result<Workflow, Failure> {
    from_file(&locate::workflow_file(name)?, locate::defaults_file().as_deref())
}

/// The same for a file that was found.
pub(super) fn from_file(file: &Path, defaults: Option<&Path>) -> Result<Workflow, Failure> {
    // Paths go to Python, the history and D-Bus as text.
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

/// The same for a service that goes on with what it had if the file is wrong: then all that is wrong is returned.
pub(super) fn again(file: &Path, defaults: Option<&Path>) -> Result<Workflow, String> {
    config::load(file, defaults).map(with_warnings).map_err(|errors| errors.to_string())
}

/// So many warnings are logged.
const MOST_WARNINGS: usize = 50;

fn with_warnings(loaded: Loaded) -> Workflow {
    for warning in loaded.warnings.iter().take(MOST_WARNINGS) {
        let line = warning.position().map_or_else(String::new, |position| format!(":{}", position.line));
        warn!("{}{line}: {}", warning.file(), warning.message);
    }
    if loaded.warnings.len() > MOST_WARNINGS {
        warn!("and {} more warnings: see pushflow check", loaded.warnings.len() - MOST_WARNINGS);
    }
    let mut workflow = loaded.workflow;
    record::settle(&mut workflow);
    workflow
}
