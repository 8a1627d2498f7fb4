//! Resource accounting: the meters of workers are read when tasks start and end, and the difference is booked.
//!
//! What a process used between two readings belongs to the task that ran then. If several tasks did, it belongs to their actor if
//! they have the same one, and to their run otherwise. Nothing is divided by guessing. Accounting that is off costs nothing; if it
//! is on, a [`Budget`] bounds its cost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::Owner;
use super::meters::{Budget, Meter, of_rusage};
use crate::accounting::{RunAccount, TaskAccount, Totals, Usage, WorkflowAccount};
use crate::cgroup::Leaf;
use crate::graph::ActorId;
use crate::pool::JobId;
use crate::process::sys::{self, Pid, Reaped};
use crate::supervisor::event::RunId;

/// With this many actors since the last reading, the next one takes place whatever it costs.
const MOST_ACTORS: usize = 64;

/// The accounts of a supervisor.
#[derive(Default)]
pub(super) struct Accounts {
    /// None while accounting is off.
    budget: Option<Budget>,
    metered: FxHashMap<Owner, Metered>,
    runs: BTreeMap<RunId, RunAccount>,
    workflow: WorkflowAccount,
    /// How long the last task of each actor took, of those that have ended since the last call of `take_latest`.
    latest: FxHashMap<ActorId, Duration>,
    /// What tasks have used that have just ended, for the task log.
    ended: Option<FxHashMap<JobId, Usage>>,
}

