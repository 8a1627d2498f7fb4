//! The cgroup leaves of a supervisor: one for each forkserver, worker and program, where a subtree was delegated.
//!
//! Without a subtree nothing here does anything: processes stay in the cgroup of the supervisor.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tracing::{debug, error, warn};

use super::Supervisor;
use super::jobs::failed;
use crate::accounting::size;
use crate::cgroup::{CgroupError, Leaf, LimitName, Limits, Subtree};
use crate::engine::{FailureKind, Outcome};
use crate::graph::{ActorId, Kind, PoolId, Workflow};
use crate::payload::ErrorClass;
use crate::pool::{JobId, WorkerId};
use crate::process::Ended;
use crate::process::sys::{Pid, Signal};

/// The leaves and what is in them.
#[derive(Default)]
pub(super) struct Leaves {
    subtree: Option<Subtree>,
    places: FxHashMap<(PoolId, WorkerId), Place>,
    next_forkserver: u32,
    /// Leaves that go when the last process in them does: those of forkservers, and those whose worker or program has
    /// ended and has left something behind.
    lingering: Vec<Arc<Leaf>>,
    /// Limits that were said not to be applied.
    said: BTreeSet<LimitName>,
    said_no_leaf: bool,
}

/// The leaf of one worker or program.
struct Place {
    leaf: Arc<Leaf>,
    limits: Limits,
    /// `memory_max of pool default`, without the limit's name.
    whose: String,
    /// What has been reported already.
    seen_kills: u64,
    seen_refusals: u64,
}

/// A kill by the kernel because of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutOfMemory {
    /// The limit that was reached, bytes, and whose it is. None: it was a limit further up, or the host's memory.
    limit: Option<(u64, String)>,
    peak: Option<u64>,
}

impl OutOfMemory {
    /// The text of the error of a task.
    pub(super) fn message(&self, task: &str) -> String {
        let peak = self.peak.map(|peak| format!(", peak {}", size(peak))).unwrap_or_default();
        match &self.limit {
            Some((limit, whose)) => {
                format!("{task} ran out of memory and was killed: limit {} (memory_max of {whose}){peak}", size(*limit))
            }
            None => format!("{task} was killed because the host, or a limit around pushflow, was out of memory{peak}"),
        }
    }
}

impl Workflow {
    /// What one task's process may use: of a program the actor's own limits, and those of its pool for the rest.
    fn limits_of(&self, pool: PoolId, program: Option<ActorId>) -> Limits {
        let pools = self.pool(pool).limits.clone();
        let Some(own) = program.and_then(|actor| self.own_limits(actor)) else { return pools };
        Limits {
            memory_max: own.memory_max.or(pools.memory_max),
            memory_high: own.memory_high.or(pools.memory_high),
            cpu_max: own.cpu_max.or(pools.cpu_max),
            cpu_weight: own.cpu_weight.or(pools.cpu_weight),
            pids_max: own.pids_max.or(pools.pids_max),
            io_weight: own.io_weight.or(pools.io_weight),
        }
    }

    fn own_limits(&self, actor: ActorId) -> Option<&Limits> {
        match &self.actor(actor).kind {
            Kind::Exec(exec) => Some(&exec.limits),
            _ => None,
        }
    }

    /// The limits that the file sets anywhere.
    pub fn limit_names(&self) -> BTreeSet<LimitName> {
        let pools = self.pools.iter().map(|pool| &pool.limits);
        let programs = (0..self.actors.len()).filter_map(|actor| self.own_limits(actor.into()));
        pools.chain(programs).flat_map(Limits::names).collect()
    }
}

impl Supervisor {
    /// Puts what is started from now on into leaves of this subtree. Limits that its controllers do not enforce are the
    /// caller's to speak of ([`Workflow::limit_names`]).
    pub fn use_subtree(&mut self, subtree: Subtree) {
        let missing = |limit: &LimitName| !subtree.controllers().has(limit.controller());
        self.leaves.said = self.workflow.limit_names().into_iter().filter(missing).collect();
        self.leaves.subtree = Some(subtree);
    }

