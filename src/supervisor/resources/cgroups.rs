//! The cgroups of a supervisor's processes: one leaf for each forkserver, worker and program, if a subtree was delegated.
//!
//! Without a subtree nothing is done: processes stay in the cgroup of the supervisor.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tracing::{debug, warn};

use super::Owner;
use super::out_of_memory::OutOfMemory;
use crate::cgroup::{CgroupError, Leaf, LimitName, Limits, Subtree};
use crate::graph::{ActorId, Kind, PoolId, Workflow};

/// The cgroups and what is in them.
#[derive(Default)]
pub(super) struct Cgroups {
    subtree: Option<Subtree>,
    leaves: FxHashMap<Owner, OwnedLeaf>,
    next_forkserver: u32,
    /// Leaves that are removed when the last process in them ends: those of forkservers, and those whose worker or program has
    /// ended and may have left something behind.
    lingering: Vec<Arc<Leaf>>,
    /// Limits that are not applied, which the log says already.
    reported: BTreeSet<LimitName>,
    reported_no_leaf: bool,
}

/// The leaf of one worker or program.
struct OwnedLeaf {
    leaf: Arc<Leaf>,
    limits: Limits,
    /// Whose limits they are, as in `memory_max of pool default`.
    limits_of: String,
    /// The counts that have been reported already.
    seen_kills: u64,
    seen_refusals: u64,
}

impl Cgroups {
    /// Puts what is started from now on into leaves of this subtree. The caller reports the limits that its controllers do not
    /// enforce ([`Workflow::limit_names`]).
    pub(super) fn use_subtree(&mut self, subtree: Subtree, workflow: &Workflow) {
        let missing = |limit: &LimitName| !subtree.controllers().has(limit.controller());
        self.reported = workflow.limit_names().into_iter().filter(missing).collect();
        self.subtree = Some(subtree);
    }

    /// The subtree in whose leaves processes are started.
    pub(super) fn subtree(&self) -> Option<&Subtree> {
        self.subtree.as_ref()
    }

    /// Makes the leaf of a worker. It is an error if the workflow file sets limits that would not hold.
    pub(super) fn make_for_worker(&mut self, owner: Owner, workflow: &Workflow) -> Result<Option<Arc<Leaf>>, String> {
        let name = &workflow.pool(owner.0).name;
        self.make(("pool", name), owner, workflow.limits_of(owner.0, None), format!("pool {name}"))
    }

    /// Makes the leaf of a program.
    pub(super) fn make_for_program(
        &mut self,
        owner: Owner,
        actor: ActorId,
        workflow: &Workflow,
    ) -> Result<Option<Arc<Leaf>>, String> {
        let name = workflow.actor(actor).display_name();
        let own = workflow.own_limits(actor).is_some_and(|limits| limits.memory_max.is_some());
        let limits_of = if own { format!("actor {name}") } else { format!("pool {}", workflow.pool(owner.0).name) };
        self.make(("exec", name), owner, workflow.limits_of(owner.0, Some(actor)), limits_of)
    }

    fn make(
        &mut self,
        (kind, name): (&str, &str),
        owner: Owner,
        limits: Limits,
        limits_of: String,
    ) -> Result<Option<Arc<Leaf>>, String> {
        let Some(subtree) = &self.subtree else { return Ok(None) };
        let leaf = match subtree.leaf(kind, name, owner.1.0) {
            Ok(leaf) => Arc::new(leaf),
            Err(error) if limits.is_empty() => {
                self.report_no_leaf(&error);
                return Ok(None);
            }
            Err(error) => return Err(error.to_string()),
        };
        for unapplied in leaf.limit(&limits) {
            if self.reported.insert(unapplied.limit) {
                warn!("{} of {limits_of} is not applied: {}", unapplied.limit, unapplied.why);
            }
        }
        let owned = OwnedLeaf { leaf: Arc::clone(&leaf), limits, limits_of, seen_kills: 0, seen_refusals: 0 };
        self.leaves.insert(owner, owned);
        Ok(Some(leaf))
    }

