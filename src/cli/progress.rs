//! The progress of a run: one line on a terminal, otherwise a log line from time to time.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::info;

use super::logging::ProgressLine;
use crate::graph::{ActorId, Workflow};
use crate::supervisor::SupervisorEvent;
use crate::text;

/// The shortest time between two drawings of the terminal line, and how often its clock is updated.
const DRAW_EVERY: Duration = Duration::from_millis(100);
const TICK_EVERY: Duration = Duration::from_secs(1);
/// How often progress is logged if there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(30);
/// Maximum number of running actors that are named.
const MAX_NAMES: usize = 3;

/// The progress of a run.
pub(super) struct Progress<'a> {
    workflow: &'a Workflow,
    /// None if standard error is not a terminal.
    bar: Option<ProgressLine>,
    started: Instant,
    done: u64,
    running: BTreeMap<ActorId, u64>,
    next: Instant,
    /// The line is outdated.
    stale: bool,
}

impl<'a> Progress<'a> {
    pub(super) fn new(workflow: &'a Workflow, quiet: bool) -> Self {
        let now = Instant::now();
        let bar = (io::stderr().is_terminal() && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // A style without a ticker: the loop decides when it is drawn.
            bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
            ProgressLine::new(bar)
        });
        let next = now + if bar.is_some() { DRAW_EVERY } else { LOG_EVERY };
        Progress { workflow, bar, started: now, done: 0, running: BTreeMap::new(), next, stale: true }
    }

    pub(super) fn on_happening(&mut self, happening: &SupervisorEvent) {
        match happening {
            SupervisorEvent::ActorStarted(_, actor) if self.workflow.actor(*actor).kind.is_task() => {
                *self.running.entry(*actor).or_default() += 1;
            }
            SupervisorEvent::ActorFinished(_, actor, _) if self.workflow.actor(*actor).kind.is_task() => {
                self.done += 1;
                if let Some(count) = self.running.get_mut(actor) {
                    *count -= 1;
                    if *count == 0 {
                        self.running.remove(actor);
                    }
                }
            }
            _ => return,
        }
        if !self.stale {
            self.stale = true;
            // After a while without changes, a change is shown soon.
            if self.bar.is_some() {
                self.next = self.next.min(Instant::now() + DRAW_EVERY);
            }
        }
    }

    /// When [`Progress::show`] wants to be called.
    pub(super) fn next_time(&self) -> Instant {
        self.next
    }

    /// Draws or logs the progress, if it is time.
    pub(super) fn show(&mut self) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        let line = self.line(now);
        match &self.bar {
            Some(bar) => {
                bar.show(Self::fit(line));
                self.next = now + TICK_EVERY;
            }
            None => {
                info!("{line}");
                self.next = now + LOG_EVERY;
            }
        }
        self.stale = false;
    }

    fn line(&self, now: Instant) -> String {
        let elapsed = (now - self.started).as_secs();
        let clock = match (elapsed / 3600, elapsed / 60 % 60, elapsed % 60) {
            (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
            (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
        };
        let mut names: Vec<String> = self
            .running
            .iter()
            .take(MAX_NAMES)
            .map(|(actor, count)| match (self.workflow.actor(*actor).display_name(), count) {
                (name, 1) => name.to_owned(),
                (name, count) => format!("{name} ×{count}"),
            })
            .collect();
        if self.running.len() > MAX_NAMES {
            names.push(format!("{} more", self.running.len() - MAX_NAMES));
        }
        let running = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        let line = format!("{} · {clock} · {} done · running: {running}", self.workflow.name, self.done);
        text::short(&line, text::LINE).into_owned()
    }

    /// As much of a line as fits on the terminal, with room for the `^C` that it echoes. A line that wraps cannot be erased.
    fn fit(line: String) -> String {
        let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| usize::from(size.ws_col));
        let most = columns.saturating_sub(4);
        if line.chars().count() <= most {
            return line;
        }
        line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
    }

    /// Erases the line.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}
