//! Signals to the processes of a workflow, by what they are: the D-Bus method `Signal`. Nothing follows from them here: a task
//! whose process ends, ends as it always does.

use std::collections::HashSet;

use super::Processes;
use super::listing::ListedProcess;
use super::owners::Owners;
use crate::graph::{ActorId, Workflow};
use crate::process::sys::{Pid, Signal};
use crate::process::tree::{self, Process, Snapshot};

/// The processes that a signal is for. Never the supervisor itself: `systemctl kill` is for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalTarget {
    /// Everything below the supervisor.
    All,
    /// The processes that are terminated, and not waited for, when their parent ends.
    Daemonic,
    /// The others.
    NonDaemonic,
    /// The processes of the running tasks of an actor, and those that came from its earlier tasks. If tasks share a process, other
    /// tasks are in it.
    Actor(ActorId),
}

impl Processes {
    /// Sends a signal, deepest first, also to what appears meanwhile. Processes that get SIGKILL are stopped first, so that none
    /// escapes by forking. Returns the processes that got it.
    pub(in crate::supervisor) fn signal(
        &self,
        target: SignalTarget,
        signal: Signal,
        workflow: &Workflow,
        owners: &impl Owners,
    ) -> Vec<Process> {
        let me = [Pid::this()];
        let is_daemonic = |process: &Process| self.is_daemonic(process, workflow, owners);
        match target {
            SignalTarget::All => tree::signal_below(&me, signal, |_| false),
            SignalTarget::Daemonic => tree::signal_below(&me, signal, |process| !is_daemonic(process)),
            SignalTarget::NonDaemonic => tree::signal_below(&me, signal, is_daemonic),
            SignalTarget::Actor(actor) => {
                let tops = self.tops_of(actor, &Snapshot::take(), workflow, owners);
                tree::signal_branches(&tops, signal, |process| {
                    let task = self.announced.get(process).and_then(|known| known.task);
                    task.is_some_and(|(_, its)| its != actor)
                })
            }
        }
    }

    /// Whether a process is daemonic, as the list of processes says.
    fn is_daemonic(&self, process: &Process, workflow: &Workflow, owners: &impl Owners) -> bool {
        // A launcher is no worker.
        let is_worker = |worker| owners.pids(worker).worker.is_none_or(|pid| pid == process.pid);
        match self.owner_with_pid(process.pid, owners).filter(|worker| is_worker(*worker)) {
            Some((pool, _)) => workflow.pool(pool).kind.is_daemonic(),
            None => self.announced.get(process).is_some_and(|known| known.daemonic == Some(true)),
        }
    }

    /// The processes of an actor whose parents are not.
    fn tops_of(&self, actor: ActorId, snapshot: &Snapshot, workflow: &Workflow, owners: &impl Owners) -> Vec<Process> {
        let listed = self.list_below(snapshot, 0, workflow, owners);
        let name = workflow.actor(actor).display_name();
        let is_its = |process: &&ListedProcess| process.actor.as_deref() == Some(name);
        let its: HashSet<i32> = listed.iter().filter(is_its).map(|process| process.pid).collect();
        let tops = listed.iter().filter(is_its).filter(|process| !its.contains(&process.parent));
        tops.filter_map(|process| process.process.clone()).collect()
    }
}
