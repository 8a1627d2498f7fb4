//! `pushflow graph`: draws a workflow.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;

use super::{Exit, Failure, cannot_write, load};
use crate::draw;
use crate::graph::Workflow;

/// Draw a workflow: its actors, links and submodels.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pushflow graph hello.toml --output hello.svg
  pushflow graph hello.toml --format mermaid
  pushflow graph hello.toml | dot -Tpdf -o hello.pdf")]
pub(super) struct GraphArgs {
    /// A workflow file, or the name of an installed workflow
    #[arg(value_name = "FILE|NAME", value_hint = clap::ValueHint::FilePath)]
    workflow: String,

    /// The format [default: from the extension of --output (.svg, .mmd), or else dot]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// Write to this file instead of standard output (`-`)
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For Graphviz
    Dot,
    /// For Markdown in GitLab, GitHub and wikis
    Mermaid,
    /// A picture that needs no other program
    Svg,
}

impl Format {
    fn of_ending(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "svg" => Some(Format::Svg),
            "mmd" | "mermaid" => Some(Format::Mermaid),
            "dot" | "gv" => Some(Format::Dot),
            _ => None,
        }
    }

    fn draw(self, workflow: &Workflow) -> String {
        match self {
            Format::Dot => draw::dot(workflow),
            Format::Mermaid => draw::mermaid(workflow),
            Format::Svg => draw::svg(workflow),
        }
    }
}

pub(super) fn run(args: &GraphArgs) -> Result<Exit, Failure> {
    let workflow = load::workflow(&args.workflow)?;
    let format = args.format.or_else(|| args.output.as_deref().and_then(Format::of_ending)).unwrap_or(Format::Dot);
    let picture = format.draw(&workflow);
    match args.output.as_deref().filter(|path| *path != Path::new("-")) {
        Some(path) => fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))?,
        None => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(picture.as_bytes()).and_then(|()| stdout.flush()).map_err(cannot_write)?;
        }
    }
    Ok(Exit::Finished)
}
