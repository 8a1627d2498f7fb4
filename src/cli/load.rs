//! From FILE or NAME on the command line to the checked workflow.

use std::io::{self, Write};

use anyhow::Context;
use tracing::warn;

use super::{Exit, Failure, locate};
use crate::config::{self, Style};
use crate::graph::Workflow;

/// Loads a workflow with the defaults of this host. Warnings are a log line each; what is wrong is shown in full.
pub(super) fn workflow(name: &str) -> Result<Workflow, Failure> {
    let file = locate::workflow_file(name)?;
    let loaded = match config::load(&file, locate::defaults_file().as_deref()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            let text = errors.render(Style::for_stderr());
            io::stderr().write_all(text.as_bytes()).context("cannot write to standard error")?;
            return Err(Failure::Said(Exit::Usage));
        }
    };
    for warning in &loaded.warnings {
        let line = warning.position().map_or_else(String::new, |position| format!(":{}", position.line));
        warn!("{}{line}: {}", warning.file(), warning.message);
    }
    Ok(loaded.workflow)
}
