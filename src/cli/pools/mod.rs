//! `pushflow check-pools` and `pushflow check-daemonic`: what this host's Python allows in each type of pool.

mod daemonic;
mod table;
mod tasks;
mod trial;

pub(super) use daemonic::{CheckDaemonicArgs, run as check_daemonic};
pub(super) use tasks::{CheckPoolsArgs, run as check_pools};

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::logging::ProgressLine;
use super::run::PoolArg;
use crate::config::parse_duration;
use crate::graph::{Context, PoolType};

/// Which pools are tried, with which Python.
#[derive(Debug, clap::Args)]
pub(super) struct PoolsArgs {
    /// The interpreter, or the folder of a virtual or conda environment [default: python3]
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// Only pools of this type; may be given several times
    #[arg(long, value_name = "TYPE")]
    pool: Vec<PoolArg>,

    /// Only workers that come to be so; may be given several times
    #[arg(long, value_name = "CONTEXT")]
    context: Vec<ContextArg>,

    /// How long one task may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    timeout: Duration,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(str::to_owned)
}

/// The contexts, as the command line spells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ContextArg {
    Forkserver,
    Fork,
    Spawn,
}

impl From<ContextArg> for Context {
    fn from(arg: ContextArg) -> Self {
        match arg {
            ContextArg::Forkserver => Context::Forkserver,
            ContextArg::Fork => Context::Fork,
            ContextArg::Spawn => Context::Spawn,
        }
    }
}

/// One pool that is tried.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    kind: PoolType,
    context: Context,
    gevent: bool,
}

impl Candidate {
    fn context_word(self) -> &'static str {
        match self.context {
            Context::Forkserver => "forkserver",
            Context::Fork => "fork",
            Context::Spawn => "spawn",
        }
    }
}

impl PoolsArgs {
    /// Every pool that is asked for, first without gevent and then with it.
    fn candidates(&self) -> Vec<Candidate> {
        let kinds: Vec<_> = PoolArg::value_variants().to_vec();
        let kinds = if self.pool.is_empty() { kinds } else { self.pool.clone() };
        let contexts = match &self.context[..] {
            [] => ContextArg::value_variants(),
            some => some,
        };
        let mut candidates = Vec::new();
        for gevent in [false, true] {
            for kind in kinds.iter().map(|kind| PoolType::from(*kind)) {
                for context in contexts.iter().map(|context| Context::from(*context)) {
                    if gevent || kind != PoolType::Gevent {
                        candidates.push(Candidate { kind, context, gevent });
                    }
                }
            }
        }
        candidates
    }
}

/// A line on a terminal that says what is tried at the moment.
struct Line(Option<ProgressLine>);

impl Line {
    fn new() -> Self {
        Line(io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(
                ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            ProgressLine::new(bar)
        }))
    }

    fn say(&self, done: usize, all: usize, candidate: Candidate, task: &str) {
        if let Some(bar) = &self.0 {
            let gevent = if candidate.gevent { ", gevent" } else { "" };
            let (kind, context) = (candidate.kind.word(), candidate.context_word());
            bar.show(format!("{done}/{all} · {kind} ({context}{gevent}): {task}"));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish();
        }
    }
}
