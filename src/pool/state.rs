//! The state of one pool and what it decides.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::escalation::{Due, Escalation};
use super::prefill::{Answer, Prefill};
use super::slot::Slot;
use super::{Effect, EscalationStep, JobId, Needs, Orphan, WorkerId};
use crate::graph::{Context, PoolSpec, Workers};

/// Number of workers in a row that may die before they are ready, with none alive, until jobs are refused.
const FAILED_STARTS: u32 = 2;
/// The first failed start of a worker is repeated at once: its reason may not concern the next one. After further failures there is a
/// pause, which doubles each time up to the longest: what is missing (an interpreter, a free process id) seldom comes back soon.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Forking takes about a millisecond: workers are added one at a time, while the present ones do not keep up.
const STARTS_AT_ONCE: usize = 1;
/// A fresh interpreter takes a hundred times longer: starts overlap.
const SLOW_STARTS_AT_ONCE: usize = 16;

/// A worker that is not ready after this time is reported.
const LATE: Duration = Duration::from_secs(10);

/// One pool: its workers and the jobs that wait for them.
#[derive(Debug)]
pub struct Pool {
    pub(super) workers: Workers,
    pub(super) max_tasks: Option<u32>,
    idle_timeout: Duration,
    grace: Duration,
    start_timeout: Option<Duration>,
    starts_at_once: usize,
    pub(super) queue: VecDeque<(JobId, Needs)>,
    pub(super) slots: BTreeMap<WorkerId, Slot>,
    /// Workers without a job. The one used last is used next, so that surplus workers stay idle.
    pub(super) idle: Vec<WorkerId>,
    /// Slots whose jobs are being terminated.
    pub(super) escalating: BTreeSet<WorkerId>,
    starting: BTreeSet<WorkerId>,
    /// Number of jobs that are being executed.
    pub(super) running: usize,
    programs: usize,
    /// Number of failed starts in a row.
    failed_starts: u32,
    /// No worker is started before this time.
    start_at: Option<Instant>,
    /// Number of programs in a row that could not be started because of a shortage, and when the next one may be started.
    failed_launches: u32,
    launch_at: Option<Instant>,
    next_worker: u32,
    closing: bool,
    pub(super) prefill: Prefill,
}

impl Pool {
    /// A pool without workers. Without `prefill` a worker gets a job only when it is idle.
    pub fn new(spec: &PoolSpec, prefill: bool) -> Self {
        let slow = spec.context == Context::Spawn || !spec.launcher.is_empty();
        Pool {
            workers: spec.workers,
            max_tasks: spec.max_tasks_per_worker,
            idle_timeout: spec.idle_timeout,
            grace: spec.grace,
            start_timeout: spec.start_timeout,
            starts_at_once: if slow { SLOW_STARTS_AT_ONCE } else { STARTS_AT_ONCE },
            queue: VecDeque::new(),
            slots: BTreeMap::new(),
            idle: Vec::new(),
            escalating: BTreeSet::new(),
            starting: BTreeSet::new(),
            running: 0,
            programs: 0,
            failed_starts: 0,
            start_at: None,
            failed_launches: 0,
            launch_at: None,
            next_worker: 0,
            closing: false,
            prefill: Prefill::new(prefill && spec.can_prefill()),
        }
    }

    /// A job arrives.
    pub fn submit(&mut self, job: JobId, needs: Needs, effects: &mut Vec<Effect>) {
        self.queue.push_back((job, needs));
        self.assign(effects);
    }

    /// A job was given to a worker that has not begun it: it is the next one to be given out.
    pub fn submit_first(&mut self, job: JobId, needs: Needs, effects: &mut Vec<Effect>) {
        self.queue.push_front((job, needs));
        self.assign(effects);
    }

    /// Removes a job from the queue. False if it was sent or launched already.
    pub fn withdraw(&mut self, job: JobId) -> bool {
        let at = self.queue.iter().position(|(queued, _)| *queued == job);
        at.map(|at| self.queue.remove(at)).is_some()
    }

