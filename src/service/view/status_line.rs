//! The line that `systemctl status` shows.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::snapshot::ServiceState;
use crate::history::RunStatus;
use crate::service::Service;

/// The shortest time between two changes.
const EVERY: Duration = Duration::from_millis(250);
/// Maximum number of running actors that are named.
const MAX_NAMES: usize = 5;

/// When to update the line.
#[derive(Debug)]
pub(in crate::service) struct StatusLine {
    stale: bool,
    /// When it may be updated.
    earliest: Instant,
}

impl Default for StatusLine {
    fn default() -> Self {
        StatusLine { stale: true, earliest: Instant::now() }
    }
}

impl StatusLine {
    /// Marks the line as outdated.
    pub(in crate::service) fn stale(&mut self) {
        self.stale = true;
    }

    pub(in crate::service) fn next_time(&self) -> Option<Instant> {
        self.stale.then_some(self.earliest)
    }
}

impl Service {
    pub(in crate::service) fn show_status(&mut self, now: Instant) {
        if self.status.next_time().is_some_and(|at| at <= now) {
            let line = self.snapshot.with(|state| line(state));
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

/// The line: `run 12: 3 of 12 actors done, running: dozor`.
fn line(state: &ServiceState) -> String {
    let mut line = String::new();
    let active: Vec<_> = state.runs.iter().filter(|(_, run)| run.status == RunStatus::Running).collect();
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
        let more = names.len().saturating_sub(MAX_NAMES);
        names.truncate(MAX_NAMES);
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