/// The meter of one process, and the tasks in it.
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
    /// Turns accounting on.
    pub(super) fn keep(&mut self, now: Instant) {
        self.budget.get_or_insert(Budget::new(now));
    }

    pub(super) fn are_kept(&self) -> bool {
        self.budget.is_some()
    }

    /// How long the last task of each actor took, of those that have ended since the last call.
    pub(super) fn take_latest(&mut self) -> FxHashMap<ActorId, Duration> {
        std::mem::take(&mut self.latest)
    }

    /// The account of a run, which is forgotten.
    pub(super) fn take(&mut self, run: RunId) -> Option<RunAccount> {
        self.are_kept().then(|| self.runs.remove(&run).unwrap_or_default())
    }

    /// The account of a run up to the last readings.
    pub(super) fn get(&self, run: RunId) -> Option<&RunAccount> {
        self.runs.get(&run)
    }

    /// What all runs, and what was started for them, have used up to the last readings.
    pub(super) fn workflow(&self) -> &WorkflowAccount {
        &self.workflow
    }

    /// Keeps what a task has used until it is taken.
    pub(super) fn keep_usage_of_tasks(&mut self) {
        self.ended.get_or_insert_default();
    }

    /// What a task has used that has just ended, if that is known.
    pub(super) fn take_usage(&mut self, job: JobId) -> Option<Usage> {
        self.ended.as_mut()?.remove(&job)
    }

    /// Begins to meter a process.
    pub(super) fn open_meter(&mut self, owner: Owner, leaf: Option<&Leaf>, process: Option<Pid>, now: Instant) {
        self.metered.insert(owner, Metered::new(Meter::new(leaf, process, now)));
    }

    /// A process is gone; its leaf is still there.
    pub(super) fn close_meter(&mut self, owner: Owner, now: Instant) {
        self.read(owner, now);
        let Some(metered) = self.metered.get(&owner) else { return };
        for job in metered.running.iter().map(|task| task.job).collect::<Vec<_>>() {
            self.end(owner, job, now);
        }
        self.metered.remove(&owner);
    }

    /// A process was reaped, and its meter is still open. If it has none, its use is nobody's.
    pub(super) fn on_reaped(&mut self, owner: Option<Owner>, reaped: &Reaped) {
        match owner.and_then(|owner| self.metered.get_mut(&owner)) {
            Some(metered) => metered.meter.on_reaped(reaped),
            None => self.workflow.workers.add(&of_rusage(&reaped.usage)),
        }
    }

    /// A run has ended: books what was not booked of it.
    pub(super) fn settle(&mut self, run: RunId, now: Instant) {
        let open = self.metered.iter().filter(|(_, it)| it.actors.iter().any(|(its, _)| *its == run));
        for owner in open.map(|(owner, _)| *owner).collect::<Vec<_>>() {
            self.read(owner, now);
        }
    }

    /// Reads a meter, and books what was used since the last time.
    pub(super) fn read(&mut self, owner: Owner, now: Instant) {
        let (Some(metered), Some(budget)) = (self.metered.get_mut(&owner), &mut self.budget) else { return };
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

    /// Reads a meter at the start or end of a task, if the budget allows it, or if the tasks since the last reading are of too many
    /// actors.
    fn read_if_afforded(&mut self, owner: Owner, task: Duration, now: Instant) {
        let (Some(metered), Some(budget)) = (self.metered.get(&owner), &self.budget) else { return };
        if metered.meter.read_at == now {
            return;
        }
        let passed = now.saturating_duration_since(metered.meter.read_at);
        if budget.allows(task, passed, now) || metered.actors.len() >= MOST_ACTORS {
            self.read(owner, now);
        }
    }

    /// A task is about to be given to a process.
    pub(super) fn start(&mut self, owner: Owner, job: JobId, (run, actor): (RunId, ActorId), now: Instant) {
        let Some(metered) = self.metered.get(&owner) else { return };
        // Between two tasks that follow each other closely a worker does nothing worth a reading of its own.
        let idle = metered.actors.is_empty() && now.saturating_duration_since(metered.meter.read_at).as_millis() < 1;
        if !idle {
            self.read_if_afforded(owner, Duration::ZERO, now);
        }
        if let Some(metered) = self.metered.get_mut(&owner) {
            metered.begin(RunningTask { job, run, actor, since: now, own: None, unread: true });
        }
    }

    /// A task that was about to be given to a process has not begun there.
    pub(super) fn cancel(&mut self, owner: Owner, job: JobId) {
        let Some(metered) = self.metered.get_mut(&owner) else { return };
        if let Some(at) = metered.running.iter().position(|task| task.job == job) {
            metered.running.swap_remove(at);
            metered.tasks = metered.tasks.saturating_sub(1);
            if metered.tasks == 0 {
                metered.actors.clear();
            }
        }
    }

    /// A task has ended in a process.
    pub(super) fn end(&mut self, owner: Owner, job: JobId, now: Instant) {
        let Some(metered) = self.metered.get(&owner) else { return };
        let Some(at) = metered.running.iter().position(|task| task.job == job) else { return };
        let time = now.saturating_duration_since(metered.running[at].since);
        self.read_if_afforded(owner, time, now);
        let Some(metered) = self.metered.get_mut(&owner) else { return };
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

/// What the supervisor itself has used, without its children.
pub fn usage_of_the_supervisor() -> Totals {
    let mut totals = Totals::default();
    if let Ok(own) = sys::own_usage() {
        totals.add(&of_rusage(&own));
    }
    totals
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::graph::PoolId;
    use crate::pool::WorkerId;

    const OWNER: Owner = (PoolId(0), WorkerId(1));
    const RUN: RunId = RunId(1);

    /// Accounts with a meter of a process that uses nothing: what counts is whom readings are booked to.
    fn accounts(now: Instant) -> Accounts {
        let mut accounts = Accounts::default();
        accounts.keep(now);
        accounts.keep_usage_of_tasks();
        accounts.open_meter(OWNER, None, None, now);
        accounts
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn actor(number: usize) -> ActorId {
        ActorId::from(number)
    }

    #[test]
    fn a_task_has_its_time_and_its_own_usage() {
        let now = Instant::now();
        let mut accounts = accounts(now);
        accounts.start(OWNER, JobId(1), (RUN, actor(2)), now);
        accounts.end(OWNER, JobId(1), now + ms(30));
        assert!(accounts.take_usage(JobId(1)).is_some() && accounts.take_usage(JobId(1)).is_none());
        assert_eq!(accounts.take_latest().get(&actor(2)), Some(&ms(30)));
        let account = accounts.take(RUN).unwrap();
        assert!(account.actors.contains_key(&actor(2)) && account.shared.is_none() && !account.incomplete);
    }

    #[test]
    fn tasks_side_by_side_share_what_is_used() {
        let now = Instant::now();
        let mut accounts = accounts(now);
        accounts.start(OWNER, JobId(1), (RUN, actor(2)), now);
        accounts.start(OWNER, JobId(2), (RUN, actor(3)), now + ms(10));
        accounts.end(OWNER, JobId(1), now + ms(40));
        accounts.end(OWNER, JobId(2), now + ms(80));
        assert!(accounts.take_usage(JobId(1)).is_none(), "not divided by guessing");
        let account = accounts.take(RUN).unwrap();
        assert!(account.shared.is_some() && account.actors.values().all(|actor| actor.shared));
    }

    #[test]
    fn runs_side_by_side_in_one_process_are_incomplete() {
        let now = Instant::now();
        let mut accounts = accounts(now);
        accounts.start(OWNER, JobId(1), (RUN, actor(2)), now);
        accounts.start(OWNER, JobId(2), (RunId(2), actor(2)), now + ms(10));
        accounts.end(OWNER, JobId(1), now + ms(40));
        assert!(accounts.take(RUN).unwrap().incomplete && accounts.workflow().mixed.is_some());
    }

    #[test]
    fn a_task_that_has_not_begun_is_in_no_account() {
        let now = Instant::now();
        let mut accounts = accounts(now);
        accounts.start(OWNER, JobId(1), (RUN, actor(2)), now);
        accounts.cancel(OWNER, JobId(1));
        accounts.close_meter(OWNER, now + ms(40));
        assert!(accounts.take_latest().is_empty() && accounts.take(RUN).unwrap().actors.is_empty());
    }

    #[test]
    fn a_process_that_is_gone_ends_its_tasks_and_a_run_without_accounts_has_none() {
        let now = Instant::now();
        let mut accounts = accounts(now);
        accounts.start(OWNER, JobId(1), (RUN, actor(2)), now);
        accounts.close_meter(OWNER, now + ms(40));
        assert_eq!(accounts.take_latest().get(&actor(2)), Some(&ms(40)));
        assert!(Accounts::default().take(RUN).is_none());
    }
}
