//! `pushflow check-pools` and `pushflow check-daemonic`: test each type of pool with a Python of this host.

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

/// The pools that are tested, and the Python.
#[derive(Debug, clap::Args)]
pub(super) struct PoolsArgs {
    /// An interpreter, or the folder of a virtual or conda environment [default: python3]
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// Only pools of this type. Can be repeated
    #[arg(long, value_name = "TYPE", value_parser = one_of::<PoolType>())]
    pool: Vec<PoolType>,

    /// Only workers with this start method. Can be repeated
    #[arg(long, value_name = "CONTEXT", value_parser = one_of::<Context>())]
    context: Vec<Context>,

    /// Time limit of one task
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A pool to test.
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
    /// The selected pools, first without gevent, then with gevent.
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

/// A line on a terminal with the current test.
struct CurrentTest(Option<ProgressLine>);

impl CurrentTest {
    fn new() -> Self {
        CurrentTest(io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(
                ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            ProgressLine::new(bar)
        }))
    }

    fn show(&self, done: usize, all: usize, candidate: Candidate, task: &str) {
        if let Some(bar) = &self.0 {
            let gevent = if candidate.gevent { ", gevent" } else { "" };
            let (kind, context) = (candidate.kind.word(), candidate.context_word());
            bar.show(format!("{done}/{all} · {kind} ({context}{gevent}): {task}"));
        }
    }
}

impl Drop for CurrentTest {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish();
        }
    }
}
