//! Which processes have got SIGTERM: none gets it twice, whatever becomes of its parent.

use std::collections::HashMap;
use std::time::Instant;

use crate::process::sys::{Pid, Signal};
use crate::process::tree::{Process, Snapshot};

/// The processes, with their start times and when they were signalled.
#[derive(Debug, Default)]
pub(super) struct Signalled(HashMap<Pid, (u64, Instant)>);

impl Signalled {
    /// Whether a process has got this signal, where once is enough.
    pub(super) fn has(&self, process: &Process, signal: Signal) -> bool {
        signal == Signal::SIGTERM && self.0.get(&process.pid).is_some_and(|(started, _)| *started == process.started)
    }

    /// When a process got SIGTERM.
    pub(super) fn time(&self, process: &Process) -> Option<Instant> {
        self.0.get(&process.pid).filter(|(started, _)| *started == process.started).map(|(_, at)| *at)
    }

    /// These processes have got this signal now.
    pub(super) fn note(&mut self, signal: Signal, processes: &[Process], now: Instant) {
        if signal == Signal::SIGTERM {
            self.0.extend(processes.iter().map(|process| (process.pid, (process.started, now))));
        }
    }

    /// Forgets what has ended.
    pub(super) fn retain_alive(&mut self, snapshot: &Snapshot) {
        if !self.0.is_empty() {
            let alive = snapshot.start_times();
            self.0.retain(|pid, (started, _)| alive.get(pid) == Some(started));
        }
    }
}
