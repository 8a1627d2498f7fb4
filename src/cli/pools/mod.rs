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

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use strum::VariantArray;

use super::logging::ProgressLine;
use super::words::one_of;
use crate::config::parse_duration;
use crate::graph::{Context, PoolType};

/// Which pools are tried, with which Python.
#[derive(Debug, clap::Args)]
pub(super) struct PoolsArgs {
    /// The interpreter, or the folder of a virtual or conda environment [default: python3]
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// Only pools of this type; may be given several times
    #[arg(long, value_name = "TYPE", value_parser = one_of::<PoolType>())]
    pool: Vec<PoolType>,

    /// Only workers that come to be so; may be given several times
    #[arg(long, value_name = "CONTEXT", value_parser = one_of::<Context>())]
    context: Vec<Context>,

    /// How long one task may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,

    /// Print JSON
    #[arg(long)]
    json: bool,
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
        self.context.into()
    }
}

impl PoolsArgs {
    /// Every pool that is asked for, first without gevent and then with it.
    fn candidates(&self) -> Vec<Candidate> {
        let kinds = if self.pool.is_empty() { PoolType::VARIANTS } else { &self.pool };
        let contexts = if self.context.is_empty() { Context::VARIANTS } else { &self.context };
        let mut candidates = Vec::new();
        for gevent in [false, true] {
            for &kind in kinds {
                for &context in contexts {
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