    /// The subtree in whose leaves processes are started.
    pub fn subtree(&self) -> Option<&Subtree> {
        self.leaves.subtree.as_ref()
    }

    /// Makes the leaf of a worker. An error where the file has limits that would not hold.
    pub(super) fn make_worker_leaf(&mut self, pool: PoolId, worker: WorkerId) -> Result<Option<Arc<Leaf>>, String> {
        let name = self.workflow.pool(pool).name.clone();
        let whose = format!("pool {name}");
        self.make_leaf(("pool", &name), pool, worker, self.workflow.limits_of(pool, None), whose)
    }

    /// Makes the leaf of a program.
    pub(super) fn make_program_leaf(
        &mut self,
        pool: PoolId,
        worker: WorkerId,
        actor: ActorId,
    ) -> Result<Option<Arc<Leaf>>, String> {
        let name = self.actor_name(actor).to_owned();
        let own = self.workflow.own_limits(actor).is_some_and(|limits| limits.memory_max.is_some());
        let whose = if own { format!("actor {name}") } else { format!("pool {}", self.workflow.pool(pool).name) };
        self.make_leaf(("exec", &name), pool, worker, self.workflow.limits_of(pool, Some(actor)), whose)
    }

    fn make_leaf(
        &mut self,
        (kind, name): (&str, &str),
        pool: PoolId,
        worker: WorkerId,
        limits: Limits,
        whose: String,
    ) -> Result<Option<Arc<Leaf>>, String> {
        let Some(subtree) = &self.leaves.subtree else { return Ok(None) };
        let leaf = match subtree.leaf(kind, name, worker.0) {
            Ok(leaf) => Arc::new(leaf),
            Err(error) if limits.is_empty() => {
                self.say_no_leaf(&error);
                return Ok(None);
            }
            Err(error) => return Err(error.to_string()),
        };
        for unapplied in leaf.limit(&limits) {
            if self.leaves.said.insert(unapplied.limit) {
                warn!("{} of {whose} is not applied: {}", unapplied.limit, unapplied.why);
            }
        }
        let place = Place { leaf: Arc::clone(&leaf), limits, whose, seen_kills: 0, seen_refusals: 0 };
        self.leaves.places.insert((pool, worker), place);
        Ok(Some(leaf))
    }

    /// Makes the leaf of a forkserver; those that were forked there leave it.
    pub(super) fn make_forkserver_leaf(&mut self, pool: PoolId) -> Option<Arc<Leaf>> {
        let subtree = self.leaves.subtree.as_ref()?;
        let number = self.leaves.next_forkserver;
        self.leaves.next_forkserver += 1;
        match subtree.leaf("forkserver", &self.workflow.pool(pool).name, number) {
            Ok(leaf) => {
                let leaf = Arc::new(leaf);
                self.leaves.lingering.push(Arc::clone(&leaf));
                Some(leaf)
            }
            Err(error) => {
                self.say_no_leaf(&error);
                None
            }
        }
    }

    fn say_no_leaf(&mut self, error: &CgroupError) {
        if !std::mem::replace(&mut self.leaves.said_no_leaf, true) {
            warn!("processes are started without a cgroup of their own: {error}");
        }
    }

    /// The leaf of a worker or program.
    pub(super) fn leaf_of(&self, pool: PoolId, worker: WorkerId) -> Option<&Arc<Leaf>> {
        self.leaves.places.get(&(pool, worker)).map(|place| &place.leaf)
    }

    /// Kills everything in the leaf of a worker or program at once, however it came there. False where there is none.
    pub(super) fn kill_leaf(&self, pool: PoolId, worker: WorkerId) -> bool {
        let Some(leaf) = self.leaf_of(pool, worker) else { return false };
        match leaf.kill() {
            Ok(()) => true,
            // Linux before 5.14 does not have it.
            Err(error) => {
                debug!("{error}");
                false
            }
        }
    }