    /// A worker that was asked for is being started.
    pub fn on_worker_starting(&mut self, worker: WorkerId, now: Instant) {
        if let Some(Slot::Starting { late, overdue }) = self.slots.get_mut(&worker) {
            *late = Some(now + LATE);
            *overdue = self.start_timeout.map(|timeout| now + timeout);
        }
    }

    /// A worker can take jobs.
    pub fn on_worker_ready(&mut self, worker: WorkerId, now: Instant, effects: &mut Vec<Effect>) {
        let Some(slot @ Slot::Starting { .. }) = self.slots.get_mut(&worker) else { return };
        *slot = Slot::Idle { since: now, tasks: 0 };
        self.starting.remove(&worker);
        self.failed_starts = 0;
        self.start_at = None;
        self.idle.push(worker);
        self.assign(effects);
    }

    /// A worker has answered, with a result or an error. Its first prefilled job becomes its current one.
    pub fn on_job_ended(&mut self, worker: WorkerId, answer: Answer, now: Instant, effects: &mut Vec<Effect>) {
        let Some(slot @ Slot::Busy { .. }) = self.slots.get_mut(&worker) else { return };
        let Slot::Busy { job, tasks, escalation, prefilled } = slot else { return };
        self.escalating.remove(&worker);
        self.prefill.on_answer(answer);
        if let Some(next) = self.prefill.next(prefilled, now) {
            (*job, *tasks, *escalation) = (next, *tasks + 1, None);
            self.assign(effects);
            return self.prefill(worker, now, effects);
        }
        let tasks = *tasks;
        self.running -= 1;
        if self.max_tasks.is_some_and(|most| tasks >= most) {
            *slot = Slot::Retiring;
            effects.push(Effect::Retire(worker));
        } else {
            *slot = Slot::Idle { since: now, tasks };
            self.idle.push(worker);
        }
        self.assign(effects);
        self.prefill(worker, now, effects);
    }

    /// A worker or program is gone, for whatever reason. Returns the job that it was executing.
    pub fn on_worker_ended(&mut self, worker: WorkerId, now: Instant, effects: &mut Vec<Effect>) -> Option<Orphan> {
        self.escalating.remove(&worker);
        let orphan = match self.slots.remove(&worker)? {
            Slot::Starting { .. } => {
                self.starting.remove(&worker);
                self.start_failed(now);
                if self.failed_starts >= FAILED_STARTS && self.has_no_workers() {
                    self.refuse_all(now, effects);
                }
                None
            }
            Slot::Idle { .. } => {
                self.idle.retain(|idle| *idle != worker);
                None
            }
            Slot::Busy { job, escalation, prefilled, .. } => {
                self.running -= 1;
                // It has not answered the current job, so it has begun none of these.
                self.queue_again(prefilled.jobs);
                Some(Orphan { job, interrupted: escalation.is_some() })
            }
            Slot::Program { job, escalation } => {
                self.running -= 1;
                self.programs -= 1;
                // Its resources are free again.
                (self.failed_launches, self.launch_at) = (0, None);
                Some(Orphan { job, interrupted: escalation.is_some() })
            }
            Slot::Retiring => None,
        };
        if self.failed_starts > 0 && self.has_no_workers() {
            // The end of the last worker may have freed what the next one needs: jobs are not refused before another try.
            self.failed_starts = self.failed_starts.min(FAILED_STARTS - 1);
            self.start_at = self.start_at.map(|at| at.min(now + FIRST_PAUSE));
        }
        self.assign(effects);
        orphan
    }

    /// A program could not be started because of a shortage (open files, processes). If others run in this pool, whose ends free
    /// resources, its job waits and true is returned. Otherwise the caller ends the job.
    pub fn on_program_not_started(&mut self, worker: WorkerId, now: Instant, effects: &mut Vec<Effect>) -> bool {
        let alone = (self.running == 1 && self.starting.is_empty()) || self.closing;
        let Some(Slot::Program { job, .. }) = self.slots.get(&worker) else { return false };
        let job = *job;
        if alone {
            self.on_worker_ended(worker, now, effects);
            return false;
        }
        self.escalating.remove(&worker);
        self.slots.remove(&worker);
        self.running -= 1;
        self.programs -= 1;
        // After a pause even the first time: the reason concerns the next one as well.
        self.launch_at = Some(now + pause(self.failed_launches));
        self.failed_launches = self.failed_launches.saturating_add(1);
        self.submit_first(job, Needs::Program, effects);
        true
    }

