//! The state of one pool and what it decides.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::ahead::{Ahead, Answer, Line};
use super::escalation::{Due, Escalation};
use super::{Effect, JobId, Needs, Orphan, Step, WorkerId};
use crate::graph::{Context, PoolSpec, Workers};

/// So many workers in a row may die before they are ready, with none alive, until jobs are refused.
const FAILED_STARTS: u32 = 2;
/// A start that failed is tried again at once, as its reason may have been its own. After the second failure in a row there is a pause,
/// which doubles with each further one up to the longest: what is missing (an interpreter, a place in a table of the kernel) is
/// seldom back in a moment.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Forking takes about a millisecond: one at a time finds out whether the workers there are keep up.
const STARTS_AT_ONCE: usize = 1;
/// A fresh interpreter takes a hundred times longer: its starts overlap.
const SLOW_STARTS_AT_ONCE: usize = 16;

/// A worker that is not ready after so long is worth a word.
const LATE: Duration = Duration::from_secs(10);

/// One pool: its workers and what waits for them.
#[derive(Debug)]
pub struct Pool {
    pub(super) workers: Workers,
    pub(super) max_tasks: Option<u32>,
    idle_timeout: Duration,
    grace: Duration,
    start_timeout: Option<Duration>,
    starts_at_once: usize,
    pub(super) queue: VecDeque<(JobId, Needs)>,
    pub(super) places: BTreeMap<WorkerId, Place>,
    /// Workers that could take a job now; the one used last is used next, so that surplus ones age.
    pub(super) idle: Vec<WorkerId>,
    /// Places whose jobs are being pressed.
    pub(super) pressed: BTreeSet<WorkerId>,
    starting: BTreeSet<WorkerId>,
    /// Jobs that are being executed.
    pub(super) running: usize,
    programs: usize,
    /// How many starts in a row have failed.
    failed_starts: u32,
    /// Nothing is started before.
    start_at: Option<Instant>,
    /// How many programs in a row could not be started for want of something, and when the next one may be.
    failed_launches: u32,
    launch_at: Option<Instant>,
    next_worker: u32,
    closing: bool,
    pub(super) ahead: Ahead,
}

/// A worker or a program.
#[derive(Debug)]
pub(super) enum Place {
    /// `late` and `overdue`: when that will be said of it; never (again) where there is no time.
    Starting {
        late: Option<Instant>,
        overdue: Option<Instant>,
    },
    Idle {
        since: Instant,
        tasks: u32,
    },
    Busy {
        job: JobId,
        tasks: u32,
        escalation: Option<Escalation>,
        /// What it has been sent ahead, and what of it is known.
        line: Line,
    },
    Program {
        job: JobId,
        escalation: Option<Escalation>,
    },
    Retiring,
}

impl Pool {
    /// A pool without workers.
    pub fn new(spec: &PoolSpec) -> Self {
        let slow = spec.context == Context::Spawn || !spec.launcher.is_empty();
        Pool {
            workers: spec.workers,
            max_tasks: spec.max_tasks_per_worker,
            idle_timeout: spec.idle_timeout,
            grace: spec.grace,
            start_timeout: spec.start_timeout,
            starts_at_once: if slow { SLOW_STARTS_AT_ONCE } else { STARTS_AT_ONCE },
            queue: VecDeque::new(),
            places: BTreeMap::new(),
            idle: Vec::new(),
            pressed: BTreeSet::new(),
            starting: BTreeSet::new(),
            running: 0,
            programs: 0,
            failed_starts: 0,
            start_at: None,
            failed_launches: 0,
            launch_at: None,
            next_worker: 0,
            closing: false,
            ahead: Ahead::new(spec.can_send_ahead()),
        }
    }

    /// A job arrives.
    pub fn submit(&mut self, job: JobId, needs: Needs, effects: &mut Vec<Effect>) {
        self.queue.push_back((job, needs));
        self.assign(effects);
    }

    /// A job that was given out, and not begun, is the next one.
    pub fn submit_first(&mut self, job: JobId, needs: Needs, effects: &mut Vec<Effect>) {
        self.queue.push_front((job, needs));
        self.assign(effects);
    }

    /// Takes back a job that has not been sent or launched; false if it has.
    pub fn withdraw(&mut self, job: JobId) -> bool {
        let place = self.queue.iter().position(|(queued, _)| *queued == job);
        place.map(|place| self.queue.remove(place)).is_some()
    }

    /// A worker that was asked for is being started.
    pub fn on_worker_starting(&mut self, worker: WorkerId, now: Instant) {
        if let Some(Place::Starting { late, overdue }) = self.places.get_mut(&worker) {
            *late = Some(now + LATE);
            *overdue = self.start_timeout.map(|timeout| now + timeout);
        }
    }

    /// A worker can take jobs.
    pub fn on_worker_ready(&mut self, worker: WorkerId, now: Instant, effects: &mut Vec<Effect>) {
        let Some(place @ Place::Starting { .. }) = self.places.get_mut(&worker) else { return };
        *place = Place::Idle { since: now, tasks: 0 };
        self.starting.remove(&worker);
        self.failed_starts = 0;
        self.start_at = None;
        self.idle.push(worker);
        self.assign(effects);
    }

