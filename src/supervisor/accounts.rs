//! Who has used what: readings of the workers' meters, each time a task starts or ends, and whom the difference belongs to.
//!
//! A stretch of time between two readings of a process belongs to the task that ran in it; where several tasks did, to
//! their actor if they had one in common, to their run otherwise. Nothing is divided by guessing. Off, it costs nothing; on,
//! a [`Budget`] bounds what it costs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::jobs::Job;
use super::meters::{Budget, Meter, of_cgroup, of_rusage};
use super::processes::Child;
use super::{RunId, Supervisor};
use crate::accounting::{RunAccount, TaskAccount, Totals, Usage, WorkflowAccount};
use crate::cgroup::Gauges;
use crate::graph::{ActorId, PoolId};
use crate::pool::{JobId, WorkerId};
use crate::process::sys::{self, Pid, Reaped};

/// More actors than this in one stretch are told apart, whatever the reading costs.
const MOST_ACTORS: usize = 64;

/// The accounts of a supervisor.
#[derive(Default)]
pub(super) struct Accounts {
    /// None while nobody wants accounts.
    budget: Option<Budget>,
    metered: FxHashMap<(PoolId, WorkerId), Metered>,
    runs: BTreeMap<RunId, RunAccount>,
    workflow: WorkflowAccount,
    /// How long the last task of each actor took that has ended since somebody asked.
    latest: FxHashMap<ActorId, Duration>,
    /// What tasks have used that have just ended: while there is a record that takes it.
    ended: Option<FxHashMap<JobId, Usage>>,
}

/// One process, and what runs in it.
struct Metered {
    meter: Meter,
    running: Vec<RunningTask>,
    /// The actors of the tasks that have run since the last reading.
    actors: Vec<(RunId, ActorId)>,
    /// How many tasks those were.
    tasks: u32,
}

struct RunningTask {
    job: JobId,
    run: RunId,
    actor: ActorId,
    since: Instant,
    /// What it has used; none once some of that is not known by itself.
    own: Option<Usage>,
    /// The first stretch of it has not been read yet.
    unread: bool,
}

impl Metered {
    fn new(meter: Meter) -> Self {
        Metered { meter, running: Vec::new(), actors: Vec::new(), tasks: 0 }
    }

    fn begin(&mut self, task: RunningTask) {
        let party = (task.run, task.actor);
        if !self.actors.contains(&party) {
            self.actors.push(party);
        }
        self.tasks += 1;
        self.running.push(task);
    }
}

impl Accounts {
    /// Forgets how long the last tasks took, and says it.
    pub(super) fn take_latest(&mut self) -> FxHashMap<ActorId, Duration> {
        std::mem::take(&mut self.latest)
    }

    /// Reads a meter, and books what was used since the last time.
    fn read(&mut self, key: (PoolId, WorkerId), now: Instant) {
        let (Some(metered), Some(budget)) = (self.metered.get_mut(&key), &mut self.budget) else { return };
        let used = metered.meter.read(now);
        for task in &mut metered.running {
            task.own = match (metered.tasks, task.own) {
                (1, None) if task.unread => Some(used),
                (1, Some(own)) => Some(own.then(&used)),
                _ => None,
            };
            task.unread = false;
        }
        let actors = std::mem::take(&mut metered.actors);
        metered.tasks = 0;
        for task in &metered.running {
            let party = (task.run, task.actor);
            if !metered.actors.contains(&party) {
                metered.actors.push(party);
            }
            metered.tasks += 1;
        }
        budget.spend(now);
        self.book(&actors, &used);
    }

    fn book(&mut self, actors: &[(RunId, ActorId)], used: &Usage) {
        let Some((first, _)) = actors.first() else { return self.workflow.workers.add(used) };
        if actors.iter().any(|(run, _)| run != first) {
            self.workflow.mixed.get_or_insert_default().add(used);
            for (run, actor) in actors {
                let account = self.runs.entry(*run).or_default();
                account.incomplete = true;
                account.actors.entry(*actor).or_default().shared = true;
            }
            return;
        }
        self.workflow.runs.add(used);
        let account = self.runs.entry(*first).or_default();
        account.total.add(used);
        match actors {
            [(_, actor)] => account.actors.entry(*actor).or_default().totals.add(used),
            _ => {
                account.shared.get_or_insert_default().add(used);
                for (_, actor) in actors {
                    account.actors.entry(*actor).or_default().shared = true;
                }
            }
        }
    }

