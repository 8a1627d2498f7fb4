//! A run that goes on in another process: what its tasks have returned is told again, in the same order, and leads to the
//! same state. The engine decides by nothing else: it has no clock and asks nobody.

use std::time::Instant;

use super::run::Run;
use super::task::Attempt;
use super::{Effect, Outcome, TaskId};
use crate::graph::ActorId;

/// So often the triggers are handled that one end has made, each time as many as in one call of [`Run::on_task_ended`].
const MOST_CALLS: usize = 1000;

impl Run {
    /// Tells the end of an attempt that another process has seen. The effects are those of the first time: what of them is
    /// still to do is for the caller to find out. False if the run cannot have come here: it has no such task of this actor.
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
            // Its pause was over then.
            known.attempt = Attempt::Queued;
            self.timers.remove(&(at, task));
        }
        self.end_attempt(task, outcome, now, effects);
        self.catch_up(effects)
    }

    /// Handles all triggers that there are. False if they do not end.
    pub fn catch_up(&mut self, effects: &mut Vec<Effect>) -> bool {
        for _ in 0..MOST_CALLS {
            self.settle(effects);
            if !self.has_triggers() {
                return true;
            }
        }
        false
    }

    /// The tasks that have not ended: their actors, and whether the pool is to have them now.
    pub fn unfinished(&self) -> impl Iterator<Item = (TaskId, ActorId, bool)> {
        self.tasks.iter().map(|(id, task)| (*id, task.actor, matches!(task.attempt, Attempt::Queued)))
    }
}
