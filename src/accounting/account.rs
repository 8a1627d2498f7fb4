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
    /// How many tasks have ended.
    pub tasks: u64,
    /// For how long they ran, in all.
    pub time: Duration,
    /// For how long the longest one ran.
    pub longest: Duration,
    /// What they used while no task of another actor ran in their process.
    pub totals: Totals,
    /// Some of what they used is in [`RunAccount::shared`].
    pub shared: bool,
}

impl ActorAccount {
    /// For how long a task ran, on average.
    pub fn mean(&self) -> Option<Duration> {
        u32::try_from(self.tasks).ok().and_then(|tasks| self.time.checked_div(tasks))
    }
}

/// What one run has used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunAccount {
    /// By actor.
    pub actors: BTreeMap<ActorId, ActorAccount>,
    /// What tasks of several actors used together, side by side in one process, or one after the other too quickly to be
    /// told apart.
    pub shared: Option<Totals>,
    /// Everything of the above.
    pub total: Totals,
    /// The last tasks that have ended, oldest first.
    pub tasks: VecDeque<TaskAccount>,
    /// Some of what it used ran in a process together with another run, and is in neither's account.
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

/// What a supervisor has used beside its runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkflowAccount {
    /// All runs, those that are over too.
    pub runs: Totals,
    /// What several runs used together.
    pub mixed: Option<Totals>,
    /// Workers outside any task, forkservers: starting interpreters and importing modules.
    pub workers: Totals,
}