    /// Reads a meter around a task that took so long up to now, if that is afforded, or if too much has come together.
    fn read_if_afforded(&mut self, key: (PoolId, WorkerId), task: Duration, now: Instant) {
        let (Some(metered), Some(budget)) = (self.metered.get(&key), &self.budget) else { return };
        if metered.meter.read_at == now {
            return;
        }
        let passed = now.saturating_duration_since(metered.meter.read_at);
        if budget.allows(task, passed, now) || metered.actors.len() >= MOST_ACTORS {
            self.read(key, now);
        }
    }

    fn start(&mut self, key: (PoolId, WorkerId), task: RunningTask) {
        let now = task.since;
        let Some(metered) = self.metered.get(&key) else { return };
        // Between two tasks that follow each other closely a worker does nothing worth a reading of its own.
        let idle = metered.actors.is_empty() && now.saturating_duration_since(metered.meter.read_at).as_millis() < 1;
        if !idle {
            self.read_if_afforded(key, Duration::ZERO, now);
        }
        if let Some(metered) = self.metered.get_mut(&key) {
            metered.begin(task);
        }
    }

    fn end(&mut self, key: (PoolId, WorkerId), job: JobId, now: Instant) {
        let Some(metered) = self.metered.get(&key) else { return };
        let Some(at) = metered.running.iter().position(|task| task.job == job) else { return };
        let time = now.saturating_duration_since(metered.running[at].since);
        self.read_if_afforded(key, time, now);
        let Some(metered) = self.metered.get_mut(&key) else { return };
        let task = metered.running.swap_remove(at);
        if metered.meter.read_at == now {
            // It was read: what comes now belongs to those that are left.
            metered.actors = metered.running.iter().map(|task| (task.run, task.actor)).collect();
            metered.actors.dedup();
            metered.tasks = metered.running.len() as u32;
        }
        let usage = task.own.filter(|_| metered.meter.read_at == now);
        if let (Some(ended), Some(usage)) = (&mut self.ended, usage) {
            ended.insert(job, usage);
        }
        self.latest.insert(task.actor, time);
        self.runs.entry(task.run).or_default().task_ended(TaskAccount { actor: task.actor, time, usage });
    }
}

impl Supervisor {
    /// From now on, books are kept of what tasks use.
    pub fn keep_accounts(&mut self) {
        self.accounts.budget.get_or_insert(Budget::new(Instant::now()));
    }

    /// The account of a run, complete when the run has ended, if books are kept. It stays until it is taken.
    pub fn take_account(&mut self, run: RunId) -> Option<RunAccount> {
        self.keeps_accounts().then(|| self.accounts.runs.remove(&run).unwrap_or_default())
    }

    /// The account of a run up to the last readings, if books are kept.
    pub fn account(&self, run: RunId) -> Option<&RunAccount> {
        self.accounts.runs.get(&run)
    }

    /// What a run that goes on has used up to now, if books are kept.
    pub fn account_so_far(&mut self, run: RunId) -> Option<&RunAccount> {
        self.settle_account(run);
        self.accounts.runs.get(&run)
    }

    /// How long the last task of each actor took, of those that have had one since this was asked last.
    pub fn take_latest_durations(&mut self) -> FxHashMap<ActorId, Duration> {
        self.accounts.take_latest()
    }

    /// From now on, what a task has used is there to be taken when it has ended.
    pub(super) fn tell_what_tasks_use(&mut self) {
        self.accounts.ended.get_or_insert_default();
    }

    /// What a task has used that has just ended, where that is known by itself.
    pub(super) fn take_usage(&mut self, job: JobId) -> Option<Usage> {
        self.accounts.ended.as_mut()?.remove(&job)
    }

    /// What all runs and what was started for them have used, up to the last readings.
    pub fn workflow_account(&self) -> &WorkflowAccount {
        &self.accounts.workflow
    }