    /// A worker has answered, well or badly. What it was sent ahead first is its job from now on.
    pub fn on_job_ended(&mut self, worker: WorkerId, answer: Answer, now: Instant, effects: &mut Vec<Effect>) {
        let Some(place @ Place::Busy { .. }) = self.places.get_mut(&worker) else { return };
        let Place::Busy { job, tasks, escalation, line } = place else { return };
        self.pressed.remove(&worker);
        self.ahead.on_answer(answer);
        if let Some(next) = self.ahead.step(line, now) {
            (*job, *tasks, *escalation) = (next, *tasks + 1, None);
            self.assign(effects);
            return self.send_ahead(worker, now, effects);
        }
        let tasks = *tasks;
        self.running -= 1;
        if self.max_tasks.is_some_and(|most| tasks >= most) {
            *place = Place::Retiring;
            effects.push(Effect::Retire(worker));
        } else {
            *place = Place::Idle { since: now, tasks };
            self.idle.push(worker);
        }
        self.assign(effects);
        self.send_ahead(worker, now, effects);
    }

    /// A worker or program is gone, for whatever reason. Returns the job that it was executing.
    pub fn on_worker_ended(&mut self, worker: WorkerId, now: Instant, effects: &mut Vec<Effect>) -> Option<Orphan> {
        self.pressed.remove(&worker);
        let orphan = match self.places.remove(&worker)? {
            Place::Starting { .. } => {
                self.starting.remove(&worker);
                self.start_failed(now);
                if self.failed_starts >= FAILED_STARTS && self.has_no_workers() {
                    self.refuse_all(now, effects);
                }
                None
            }
            Place::Idle { .. } => {
                self.idle.retain(|idle| *idle != worker);
                None
            }
            Place::Busy { job, escalation, line, .. } => {
                self.running -= 1;
                // It had not answered the one before: none of these has begun.
                self.queue_again(line.jobs);
                Some(Orphan { job, interrupted: escalation.is_some() })
            }
            Place::Program { job, escalation } => {
                self.running -= 1;
                self.programs -= 1;
                // It has given back what it had.
                (self.failed_launches, self.launch_at) = (0, None);
                Some(Orphan { job, interrupted: escalation.is_some() })
            }
            Place::Retiring => None,
        };
        if self.failed_starts > 0 && self.has_no_workers() {
            // What the last one had may be what another one needs: jobs are not refused before that was tried.
            self.failed_starts = self.failed_starts.min(FAILED_STARTS - 1);
            self.start_at = self.start_at.map(|at| at.min(now + FIRST_PAUSE));
        }
        self.assign(effects);
        orphan
    }

    /// A program could not be started because the system is short of something (open files, processes). Where others run in this pool,
    /// whose ends give something back, its job waits, and true is returned; otherwise it is for the caller to end it.
    pub fn on_program_not_started(&mut self, worker: WorkerId, now: Instant, effects: &mut Vec<Effect>) -> bool {
        let alone = (self.running == 1 && self.starting.is_empty()) || self.closing;
        let Some(Place::Program { job, .. }) = self.places.get(&worker) else { return false };
        let job = *job;
        if alone {
            self.on_worker_ended(worker, now, effects);
            return false;
        }
        self.pressed.remove(&worker);
        self.places.remove(&worker);
        self.running -= 1;
        self.programs -= 1;
        // Not at once, also the first time: the reason is none of its own.
        self.launch_at = Some(now + pause(self.failed_launches));
        self.failed_launches = self.failed_launches.saturating_add(1);
        self.submit_first(job, Needs::Program, effects);
        true
    }

    /// How many programs in a row could not be started for want of something.
    pub fn failed_launches(&self) -> u32 {
        self.failed_launches
    }

    /// How many starts of workers in a row have failed.
    pub fn failed_starts(&self) -> u32 {
        self.failed_starts
    }

    fn start_failed(&mut self, now: Instant) {
        self.start_at = self.failed_starts.checked_sub(1).map(|times| now + pause(times));
        self.failed_starts = self.failed_starts.saturating_add(1);
    }

    fn has_no_workers(&self) -> bool {
        self.places.len() == self.programs
    }

