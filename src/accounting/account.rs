//! The accounts of actors, runs and the workflow.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Totals, Usage};
use crate::graph::ActorId;

/// So many tasks of a run are kept one by one, the last ones: a cycle may make millions.
const MOST_TASKS: usize = 1000;

/// What one task has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskAccount {
    /// Its actor.
    pub actor: ActorId,
    /// For how long it ran.
    pub time: Duration,
    /// What it used, where that is known by itself: not where others ran beside it, or too quickly before it.
    pub usage: Option<Usage>,
}

/// What the tasks of one actor have used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActorAccount {
    /// Number of ended tasks.
    pub tasks: u64,
    /// Total duration of the tasks.
    pub time: Duration,
    /// Duration of the longest task.
    pub longest: Duration,
    /// Usage while no task of another actor ran in the same process.
    pub totals: Totals,
    /// Whether some of the usage is in [`RunAccount::shared`].
    pub shared: bool,
}

impl ActorAccount {
    /// Mean duration of a task.
    pub fn mean(&self) -> Option<Duration> {
        u32::try_from(self.tasks).ok().and_then(|tasks| self.time.checked_div(tasks))
    }
}

/// The usage of one run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunAccount {
    /// By actor.
    pub actors: BTreeMap<ActorId, ActorAccount>,
    /// Usage of tasks of several actors, which ran concurrently in one process, or in too quick succession to be separated.
    pub shared: Option<Totals>,
    /// The sum of all of the above.
    pub total: Totals,
    /// The last ended tasks, oldest first.
    pub tasks: VecDeque<TaskAccount>,
    /// Whether some usage was shared with another run, and is in neither account.
    pub incomplete: bool,
}

impl RunAccount {
    /// A task has ended.
    pub fn task_ended(&mut self, task: TaskAccount) {
        let actor = self.actors.entry(task.actor).or_default();
        actor.tasks += 1;
        actor.time += task.time;
        actor.longest = actor.longest.max(task.time);
        if self.tasks.len() == MOST_TASKS {
            self.tasks.pop_front();
        }
        self.tasks.push_back(task);
    }
}

/// The usage of a supervisor outside of its runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkflowAccount {
    /// All runs, including ended ones.
    pub runs: Totals,
    /// Usage shared by several runs.
    pub mixed: Option<Totals>,
    /// Workers outside of tasks, and forkservers: starting interpreters and importing modules.
    pub workers: Totals,
}
