//! Sending ahead: where many short jobs wait, a worker has its next ones before it has answered, and never waits for them.
//!
//! What was sent ahead waits behind what its worker executes. So it is sent only while jobs are short, it is never more than
//! a worker's share of what waits, and it is taken back where it would wait longer than in the queue: when another worker
//! has nothing to do, when its worker takes long after all, and before anything is pressed or withdrawn.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::state::Place;
use super::{Effect, JobId, Needs, Pool, WorkerId};

/// Jobs for so long wait at a worker: a supervisor may be kept from its CPU for a time slice, and should not let workers run dry.
const WORTH: Duration = Duration::from_millis(2);
/// More jobs do not, however short they are: each takes a place in the kernel's buffer.
const MOST: usize = 128;
/// A longer job is none to wait behind, or to hurry for. Workers have the same measure (`silence.py`).
pub const SHORT: Duration = Duration::from_micros(500);
/// After so many short ones in a row, the next ones are taken for short.
const SURE: u32 = 16;
/// Over so many answers it is measured how long a job takes: several come at once, and only the first of them after a while.
const BLOCK: u32 = 32;
/// What waits at a worker that has not answered for so long is taken back.
const LAG: Duration = Duration::from_millis(10);

/// What is known of a job that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// How long after the answer before it, or after it was given, it came.
    pub took: Duration,
    /// Whether it took no longer than [`SHORT`], and did nothing that others have to wait for.
    pub short: bool,
}

impl Answer {
    /// An end that says nothing of how long jobs take.
    pub const NOT_SHORT: Self = Answer { took: Duration::ZERO, short: false };
}

/// What a pool knows of sending ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Whether its workers can be sent anything ahead.
    possible: bool,
    /// Whether nothing is to be sent ahead now.
    paused: bool,
    /// How many jobs in a row were short.
    short: u32,
    /// How long a job takes: the mean of the last block; and of this block, how many there were and how long all of them took.
    mean: Duration,
    block: (u32, Duration),
    /// How many jobs are with workers that have not answered the one before.
    sent: usize,
}

/// What waits at a worker.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) jobs: VecDeque<JobId>,
    /// Its worker was told that more would come.
    open: bool,
    /// When the worker began with its job, or was sent the first one here.
    since: Option<Instant>,
}

impl Ahead {
    pub(super) fn new(possible: bool) -> Self {
        Ahead { possible, paused: false, short: 0, mean: SHORT, block: (0, Duration::ZERO), sent: 0 }
    }

    fn is_sure(&self) -> bool {
        self.possible && !self.paused && self.short >= SURE
    }

    pub(super) fn on_answer(&mut self, answer: Answer) {
        self.short = if answer.short { self.short.saturating_add(1) } else { 0 };
        let (count, sum) = &mut self.block;
        *count += 1;
        *sum += answer.took.min(LAG);
        if *count == BLOCK {
            self.mean = *sum / BLOCK;
            self.block = (0, Duration::ZERO);
        }
    }

    /// How many jobs are to wait at a worker.
    fn depth(&self) -> usize {
        let depth = WORTH.as_nanos() / self.mean.as_nanos().max(1);
        usize::try_from(depth).map_or(MOST, |depth| depth.min(MOST))
    }

    /// The line at a worker that gets a job, while so many others wait for so many workers.
    pub(super) fn line(&self, needs: Needs, waiting: usize, workers: usize) -> Line {
        let open = self.is_sure() && needs == Needs::Worker && waiting > workers;
        Line { jobs: VecDeque::new(), open, since: None }
    }

    /// The first job of the line is the worker's now.
    pub(super) fn step(&mut self, line: &mut Line, now: Instant) -> Option<JobId> {
        let next = line.jobs.pop_front()?;
        line.since = Some(now);
        self.sent -= 1;
        Some(next)
    }
}

impl Pool {
    /// Whether the job that a worker has just been given may be followed by others before it has answered.
    pub fn may_be_followed(&self, worker: WorkerId) -> bool {
        matches!(self.places.get(&worker), Some(Place::Busy { line, .. }) if line.open)
    }

    /// The worker that a job was sent to ahead.
    pub fn sent_ahead_to(&self, job: JobId) -> Option<WorkerId> {
        if self.ahead.sent == 0 {
            return None;
        }
        self.lines().find(|(_, line)| line.jobs.contains(&job)).map(|(worker, _)| worker)
    }