    /// What the whole tree has used since its cgroup was made, the supervisor included: where there is one.
    pub fn usage_of_the_tree(&self) -> Option<Usage> {
        self.subtree().map(|subtree| of_cgroup(&Gauges::open(subtree.folder()).read()))
    }

    fn keeps_accounts(&self) -> bool {
        self.accounts.budget.is_some()
    }

    /// A worker can take tasks. What it took to start it is nobody's.
    pub(super) fn meter_worker(&mut self, pool: PoolId, worker: WorkerId, process: Option<Pid>) {
        if self.keeps_accounts() {
            let now = Instant::now();
            let meter = Meter::new(self.leaf_of(pool, worker).map(AsRef::as_ref), process, now);
            self.accounts.metered.insert((pool, worker), Metered::new(meter));
            self.accounts.read((pool, worker), now);
        }
    }

    /// A program was started.
    pub(super) fn meter_program(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        if self.keeps_accounts() {
            let meter = Meter::new(self.leaf_of(pool, worker).map(AsRef::as_ref), None, Instant::now());
            self.accounts.metered.insert((pool, worker), Metered::new(meter));
            self.account_start(pool, worker, job);
        }
    }

    /// A task is about to be given to a process.
    pub(super) fn account_start(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        if let (true, Some(Job::Task { run, actor, .. })) = (self.keeps_accounts(), self.jobs.get(&job)) {
            let (run, actor, since) = (*run, *actor, Instant::now());
            self.accounts.start((pool, worker), RunningTask { job, run, actor, since, own: None, unread: true });
        }
    }

    /// A task that was about to be given to a process was not begun there.
    pub(super) fn account_nothing(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        let Some(metered) = self.accounts.metered.get_mut(&(pool, worker)) else { return };
        if let Some(at) = metered.running.iter().position(|task| task.job == job) {
            metered.running.swap_remove(at);
            metered.tasks = metered.tasks.saturating_sub(1);
            if metered.tasks == 0 {
                metered.actors.clear();
            }
        }
    }

    /// A task has come back from a process.
    pub(super) fn account_end(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        if self.keeps_accounts() {
            self.accounts.end((pool, worker), job, Instant::now());
        }
    }

    /// A process was reaped; whoever deals with its end comes next.
    pub(super) fn account_reaped(&mut self, child: Option<&Child>, reaped: &Reaped) {
        if !self.keeps_accounts() {
            return;
        }
        match child {
            Some(Child::Worker(pool, worker) | Child::Program(pool, worker)) => {
                match self.accounts.metered.get_mut(&(*pool, *worker)) {
                    Some(metered) => metered.meter.on_reaped(reaped),
                    // It was never ready.
                    None => self.accounts.workflow.workers.add(&of_rusage(&reaped.usage)),
                }
            }
            Some(Child::Forkserver(..)) => self.accounts.workflow.workers.add(&of_rusage(&reaped.usage)),
            // An orphan: where there are leaves, it was counted there.
            _ if self.subtree().is_none() => self.accounts.workflow.workers.add(&of_rusage(&reaped.usage)),
            _ => {}
        }
    }

    /// A worker or program is gone; its leaf is still there.
    pub(super) fn close_meter(&mut self, pool: PoolId, worker: WorkerId) {
        let key = (pool, worker);
        let now = Instant::now();
        self.accounts.read(key, now);
        let Some(metered) = self.accounts.metered.get(&key) else { return };
        for job in metered.running.iter().map(|task| task.job).collect::<Vec<_>>() {
            self.accounts.end(key, job, now);
        }
        self.accounts.metered.remove(&key);
    }

    /// A run has ended: what has not been booked of it is.
    pub(super) fn settle_account(&mut self, run: RunId) {
        let now = Instant::now();
        let open = self.accounts.metered.iter().filter(|(_, it)| it.actors.iter().any(|(its, _)| *its == run));
        for key in open.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.accounts.read(key, now);
        }
    }
}

/// What this process itself has used, without its children.
pub fn usage_of_the_supervisor() -> Totals {
    let mut totals = Totals::default();
    if let Ok(own) = sys::own_usage() {
        totals.add(&of_rusage(&own));
    }
    totals
}
