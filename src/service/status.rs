//! The line that `systemctl status` shows.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::{Service, State};

/// How often it changes at most.
const EVERY: Duration = Duration::from_millis(250);
/// So many running actors are named.
const NAMED: usize = 5;

/// When to say what is happening.
#[derive(Debug)]
pub(super) struct StatusLine {
    stale: bool,
    /// When it may be said again.
    earliest: Instant,
}

impl Default for StatusLine {
    fn default() -> Self {
        StatusLine { stale: true, earliest: Instant::now() }
    }
}

impl StatusLine {
    /// Something that it shows has changed.
    pub(super) fn stale(&mut self) {
        self.stale = true;
    }

    pub(super) fn next_time(&self) -> Option<Instant> {
        self.stale.then_some(self.earliest)
    }
}

impl Service {
    pub(super) fn show_status(&mut self, now: Instant) {
        if self.status.next_time().is_some_and(|at| at <= now) {
            let line = self.board.with(|state| line(state));
            let ending = match (self.stop.is_stopping(), self.draining) {
                (true, _) => "stopping, waiting for: ",
                (false, true) => "draining: ",
                (false, false) => "",
            };
            self.notifier.status(&format!("{ending}{line}"));
            self.status = StatusLine { stale: false, earliest: now + EVERY };
        }
    }
}

/// What is happening: `run 12: 3 of 12 actors done, running: dozor`.
fn line(state: &State) -> String {
    let mut line = String::new();
    let active: Vec<_> = state.runs.iter().filter(|(_, run)| run.status == "running").collect();
    let _ = match active.as_slice() {
        [] => write!(line, "idle"),
        [(id, run)] => write!(line, "run {id}: {} of {} actors done", run.been.len(), state.tasks()),
        several => write!(line, "{} runs", several.len()),
    };
    let mut names: Vec<&str> = active
        .iter()
        .flat_map(|(_, run)| run.running.keys())
        .map(|actor| state.workflow.actor(*actor).display_name())
        .collect();
    names.sort_unstable();
    names.dedup();
    if !names.is_empty() {
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        let _ = write!(line, ", running: {}", names.join(", "));
        if more > 0 {
            let _ = write!(line, " and {more} more");
        }
    }
    if state.queued > 0 {
        let _ = write!(line, "; {} queued", state.queued);
    }
    if state.finished > 0 {
        let _ = write!(line, "; {} over", state.finished);
        if state.failed > 0 {
            let _ = write!(line, ", {} of them not well", state.failed);
        }
    }
    line
}
