//! Signals that somebody sends to the processes of a workflow, by what they are: the bus's `Signal`. Nobody is watched
//! afterwards: what becomes of a task whose process ends is what always does.

use std::collections::HashSet;

use super::Supervisor;
use super::listing::ListedProcess;
use crate::graph::ActorId;
use crate::process::sys::{Pid, Signal};
use crate::process::tree::{self, Process, Snapshot};

/// Whom a signal is for. Never the supervisor itself: that is what systemctl kill is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Everything below the supervisor.
    All,
    /// What is terminated, and not waited for, when its parent ends.
    Daemonic,
    /// The rest.
    NonDaemonic,
    /// What belongs to the running tasks of an actor, or came from its earlier ones. Where tasks share a process, that is the
    /// others' too.
    Actor(ActorId),
}

impl Supervisor {
    /// Sends a signal, deepest first, also to what appears meanwhile; what gets SIGKILL is stopped first, so that nothing
    /// escapes by forking. Returns to whom it went.
    pub fn signal(&mut self, whom: Whom, signal: Signal) -> Vec<Process> {
        self.hear_announcements();
        let me = [Pid::this()];
        match whom {
            Whom::All => tree::signal_below(&me, signal, |_| false),
            Whom::Daemonic => tree::signal_below(&me, signal, |process| !self.is_daemonic(process)),
            Whom::NonDaemonic => tree::signal_below(&me, signal, |process| self.is_daemonic(process)),
            Whom::Actor(actor) => {
                let tops = self.tops_of(actor);
                tree::signal_branches(&tops, signal, |process| {
                    let task = self.announced.get(process).and_then(|known| known.task);
                    task.is_some_and(|(_, its)| its != actor)
                })
            }
        }
    }

    /// Whether a process is daemonic, as the list of processes says.
    fn is_daemonic(&self, process: &Process) -> bool {
        let worker = self.host_of_worker(process.pid).filter(|(pool, worker)| {
            let its = self.pools[pool.index()].workers.get(worker).and_then(|its| its.process.as_ref());
            // What stands in front of it is none.
            its.is_none_or(|(pid, _)| *pid == process.pid)
        });
        match worker {
            Some((pool, _)) => self.workflow.pool(pool).kind.is_daemonic(),
            None => self.announced.get(process).is_some_and(|known| known.daemonic == Some(true)),
        }
    }

    /// The processes of an actor whose parents are not.
    fn tops_of(&mut self, actor: ActorId) -> Vec<Process> {
        let listing = self.arrange(&Snapshot::take());
        let name = self.actor_name(actor);
        let is_its = |process: &&ListedProcess| process.actor.as_deref() == Some(name);
        let its: HashSet<i32> = listing.processes.iter().filter(is_its).map(|process| process.pid).collect();
        let tops = listing.processes.iter().filter(is_its).filter(|process| !its.contains(&process.parent));
        tops.filter_map(|process| process.process.clone()).collect()
    }
}