    /// Number of programs in a row that could not be started because of a shortage.
    pub fn failed_launches(&self) -> u32 {
        self.failed_launches
    }

    /// Number of failed starts of workers in a row.
    pub fn failed_starts(&self) -> u32 {
        self.failed_starts
    }

    fn start_failed(&mut self, now: Instant) {
        self.start_at = self.failed_starts.checked_sub(1).map(|times| now + pause(times));
        self.failed_starts = self.failed_starts.saturating_add(1);
    }

    fn has_no_workers(&self) -> bool {
        self.slots.len() == self.programs
    }

    /// Interrupts a job that is being executed, or goes to a stronger step at once.
    pub fn escalate(&mut self, job: JobId, step: EscalationStep, now: Instant, effects: &mut Vec<Effect>) {
        let grace = self.grace;
        let found = self.slots.iter_mut().find_map(|(worker, slot)| match slot {
            Slot::Busy { job: its, escalation, .. } | Slot::Program { job: its, escalation } if *its == job => {
                Some((*worker, escalation))
            }
            _ => None,
        });
        let Some((worker, escalation)) = found else { return };
        let new = match escalation {
            Some(escalation) => escalation.raise(step, now, grace),
            None => {
                *escalation = Some(Escalation::new(step, now, grace));
                true
            }
        };
        if new {
            self.escalating.insert(worker);
            effects.push(Effect::Escalate(worker, step));
        }
    }

    /// Whether the job of a worker or program is being terminated.
    pub fn is_escalating(&self, worker: WorkerId) -> bool {
        self.escalating.contains(&worker)
    }

    /// Ends idle workers now and busy ones after their jobs.
    pub fn close(&mut self, effects: &mut Vec<Effect>) {
        self.closing = true;
        for worker in std::mem::take(&mut self.idle) {
            self.slots.insert(worker, Slot::Retiring);
            effects.push(Effect::Retire(worker));
        }
    }

    /// Time has passed.
    pub fn on_time(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let start = self.start_at.take_if(|at| *at <= now).is_some();
        let launch = self.launch_at.take_if(|at| *at <= now).is_some();
        if start || launch {
            self.assign(effects);
        }
        for worker in &self.escalating {
            let Some(Slot::Busy { escalation, .. } | Slot::Program { escalation, .. }) = self.slots.get_mut(worker)
            else {
                continue;
            };
            match escalation.as_mut().and_then(|escalation| escalation.advance(now, self.grace)) {
                Some(Due::Step(step)) => effects.push(Effect::Escalate(*worker, step)),
                Some(Due::Stuck) => effects.push(Effect::Stuck(*worker)),
                None => {}
            }
        }
        self.retract_from_laggards(now, effects);
        for worker in &self.starting {
            let Some(Slot::Starting { late, overdue }) = self.slots.get_mut(worker) else { continue };
            if overdue.take_if(|at| *at <= now).is_some() {
                *late = None;
                effects.push(Effect::Overdue(*worker));
            } else if late.take_if(|at| *at <= now).is_some() {
                effects.push(Effect::Late(*worker));
            }
        }
        if matches!(self.workers, Workers::Scaling { .. }) {
            let (slots, idle_timeout) = (&mut self.slots, self.idle_timeout);
            self.idle.retain(|worker| {
                let Some(slot @ Slot::Idle { .. }) = slots.get_mut(worker) else { return false };
                let old = matches!(slot, Slot::Idle { since, .. } if *since + idle_timeout <= now);
                if old {
                    *slot = Slot::Retiring;
                    effects.push(Effect::Retire(*worker));
                }
                !old
            });
        }
    }

