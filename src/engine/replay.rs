//! Resumes a run in another process: the recorded ends of its tasks are replayed in the same order and lead to the same state. The
//! engine depends on nothing else.

use std::time::Instant;

use super::state::{Attempt, Run};
use super::{Effect, Outcome, TaskId};
use crate::graph::ActorId;

/// Maximum number of rounds in which the triggers after one end are handled. Each round is as long as one call of
/// [`Run::on_task_ended`].
const MAX_ROUNDS: usize = 1000;

impl Run {
    /// Replays the recorded end of an attempt. The effects are the same as in the first process; the caller decides which of them
    /// are still to be done. Returns false if the run has no such task of this actor, so that the record does not fit the run.
    pub fn replay(
        &mut self,
        task: TaskId,
        actor: ActorId,
        outcome: Outcome,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(known) = self.tasks.get_mut(&task).filter(|known| known.actor == actor) else { return false };
        if let Attempt::Waiting(at) = known.attempt {
            // Its pause had ended.
            known.attempt = Attempt::Queued;
            self.timers.remove(&(at, task));
        }
        self.end_attempt(task, outcome, now, effects);
        self.catch_up(effects)
    }

    /// Handles all triggers. Returns false if they do not come to an end.
    pub fn catch_up(&mut self, effects: &mut Vec<Effect>) -> bool {
        for _ in 0..MAX_ROUNDS {
            self.handle_triggers(effects);
            if !self.has_triggers() {
                return true;
            }
        }
        false
    }

    /// Tasks that have not ended, with their actor and whether they must be queued in their pool now.
    pub fn unfinished(&self) -> impl Iterator<Item = (TaskId, ActorId, bool)> {
        self.tasks.iter().map(|(id, task)| (*id, task.actor, matches!(task.attempt, Attempt::Queued)))
    }
}
