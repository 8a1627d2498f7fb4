//! Resources of the processes: cgroups with their limits, and what tasks have used.

mod accounts;
mod cgroup_setup;
mod cgroups;
mod meters;
mod out_of_memory;

pub use accounts::usage_of_the_supervisor;
pub use cgroup_setup::{CgroupUse, subtree_for};
pub(super) use out_of_memory::{OutOfMemory, Victim};

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::event::RunId;
use super::processes::{Child, Owner};
use crate::accounting::{RunAccount, Usage, WorkflowAccount};
use crate::cgroup::{Gauges, Leaf, Subtree};
use crate::graph::{ActorId, PoolId, Workflow};
use crate::pool::JobId;
use crate::process::Ended;
use crate::process::sys::{Pid, Reaped};

use accounts::Accounts;
use cgroups::Cgroups;
use meters::of_cgroup;

/// Cgroups and accounts.
#[derive(Default)]
pub struct Resources {
    cgroups: Cgroups,
    accounts: Accounts,
}

/// What the caller of the supervisor may ask.
impl Resources {
    /// Turns accounting on.
    pub fn keep_accounts(&mut self) {
        self.accounts.keep(Instant::now());
    }

    /// The account of a run, if accounts are kept. It is complete when the run has ended, and stays until it is taken.
    pub fn take_account(&mut self, run: RunId) -> Option<RunAccount> {
        self.accounts.take(run)
    }

    /// The account of a run up to the last readings, if accounts are kept.
    pub fn account(&self, run: RunId) -> Option<&RunAccount> {
        self.accounts.get(run)
    }

    /// What a run has used up to now, if accounts are kept.
    pub fn account_so_far(&mut self, run: RunId) -> Option<&RunAccount> {
        self.accounts.settle(run, Instant::now());
        self.accounts.get(run)
    }

    /// How long the last task of each actor took, of those that have ended since the last call.
    pub fn take_latest_durations(&mut self) -> FxHashMap<ActorId, Duration> {
        self.accounts.take_latest()
    }

    /// What all runs, and what was started for them, have used up to the last readings.
    pub fn workflow_account(&self) -> &WorkflowAccount {
        self.accounts.workflow()
    }

    /// What the whole process tree has used since its cgroup was made, the supervisor included; none without a cgroup.
    pub fn usage_of_the_tree(&self) -> Option<Usage> {
        self.subtree().map(|subtree| of_cgroup(&Gauges::open(subtree.folder()).read()))
    }

    /// The subtree in whose leaves processes are started.
    pub fn subtree(&self) -> Option<&Subtree> {
        self.cgroups.subtree()
    }
}

impl Resources {
    /// Puts what is started from now on into leaves of this subtree.
    pub(super) fn use_subtree(&mut self, subtree: Subtree, workflow: &Workflow) {
        self.cgroups.use_subtree(subtree, workflow);
    }

    /// Makes the cgroup of a worker. It is an error if the workflow file sets limits that would not hold.
    pub(super) fn cgroup_for_worker(&mut self, owner: Owner, workflow: &Workflow) -> Result<Option<Arc<Leaf>>, String> {
        self.cgroups.make_for_worker(owner, workflow)
    }

    /// Makes the cgroup of a program.
    pub(super) fn cgroup_for_program(
        &mut self,
        owner: Owner,
        actor: ActorId,
        workflow: &Workflow,
    ) -> Result<Option<Arc<Leaf>>, String> {
        self.cgroups.make_for_program(owner, actor, workflow)
    }

    /// Makes the cgroup of a forkserver.
    pub(super) fn cgroup_for_forkserver(&mut self, pool: PoolId, workflow: &Workflow) -> Option<Arc<Leaf>> {
        self.cgroups.make_for_forkserver(pool, workflow)
    }

    /// Kills everything in the cgroup of a worker or program at once.
    pub(super) fn kill(&self, owner: Owner) {
        self.cgroups.kill(owner);
    }

    /// Whether the kernel has killed a process of a worker or program that ended so for its memory.
    pub(super) fn out_of_memory(&mut self, owner: Owner, ended: Option<Ended>) -> Option<OutOfMemory> {
        if out_of_memory::is_possible(ended) { self.cgroups.out_of_memory(owner) } else { None }
    }

    /// Logs what the limits of a worker did to a task that has ended.
    pub(super) fn log_refusals(&mut self, owner: Owner, actor: Option<&str>) {
        self.cgroups.log_refusals(owner, actor);
    }

    /// A worker or program could not be started.
    pub(super) fn on_not_started(&mut self, owner: Owner) {
        self.cgroups.release(owner);
    }

    /// A worker or program is gone, while it executed a task of this actor.
    pub(super) fn on_gone(&mut self, owner: Owner, actor: Option<&str>) {
        self.cgroups.log_refusals(owner, actor);
        self.accounts.close_meter(owner, Instant::now());
        self.cgroups.release(owner);
    }

    /// A worker is ready. What was used to start it is nobody's.
    pub(super) fn on_worker_ready(&mut self, owner: Owner, process: Option<Pid>) {
        if self.accounts.are_kept() {
            let now = Instant::now();
            self.accounts.open_meter(owner, self.cgroups.leaf_of(owner), process, now);
            self.accounts.read(owner, now);
        }
    }

    /// A program was started.
    pub(super) fn on_program_started(&mut self, owner: Owner, job: JobId, task: (RunId, ActorId)) {
        if self.accounts.are_kept() {
            self.accounts.open_meter(owner, self.cgroups.leaf_of(owner), None, Instant::now());
            self.on_task_started(owner, job, task);
        }
    }

    /// A task is about to be given to a process.
    pub(super) fn on_task_started(&mut self, owner: Owner, job: JobId, task: (RunId, ActorId)) {
        if self.accounts.are_kept() {
            self.accounts.start(owner, job, task, Instant::now());
        }
    }

    /// A task that was about to be given to a process has not begun there.
    pub(super) fn on_task_not_begun(&mut self, owner: Owner, job: JobId) {
        self.accounts.cancel(owner, job);
    }

    /// A task has ended in a process.
    pub(super) fn on_task_ended(&mut self, owner: Owner, job: JobId) {
        if self.accounts.are_kept() {
            self.accounts.end(owner, job, Instant::now());
        }
    }

    /// Keeps what a task has used until it is taken, for the task log.
    pub(super) fn keep_usage_of_tasks(&mut self) {
        self.accounts.keep_usage_of_tasks();
    }

    /// What a task has used that has just ended, if that is known.
    pub(super) fn take_usage(&mut self, job: JobId) -> Option<Usage> {
        self.accounts.take_usage(job)
    }

    /// A process was reaped: a child, or an orphan. Call it before anything else follows from that.
    pub(super) fn on_reaped(&mut self, child: Option<Child>, reaped: &Reaped) {
        if !self.accounts.are_kept() {
            return;
        }
        match child {
            Some(Child::Worker(pool, worker) | Child::Program(pool, worker)) => {
                self.accounts.on_reaped(Some((pool, worker)), reaped);
            }
            Some(Child::Forkserver(..)) => self.accounts.on_reaped(None, reaped),
            // An orphan was counted in its leaf, if there are leaves.
            _ if self.subtree().is_none() => self.accounts.on_reaped(None, reaped),
            _ => {}
        }
    }

    /// All processes were reaped that had ended.
    pub(super) fn remove_empty_cgroups(&mut self) {
        self.cgroups.remove_empty();
    }

    /// A run has ended: its account is complete.
    pub(super) fn on_run_ended(&mut self, run: RunId) {
        self.accounts.settle(run, Instant::now());
    }
}