    /// When [`Pool::on_time`] wants to be called.
    pub fn next_time(&self) -> Option<Instant> {
        let escalation = self.escalating.iter().filter_map(|worker| match self.slots.get(worker) {
            Some(Slot::Busy { escalation, .. } | Slot::Program { escalation, .. }) => escalation.as_ref()?.next(),
            _ => None,
        });
        // The worker that has been idle longest is the first in the list.
        let retirement = self.idle.first().and_then(|worker| match (self.workers, self.slots.get(worker)) {
            (Workers::Scaling { .. }, Some(Slot::Idle { since, .. })) => Some(*since + self.idle_timeout),
            _ => None,
        });
        let start = self.starting.iter().flat_map(|worker| match self.slots.get(worker) {
            Some(Slot::Starting { late, overdue }) => [*late, *overdue],
            _ => [None, None],
        });
        let again = [self.start_at, self.launch_at].into_iter().flatten().filter(|_| !self.queue.is_empty());
        escalation.chain(retirement).chain(start.flatten()).chain(self.next_laggard()).chain(again).min()
    }

    /// Gives queued jobs to slots, and asks for more workers if there are too few.
    pub(super) fn assign(&mut self, effects: &mut Vec<Effect>) {
        let most = self.workers.most() as usize;
        while self.running < most {
            // Programs that wait after a shortage do not delay jobs of workers.
            let next = match self.launch_at {
                None => 0,
                Some(_) => match self.queue.iter().position(|(_, needs)| *needs != Needs::Program) {
                    Some(next) => next,
                    None => break,
                },
            };
            match self.queue.get(next) {
                Some(&(job, needs @ (Needs::Worker | Needs::IdleWorker))) => {
                    let Some(worker) = self.idle.pop() else { break };
                    let tasks = match self.slots.get(&worker) {
                        Some(Slot::Idle { tasks, .. }) => tasks + 1,
                        _ => continue,
                    };
                    let prefilled = self.prefill.prefilled(needs, self.queue.len(), most);
                    self.slots.insert(worker, Slot::Busy { job, tasks, escalation: None, prefilled });
                    effects.push(Effect::Send(worker, job));
                }
                Some(&(job, Needs::Program)) => {
                    let worker = self.new_slot(Slot::Program { job, escalation: None });
                    self.programs += 1;
                    effects.push(Effect::Launch(worker, job));
                }
                None => break,
            }
            self.queue.remove(next);
            self.running += 1;
        }
        self.spawn(most, effects);
        self.retract_for_idle_workers(effects);
        if self.closing && self.queue.is_empty() {
            self.close(effects);
        }
    }

    fn spawn(&mut self, most: usize, effects: &mut Vec<Effect>) {
        if self.start_at.is_some() {
            return;
        }
        let wanted = self.queue.iter().take(SLOW_STARTS_AT_ONCE).filter(|(_, needs)| *needs != Needs::Program).count();
        let room = most.saturating_sub(self.slots.len() - self.programs);
        let wanted = wanted.min(self.starts_at_once).saturating_sub(self.starting.len());
        for _ in 0..wanted.min(room) {
            let worker = self.new_slot(Slot::Starting { late: None, overdue: None });
            self.starting.insert(worker);
            effects.push(Effect::Spawn(worker));
        }
    }

    /// Refuses all queued jobs. Jobs that come later get one try, after a pause.
    fn refuse_all(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.failed_starts = FAILED_STARTS - 1;
        self.start_at = Some(now + FIRST_PAUSE);
        self.queue.retain(|(job, needs)| {
            let refused = *needs != Needs::Program;
            if refused {
                effects.push(Effect::Refuse(*job));
            }
            !refused
        });
    }

    fn new_slot(&mut self, slot: Slot) -> WorkerId {
        let worker = WorkerId(self.next_worker);
        self.next_worker += 1;
        self.slots.insert(worker, slot);
        worker
    }

    /// Whether workers of this pool can be prefilled.
    pub fn can_prefill(&self) -> bool {
        self.prefill.is_enabled()
    }

    /// The number of workers, in any state, and of programs.
    pub fn size(&self) -> (usize, usize) {
        (self.slots.len() - self.programs, self.programs)
    }

    /// Whether nothing is queued, running or starting.
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.running == 0 && self.starting.is_empty()
    }
}

/// The pause after this number of failures before the last one.
fn pause(times: u32) -> Duration {
    (FIRST_PAUSE * 2_u32.saturating_pow(times.min(16))).min(LONGEST_PAUSE)
}
