//! Sending ahead: where many short jobs wait, a worker has its next ones before it has answered, and never waits for them.
//!
//! What was sent ahead waits behind what its worker executes. So it is sent only while jobs are short, it is never more than
//! a worker's share of what waits, and it is taken back where it would wait longer than in the queue: when another worker
//! has nothing to do, when its worker lags behind the others, and before anything is pressed or withdrawn.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::state::Place;
use super::{Effect, JobId, Needs, Pool, WorkerId};

/// Jobs for so long wait at a worker: a supervisor may be kept from its CPU for a time slice, and should not let workers run dry.
const WORTH: Duration = Duration::from_millis(2);
/// More jobs do not, however short they are: each takes a place in the kernel's buffer.
const MOST: usize = 128;
/// A longer job is none to wait behind. Workers have the same measure (`silence.py`).
pub const SHORT: Duration = Duration::from_micros(500);
/// After so many short ones in a row, the next ones are taken for short.
const SURE: u32 = 16;
/// A worker that has not answered for so long lags behind.
const LAG: Duration = Duration::from_millis(10);

/// What a pool knows of sending ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Whether its workers can be sent anything ahead.
    possible: bool,
    /// Whether nothing is to be sent ahead now.
    paused: bool,
    /// How many jobs in a row were short.
    short: u32,
    /// How long a job has taken of late.
    mean: Duration,
    /// How many jobs are with workers that have not answered the one before.
    sent: usize,
    /// When there was an answer last.
    answered: Option<Instant>,
    /// Which worker is looked at next.
    cursor: WorkerId,
}

/// What waits at a worker.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) jobs: VecDeque<JobId>,
    /// Its worker was told that more would come.
    open: bool,
    /// About when the worker was given its job.
    since: Option<Instant>,
}

impl Ahead {
    pub(super) fn new(possible: bool) -> Self {
        Ahead { possible, paused: false, short: 0, mean: SHORT, sent: 0, answered: None, cursor: WorkerId(0) }
    }

    fn is_sure(&self) -> bool {
        self.possible && !self.paused && self.short >= SURE
    }

    pub(super) fn on_answer(&mut self, took: Duration, now: Instant) {
        self.answered = Some(now);
        self.short = if took <= SHORT { self.short.saturating_add(1) } else { 0 };
        self.mean = (self.mean * 7 + took.min(SHORT)) / 8;
    }

    /// How many jobs are to wait at a worker.
    fn depth(&self) -> usize {
        let depth = WORTH.as_nanos() / self.mean.as_nanos().max(1);
        usize::try_from(depth).map_or(MOST, |depth| depth.min(MOST))
    }

    /// The line at a worker that gets a job, while so many others wait for so many workers.
    pub(super) fn line(&self, waiting: usize, workers: usize) -> Line {
        Line { jobs: VecDeque::new(), open: self.is_sure() && waiting > workers, since: self.answered }
    }

    /// The first job of the line is the worker's now.
    pub(super) fn step(&mut self, line: &mut Line) -> Option<JobId> {
        let next = line.jobs.pop_front()?;
        line.since = self.answered;
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
        self.places.iter().find_map(|(worker, place)| match place {
            Place::Busy { line, .. } if line.jobs.contains(&job) => Some(*worker),
            _ => None,
        })
    }

    /// From now on nothing is sent ahead. The workers that have something of the kind.
    pub fn pause_sending_ahead(&mut self) -> Vec<WorkerId> {
        self.ahead.paused = true;
        if self.ahead.sent == 0 {
            return Vec::new();
        }
        let ahead = |(worker, place): (&WorkerId, &Place)| match place {
            Place::Busy { line, .. } if !line.jobs.is_empty() => Some(*worker),
            _ => None,
        };
        self.places.iter().filter_map(ahead).collect()
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
            match self.ahead.step(line) {
                Some(next) => *job = next,
                None => {
                    *place = Place::Idle { since: now, tasks: *tasks - 1 };
                    self.running -= 1;
                    self.idle.push(worker);
                }
            }
        }
        self.queue_again(back);
        own.into_iter().for_each(|job| self.queue.push_front((job, Needs::Worker)));
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
    pub(super) fn send_ahead(&mut self, worker: WorkerId, effects: &mut Vec<Effect>) {
        if !self.ahead.is_sure() {
            return;
        }
        let share = (self.queue.len() / self.workers.most() as usize).min(self.ahead.depth());
        let Some(Place::Busy { tasks, escalation: None, line, .. }) = self.places.get_mut(&worker) else { return };
        // Several at a time: a worker that has enough is left alone.
        if !line.open || line.jobs.len() * 2 > share {
            return;
        }
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
        let longest = self.places.iter().filter_map(|(worker, place)| match place {
            Place::Busy { line, .. } if !line.jobs.is_empty() => Some((line.jobs.len(), *worker)),
            _ => None,
        });
        effects.extend(longest.max().map(|(_, worker)| Effect::TakeBack(worker)));
    }

    /// Jobs must not wait at a worker whose own takes long while others would have come to them. One worker is looked at each
    /// time.
    pub(super) fn look_for_laggards(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.ahead.sent == 0 {
            return;
        }
        let cursor = self.ahead.cursor;
        let next = self.places.range(cursor..).next().or_else(|| self.places.first_key_value());
        let Some((worker, place)) = next else { return };
        self.ahead.cursor = WorkerId(worker.0 + 1);
        if let Place::Busy { line, .. } = place
            && !line.jobs.is_empty()
            && line.since.is_some_and(|since| now.saturating_duration_since(since) > LAG)
        {
            effects.push(Effect::TakeBack(*worker));
        }
    }
}
