//! What the service is doing, in one word, and how many runs it has.

use super::snapshot::Phase;
use crate::service::{Event, Service};

impl Service {
    pub(in crate::service) fn update_phase(&mut self) {
        let phase = if self.ready_by.is_some() {
            Phase::Starting
        } else if self.stop.is_stopping() {
            Phase::Stopping
        } else if self.draining {
            Phase::Draining
        } else if self.active.is_empty() && self.queue.is_empty() && self.durability.is_idle() {
            Phase::Idle
        } else {
            Phase::Running
        };
        let (active, queued) = (self.active.len() + self.ending, self.queue.len() + self.beginning);
        let changed = self.snapshot.with(|state| {
            let before = (state.phase, state.active, state.queued);
            state.phase = phase;
            state.active = u32::try_from(active).unwrap_or(u32::MAX);
            state.queued = u32::try_from(queued).unwrap_or(u32::MAX);
            before != (state.phase, state.active, state.queued)
        });
        if changed {
            self.status.stale();
            self.tell(Event::Changed);
        }
    }
}
