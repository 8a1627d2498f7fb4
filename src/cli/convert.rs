//! `pushflow convert`: prints a pypushflow workflow class as a workflow file.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::inputs::json_or_text;
use super::{Exit, Failure, cannot_write};
use crate::convert::{Source, convert};
use crate::text;

/// Convert a pypushflow workflow class to a workflow file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pushflow convert beamline.workflows:Integrate --python /opt/mx > integrate.toml
  pushflow convert integrate.py
  pushflow convert scans.py:Mesh --kwarg name=mesh --kwarg detectors='[\"eiger\", \"pilatus\"]'")]
pub struct ConvertArgs {
    /// The workflow class of a dotted module or a .py file. CLASS is optional if there is only one
    #[arg(value_name = "MODULE[:CLASS]")]
    workflow: String,
    /// The interpreter or environment that has pypushflow [default: python3]
    #[arg(long, value_name = "PYTHON")]
    python: Option<PathBuf>,
    /// A positional argument of the constructor: JSON, or else a string. Can be repeated
    #[arg(long = "arg", value_name = "VALUE", allow_hyphen_values = true)]
    args: Vec<String>,
    /// A keyword argument of the constructor. Can be repeated [default of `name`: the name of the class]
    #[arg(long = "kwarg", value_name = "KEY=VALUE")]
    kwargs: Vec<String>,
}

/// Prints the file to standard output, and warnings to standard error.
pub(super) fn run(args: &ConvertArgs) -> Result<Exit, Failure> {
    let converted = convert(&args.source().map_err(Failure::usage)?).map_err(Failure::usage)?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(converted.toml.as_bytes()).and_then(|()| stdout.flush()).map_err(cannot_write)?;
    for warning in converted.warnings {
        writeln!(io::stderr(), "warning: {}", text::line(&warning)).map_err(cannot_write)?;
    }
    Ok(Exit::Finished)
}

impl ConvertArgs {
    fn source(&self) -> anyhow::Result<Source> {
        let (module, class) = match self.workflow.rsplit_once(':') {
            Some((module, class)) => (module, Some(class.to_string())),
            None => (self.workflow.as_str(), None),
        };
        let kwargs = self.kwargs.iter().map(|kwarg| {
            let (key, value) = kwarg.split_once('=').with_context(|| format!("--kwarg {kwarg} is not KEY=VALUE"))?;
            Ok((key.to_string(), json_or_text(value)))
        });
        Ok(Source {
            module: module.to_string(),
            class,
            python: self.python.clone(),
            args: self.args.iter().map(|value| json_or_text(value)).collect(),
            kwargs: kwargs.collect::<anyhow::Result<_>>()?,
        })
    }
}