    /// Interrupts a job that is being executed, or presses on at once with a stronger step.
    pub fn press(&mut self, job: JobId, step: Step, now: Instant, effects: &mut Vec<Effect>) {
        let grace = self.grace;
        let found = self.places.iter_mut().find_map(|(worker, place)| match place {
            Place::Busy { job: its, escalation, .. } | Place::Program { job: its, escalation } if *its == job => {
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
            self.pressed.insert(worker);
            effects.push(Effect::Press(worker, step));
        }
    }

    /// Whether what a worker or program does is being pressed.
    pub fn is_pressed(&self, worker: WorkerId) -> bool {
        self.pressed.contains(&worker)
    }

    /// No more workers are wanted: idle ones go, busy ones go after their job.
    pub fn close(&mut self, effects: &mut Vec<Effect>) {
        self.closing = true;
        for worker in std::mem::take(&mut self.idle) {
            self.places.insert(worker, Place::Retiring);
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
        for worker in &self.pressed {
            let Some(Place::Busy { escalation, .. } | Place::Program { escalation, .. }) = self.places.get_mut(worker)
            else {
                continue;
            };
            match escalation.as_mut().and_then(|escalation| escalation.advance(now, self.grace)) {
                Some(Due::Step(step)) => effects.push(Effect::Press(*worker, step)),
                Some(Due::Stuck) => effects.push(Effect::Stuck(*worker)),
                None => {}
            }
        }
        self.take_back_from_laggards(now, effects);
        for worker in &self.starting {
            let Some(Place::Starting { late, overdue }) = self.places.get_mut(worker) else { continue };
            if overdue.take_if(|at| *at <= now).is_some() {
                *late = None;
                effects.push(Effect::Overdue(*worker));
            } else if late.take_if(|at| *at <= now).is_some() {
                effects.push(Effect::Late(*worker));
            }
        }
        if matches!(self.workers, Workers::Scaling { .. }) {
            let (places, idle_timeout) = (&mut self.places, self.idle_timeout);
            self.idle.retain(|worker| {
                let Some(place @ Place::Idle { .. }) = places.get_mut(worker) else { return false };
                let old = matches!(place, Place::Idle { since, .. } if *since + idle_timeout <= now);
                if old {
                    *place = Place::Retiring;
                    effects.push(Effect::Retire(*worker));
                }
                !old
            });
        }
    }

    /// When [`Pool::on_time`] wants to be called.
    pub fn next_time(&self) -> Option<Instant> {
        let escalation = self.pressed.iter().filter_map(|worker| match self.places.get(worker) {
            Some(Place::Busy { escalation, .. } | Place::Program { escalation, .. }) => escalation.as_ref()?.next(),
            _ => None,
        });
        // The worker that has been idle longest is the first in the list.
        let retirement = self.idle.first().and_then(|worker| match (self.workers, self.places.get(worker)) {
            (Workers::Scaling { .. }, Some(Place::Idle { since, .. })) => Some(*since + self.idle_timeout),
            _ => None,
        });
        let start = self.starting.iter().flat_map(|worker| match self.places.get(worker) {
            Some(Place::Starting { late, overdue }) => [*late, *overdue],
            _ => [None, None],
        });
        let again = [self.start_at, self.launch_at].into_iter().flatten().filter(|_| !self.queue.is_empty());
        escalation.chain(retirement).chain(start.flatten()).chain(self.next_laggard()).chain(again).min()
    }

    /// Gives waiting jobs to places, and asks for workers where there are too few.
    pub(super) fn assign(&mut self, effects: &mut Vec<Effect>) {
        let most = self.workers.most() as usize;
        while self.running < most {
            // Programs that wait for room hold up no worker.
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
                    let tasks = match self.places.get(&worker) {
                        Some(Place::Idle { tasks, .. }) => tasks + 1,
                        _ => continue,
                    };
                    let line = self.ahead.line(needs, self.queue.len(), most);
                    self.places.insert(worker, Place::Busy { job, tasks, escalation: None, line });
                    effects.push(Effect::Send(worker, job));
                }
                Some(&(job, Needs::Program)) => {
                    let worker = self.new_place(Place::Program { job, escalation: None });
                    self.programs += 1;
                    effects.push(Effect::Launch(worker, job));
                }
                None => break,
            }
            self.queue.remove(next);
            self.running += 1;
        }
        self.spawn(most, effects);
        self.share_out(effects);
        if self.closing && self.queue.is_empty() {
            self.close(effects);
        }
    }

    fn spawn(&mut self, most: usize, effects: &mut Vec<Effect>) {
        if self.start_at.is_some() {
            return;
        }
        let wanted = self.queue.iter().take(SLOW_STARTS_AT_ONCE).filter(|(_, needs)| *needs != Needs::Program).count();
        let room = most.saturating_sub(self.places.len() - self.programs);
        let wanted = wanted.min(self.starts_at_once).saturating_sub(self.starting.len());
        for _ in 0..wanted.min(room) {
            let worker = self.new_place(Place::Starting { late: None, overdue: None });
            self.starting.insert(worker);
            effects.push(Effect::Spawn(worker));
        }
    }

    /// Jobs that come now get one try, after a pause.
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

    fn new_place(&mut self, place: Place) -> WorkerId {
        let worker = WorkerId(self.next_worker);
        self.next_worker += 1;
        self.places.insert(worker, place);
        worker
    }

    /// How many workers there are, in any state, and how many programs.
    pub fn size(&self) -> (usize, usize) {
        (self.places.len() - self.programs, self.programs)
    }

    /// Whether nothing is queued, running or starting.
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.running == 0 && self.starting.is_empty()
    }
}

/// The pause after so many failures before the last one.
fn pause(times: u32) -> Duration {
    (FIRST_PAUSE * 2_u32.saturating_pow(times.min(16))).min(LONGEST_PAUSE)
}