    /// Whether the kernel has killed a process of a worker or program for its memory since this was asked last. The count
    /// is up to date when the victim dies (`__oom_kill_process` counts before it signals).
    pub(super) fn out_of_memory(&mut self, pool: PoolId, worker: WorkerId) -> Option<OutOfMemory> {
        let place = self.leaves.places.get_mut(&(pool, worker))?;
        let events = place.leaf.memory_events()?;
        let kills = events.oom_kill.filter(|kills| *kills > place.seen_kills)?;
        place.seen_kills = kills;
        let here = events.oom.is_some_and(|oom| oom > 0);
        let limit = place.limits.memory_max.filter(|_| here).map(|limit| (limit, place.whose.clone()));
        Some(OutOfMemory { limit, peak: place.leaf.memory_peak() })
    }

    /// The outcome of a job that was killed so, in a process of this pool. Said in the log at once, with the figures, whatever
    /// becomes of the error.
    pub(super) fn ran_out_of_memory(
        &self,
        (pool, pid): (PoolId, Option<Pid>),
        job: JobId,
        oom: &OutOfMemory,
        kind: FailureKind,
    ) -> Outcome {
        let task = self.job_actor(job);
        let (run, actor) = (task.map(|(run, _)| run.0), task.map(|(_, actor)| self.actor_name(actor)));
        let message = oom.message(actor.unwrap_or("the output"));
        let (limit, whose) = oom.limit.as_ref().map(|(limit, whose)| (*limit, whose.as_str())).unzip();
        error!(
            target: "task_out_of_memory",
            actor,
            run,
            pool = self.workflow.pool(pool).name,
            worker_pid = pid.map(Pid::as_raw),
            memory_limit = limit,
            memory_limit_of = whose,
            memory_peak = oom.peak,
            "{message}"
        );
        failed(kind, ErrorClass::OutOfMemory, message)
    }

    /// Says in the log what the limits of a worker or program did to a task that has ended.
    pub(super) fn say_what_was_refused(&mut self, pool: PoolId, worker: WorkerId, actor: Option<ActorId>) {
        let Some(place) = self.leaves.places.get_mut(&(pool, worker)) else { return };
        let Some(most) = place.limits.pids_max else { return };
        let Some(refusals) = place.leaf.refused_forks().filter(|count| *count > place.seen_refusals) else { return };
        let times = refusals - place.seen_refusals;
        place.seen_refusals = refusals;
        let whose = place.whose.clone();
        let actor = actor.map(|actor| self.actor_name(actor));
        let tries =
            if times == 1 { "one process or thread".to_owned() } else { format!("{times} processes or threads") };
        warn!(actor, "{tries} could not be started: pids_max of {whose} is {most}");
    }

    /// A worker or program is gone. Whatever it has left behind in its leaf keeps that in being.
    pub(super) fn leave_leaf(&mut self, pool: PoolId, worker: WorkerId) {
        if let Some(place) = self.leaves.places.remove(&(pool, worker)) {
            self.leaves.lingering.push(place.leaf);
            self.sweep_leaves();
        }
    }

    /// Removes the leaves that have become empty. Called whenever a process was reaped: the last one of a leaf is our child
    /// then, as we are the subreaper of all.
    pub(super) fn sweep_leaves(&mut self) {
        self.leaves.lingering.retain(|leaf| match leaf.remove() {
            Ok(gone) => !gone,
            Err(error) => {
                debug!("{error}");
                false
            }
        });
    }
}

/// Whether an end may be the kernel's doing for want of memory: of the process itself, or of a child that a shell
/// reports by its exit code.
pub(super) fn may_be_out_of_memory(ended: Option<Ended>) -> bool {
    !matches!(ended, Some(Ended::Exited(0))) && ended != Some(Ended::Killed(Signal::SIGTERM as i32))
}

#[cfg(test)]
mod tests {
    use super::OutOfMemory;

    #[test]
    fn an_out_of_memory_names_task_limit_and_peak() {
        let oom = OutOfMemory { limit: Some((200 << 20, "pool default".into())), peak: Some(199 << 20) };
        assert_eq!(
            oom.message("integrate"),
            "integrate ran out of memory and was killed: limit 200 MiB (memory_max of pool default), peak 199 MiB"
        );
        assert!(OutOfMemory { limit: None, peak: None }.message("integrate").contains("the host"));
    }
}
