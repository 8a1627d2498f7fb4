//! How far a run is: one line on a terminal, now and then a log line elsewhere.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::info;

use super::logging::ProgressLine;
use crate::graph::{ActorId, Workflow};
use crate::supervisor::SupervisorEvent;
use crate::text;

/// How often the terminal line is drawn at most, and how often the clock in it moves.
const DRAW_EVERY: Duration = Duration::from_millis(100);
const TICK_EVERY: Duration = Duration::from_secs(1);
/// How often a log line says how far the run is, where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(30);
/// So many running actors are named.
const NAMED: usize = 3;

/// How far a run is.
pub(super) struct Progress<'a> {
    workflow: &'a Workflow,
    /// None where standard error is no terminal.
    bar: Option<ProgressLine>,
    started: Instant,
    done: u64,
    running: BTreeMap<ActorId, u64>,
    next: Instant,
    /// Something that the line shows has changed since it was drawn.
    stale: bool,
}

impl<'a> Progress<'a> {
    pub(super) fn new(workflow: &'a Workflow, quiet: bool) -> Self {
        let now = Instant::now();
        let bar = (io::stderr().is_terminal() && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // A style without a ticker: it is drawn when the loop says so.
            bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
            ProgressLine::new(bar)
        });
        let next = now + if bar.is_some() { DRAW_EVERY } else { SAY_EVERY };
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
            // After the run went on for a while in one state, a change is shown soon.
            if self.bar.is_some() {
                self.next = self.next.min(Instant::now() + DRAW_EVERY);
            }
        }
    }

    /// When [`Progress::show`] wants to be called.
    pub(super) fn next_time(&self) -> Instant {
        self.next
    }

    /// Draws or says how far the run is, if it is time to.
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
                self.next = now + SAY_EVERY;
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
            .take(NAMED)
            .map(|(actor, count)| match (self.workflow.actor(*actor).display_name(), count) {
                (name, 1) => name.to_owned(),
                (name, count) => format!("{name} ×{count}"),
            })
            .collect();
        if self.running.len() > NAMED {
            names.push(format!("{} more", self.running.len() - NAMED));
        }
        let running = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        let line = format!("{} · {clock} · {} done · running: {running}", self.workflow.name, self.done);
        text::short(&line, text::LINE).into_owned()
    }

    /// As much of a line as fits the terminal, with room for the `^C` that it echoes: a line that wraps stays behind.
    fn fit(line: String) -> String {
        let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| usize::from(size.ws_col));
        let most = columns.saturating_sub(4);
        if line.chars().count() <= most {
            return line;
        }
        line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}