    /// From now on nothing is sent ahead. The workers that have something of the kind.
    pub fn pause_sending_ahead(&mut self) -> Vec<WorkerId> {
        self.ahead.paused = true;
        if self.ahead.sent == 0 {
            return Vec::new();
        }
        self.lines().map(|(worker, _)| worker).collect()
    }

    /// Jobs may be sent ahead again, once they are known to be short.
    pub fn resume_sending_ahead(&mut self) {
        self.ahead.paused = false;
        self.ahead.short = 0;
    }

    /// A worker has not begun these, and will not. Its own job may be among them.
    pub fn on_taken_back(&mut self, worker: WorkerId, jobs: &[JobId], now: Instant, effects: &mut Vec<Effect>) {
        let Some(place @ Place::Busy { .. }) = self.places.get_mut(&worker) else { return };
        let Place::Busy { job, tasks, line, .. } = place else { return };
        let (back, kept) = line.jobs.drain(..).partition(|job| jobs.contains(job));
        line.jobs = kept;
        let own = jobs.contains(job).then_some(*job);
        if own.is_some() {
            match self.ahead.step(line, now) {
                Some(next) => *job = next,
                None => {
                    *place = Place::Idle { since: now, tasks: *tasks - 1 };
                    self.running -= 1;
                    self.idle.push(worker);
                }
            }
        }
        self.queue_again(back);
        // It is known no more whether it may be sent ahead.
        own.into_iter().for_each(|job| self.queue.push_front((job, Needs::IdleWorker)));
        self.assign(effects);
    }

    /// Jobs that were sent ahead are the first to be given to somebody.
    pub(super) fn queue_again(&mut self, jobs: VecDeque<JobId>) {
        self.ahead.sent -= jobs.len();
        for job in jobs.into_iter().rev() {
            self.queue.push_front((job, Needs::Worker));
        }
    }

    /// Fills the line of a worker that has just been given its job.
    pub(super) fn send_ahead(&mut self, worker: WorkerId, now: Instant, effects: &mut Vec<Effect>) {
        if !self.ahead.is_sure() {
            return;
        }
        let share = (self.queue.len() / self.workers.most() as usize).min(self.ahead.depth());
        let Some(Place::Busy { tasks, escalation: None, line, .. }) = self.places.get_mut(&worker) else { return };
        // Several at a time: a worker that has enough is left alone.
        if !line.open || line.jobs.len() * 2 > share {
            return;
        }
        line.since.get_or_insert(now);
        let left = self.max_tasks.map_or(usize::MAX, |most| most.saturating_sub(*tasks) as usize);
        while line.jobs.len() < share.min(left) {
            let Some((job, _)) = self.queue.pop_front_if(|(_, needs)| *needs == Needs::Worker) else { break };
            line.jobs.push_back(job);
            self.ahead.sent += 1;
            effects.push(Effect::SendAhead(worker, job));
        }
    }

    /// A worker with nothing to do gets what waits at another one.
    pub(super) fn share_out(&self, effects: &mut Vec<Effect>) {
        if self.ahead.sent == 0 || self.idle.is_empty() || !self.queue.is_empty() {
            return;
        }
        let longest = self.lines().max_by_key(|(_, line)| line.jobs.len());
        effects.extend(longest.map(|(worker, _)| Effect::TakeBack(worker)));
    }

    /// Takes back what waits behind a job that takes long after all.
    pub(super) fn take_back_from_laggards(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.ahead.sent == 0 {
            return;
        }
        for (worker, place) in &mut self.places {
            if let Place::Busy { line, .. } = place
                && !line.jobs.is_empty()
                && line.since.is_none_or(|since| since + LAG <= now)
            {
                // Once, whatever comes of it.
                line.since = Some(now);
                effects.push(Effect::TakeBack(*worker));
            }
        }
    }

    /// When that is to be done next.
    pub(super) fn next_laggard(&self) -> Option<Instant> {
        if self.ahead.sent == 0 {
            return None;
        }
        self.lines().filter_map(|(_, line)| line.since).min().map(|since| since + LAG)
    }

    /// The lines in which something waits.
    fn lines(&self) -> impl Iterator<Item = (WorkerId, &Line)> {
        self.places.iter().filter_map(|(worker, place)| match place {
            Place::Busy { line, .. } if !line.jobs.is_empty() => Some((*worker, line)),
            _ => None,
        })
    }
}
