//! Runs: accepted, queued, begun, ended, and recovered after a crash.

mod accept;
mod begin;
mod end;
mod pending;
mod queue;
mod recover;

pub(super) use end::ActiveRun;
pub(super) use pending::PendingRun;
pub(super) use queue::Queue;

use std::time::Instant;

use super::Service;
use super::durability::{DurabilityEvent, Write};

impl Service {
    /// Writes something about a run, and goes on with it when that is safe.
    fn write(&mut self, write: Write, then: PendingRun) {
        match &then {
            PendingRun::Accept(candidate, _) => self.beginning += usize::from(candidate.begins),
            PendingRun::Begin(..) => self.beginning += 1,
            PendingRun::End(..) => self.ending += 1,
        }
        if let Some(event) = self.durability.write(write, then, Instant::now()) {
            self.on_durability_event(event);
        }
    }

    pub(super) fn on_durability_event(&mut self, event: DurabilityEvent<PendingRun>) {
        match event {
            DurabilityEvent::Recovered(runs) => runs.into_iter().for_each(|run| self.take_over(run)),
            DurabilityEvent::Settled(PendingRun::Accept(candidate, reply), result) => {
                self.beginning -= usize::from(candidate.begins);
                self.on_accept_written(candidate, reply, result);
            }
            // A run that was accepted goes on, whatever the disk does.
            DurabilityEvent::Settled(PendingRun::Begin(run, queued, end), _) => {
                self.beginning -= 1;
                match end {
                    None => self.begin(run, &queued.request),
                    Some(status) => self.end_run(run, &status, None, None),
                }
            }
            DurabilityEvent::Settled(PendingRun::End(run, ended, reply), _) => {
                self.ending -= 1;
                self.on_end_written(run, *ended, reply);
            }
        }
    }
}