    /// Makes the leaf of a forkserver. The workers that it forks leave it.
    pub(super) fn make_for_forkserver(&mut self, pool: PoolId, workflow: &Workflow) -> Option<Arc<Leaf>> {
        let subtree = self.subtree.as_ref()?;
        let number = self.next_forkserver;
        self.next_forkserver += 1;
        match subtree.leaf("forkserver", &workflow.pool(pool).name, number) {
            Ok(leaf) => {
                let leaf = Arc::new(leaf);
                self.lingering.push(Arc::clone(&leaf));
                Some(leaf)
            }
            Err(error) => {
                self.report_no_leaf(&error);
                None
            }
        }
    }

    fn report_no_leaf(&mut self, error: &CgroupError) {
        if !std::mem::replace(&mut self.reported_no_leaf, true) {
            warn!("processes are started without a cgroup of their own: {error}");
        }
    }

    /// The leaf of a worker or program.
    pub(super) fn leaf_of(&self, owner: Owner) -> Option<&Leaf> {
        self.leaves.get(&owner).map(|owned| &*owned.leaf)
    }

    /// Kills everything in the leaf of a worker or program at once, however it came there.
    pub(super) fn kill(&self, owner: Owner) {
        if let Some(leaf) = self.leaf_of(owner)
            && let Err(error) = leaf.kill()
        {
            // Linux before 5.14 cannot do it.
            debug!("{error}");
        }
    }

    /// Whether the kernel has killed a process of a worker or program because of its memory since the last call. The count is up to
    /// date when the victim dies (`__oom_kill_process` counts before it signals).
    pub(super) fn out_of_memory(&mut self, owner: Owner) -> Option<OutOfMemory> {
        let owned = self.leaves.get_mut(&owner)?;
        let events = owned.leaf.memory_events()?;
        let kills = events.oom_kill.filter(|kills| *kills > owned.seen_kills)?;
        owned.seen_kills = kills;
        let here = events.oom.is_some_and(|oom| oom > 0);
        let limit = owned.limits.memory_max.filter(|_| here).map(|limit| (limit, owned.limits_of.clone()));
        Some(OutOfMemory { limit, peak: owned.leaf.memory_peak() })
    }

    /// Logs what the limits of a worker or program did to a task that has ended.
    pub(super) fn log_refusals(&mut self, owner: Owner, actor: Option<&str>) {
        let Some(owned) = self.leaves.get_mut(&owner) else { return };
        let Some(most) = owned.limits.pids_max else { return };
        let Some(refusals) = owned.leaf.refused_forks().filter(|count| *count > owned.seen_refusals) else { return };
        let times = refusals - owned.seen_refusals;
        owned.seen_refusals = refusals;
        let limits_of = &owned.limits_of;
        let tries =
            if times == 1 { "one process or thread".to_owned() } else { format!("{times} processes or threads") };
        warn!(actor, "{tries} could not be started: pids_max of {limits_of} is {most}");
    }

    /// A worker or program is gone. Its leaf is removed when the last process in it ends.
    pub(super) fn release(&mut self, owner: Owner) {
        if let Some(owned) = self.leaves.remove(&owner) {
            self.lingering.push(owned.leaf);
            self.remove_empty();
        }
    }

    /// Removes the leaves that have become empty. Call it when a process was reaped: the last process of a leaf is a child of the
    /// supervisor then, which is the subreaper of all.
    pub(super) fn remove_empty(&mut self) {
        self.lingering.retain(|leaf| match leaf.remove() {
            Ok(gone) => !gone,
            Err(error) => {
                debug!("{error}");
                false
            }
        });
    }
}

impl Workflow {
    /// The limits of one process: for a program those of its actor, and those of its pool for the rest.
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

    /// The limits that the workflow file sets anywhere.
    pub fn limit_names(&self) -> BTreeSet<LimitName> {
        let pools = self.pools.iter().map(|pool| &pool.limits);
        let programs = (0..self.actors.len()).filter_map(|actor| self.own_limits(actor.into()));
        pools.chain(programs).flat_map(Limits::names).collect()
    }
}
