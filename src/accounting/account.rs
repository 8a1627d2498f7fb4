//! The accounts of actors, runs and the workflow.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Totals, Usage};
use crate::graph::ActorId;

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
    /// The last task whose share is known by itself.
    pub last_task: Option<Usage>,
}

impl ActorAccount {
    /// A task has ended.
    pub fn task_ended(&mut self, time: Duration, own: Option<Usage>) {
        self.tasks += 1;
        self.time += time;
        self.longest = self.longest.max(time);
        self.last_task = own.or(self.last_task);
    }

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
    /// Some of what it used ran in a process together with another run, and is in neither's account.
    pub incomplete: bool,
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
