//! Prefill: a worker gets its next jobs before it has answered.
//!
//! While many short jobs wait, a worker that has its next job already need not wait for the supervisor between two jobs.
//! With prefill, 5,000 empty tasks that do not depend on each other take 0.24 s instead of 0.33 s with two workers (whole
//! process, two CPUs; the fan of `tests/bench`).
//!
//! A prefilled job waits behind the job that its worker executes. So jobs are prefilled only while jobs are short, a worker
//! gets no more than its share of the queue, and prefilled jobs are retracted when they would wait longer than in the queue:
//! when another worker is idle, when the worker does not answer for a while, and before a job is interrupted or withdrawn.
//!
//! `PUSHFLOW_PREFILL=off` disables it, for tests and diagnosis.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::slot::{Prefilled, Slot};
use super::{Effect, JobId, Needs, Pool, WorkerId};

/// How much work is prefilled. The supervisor may lose its CPU for a time slice, and workers should not run dry meanwhile.
const WORTH: Duration = Duration::from_millis(2);
/// Maximum number of prefilled jobs of one worker: each takes space in a buffer of the kernel.
const MOST: usize = 128;
/// A job is short if it takes no longer. Workers use the same limit (`side_effects.py`).
pub const SHORT: Duration = Duration::from_micros(500);
/// Number of consecutive short jobs after which the next ones are expected to be short.
const SURE: u32 = 16;
/// Number of answers over which the duration of a job is averaged: several answers arrive at once, so that only the first of
/// them shows a duration.
const BLOCK: u32 = 32;
/// Jobs are retracted from a worker that has not answered for this time.
const LAG: Duration = Duration::from_millis(10);

/// What is known about a job that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The time since the previous answer, or since the job was sent.
    pub took: Duration,
    /// Whether the job took at most [`SHORT`] and did nothing that other jobs have to wait for.
    pub short: bool,
}

impl Answer {
    /// An end that says nothing about the duration of jobs.
    pub const NOT_SHORT: Self = Answer { took: Duration::ZERO, short: false };
}

/// When a pool prefills its workers, and how much.
#[derive(Debug)]
pub(super) struct Prefill {
    /// Whether the workers of this pool can be prefilled at all.
    enabled: bool,
    /// Whether prefill is suspended for now.
    paused: bool,
    /// Number of consecutive short jobs.
    short: u32,
    /// Mean duration of a job in the last complete block.
    mean: Duration,
    /// Number and total duration of the jobs in the current block.
    block: (u32, Duration),
    /// Number of jobs that are prefilled now.
    waiting: usize,
}

impl Prefill {
    pub(super) fn new(enabled: bool) -> Self {
        let block = (0, Duration::ZERO);
        Prefill { enabled, paused: false, short: 0, mean: SHORT, block, waiting: 0 }
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.enabled
    }

    fn is_sure(&self) -> bool {
        self.enabled && !self.paused && self.short >= SURE
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

    /// How many jobs a worker should have in advance.
    fn depth(&self) -> usize {
        let depth = WORTH.as_nanos() / self.mean.as_nanos().max(1);
        usize::try_from(depth).map_or(MOST, |depth| depth.min(MOST))
    }

    /// The state of a worker that gets a job now, with so many jobs waiting and so many workers.
    pub(super) fn prefilled(&self, needs: Needs, waiting: usize, workers: usize) -> Prefilled {
        let open = self.is_sure() && needs == Needs::Worker && waiting > workers;
        Prefilled { jobs: VecDeque::new(), open, since: None }
    }

    /// The first prefilled job becomes the current job of its worker.
    pub(super) fn next(&mut self, prefilled: &mut Prefilled, now: Instant) -> Option<JobId> {
        let next = prefilled.jobs.pop_front()?;
        prefilled.since = Some(now);
        self.waiting -= 1;
        Some(next)
    }
}

impl Pool {
    /// Whether the job that a worker was just given may be followed by prefilled ones.
    pub fn may_be_followed(&self, worker: WorkerId) -> bool {
        matches!(self.slots.get(&worker), Some(Slot::Busy { prefilled, .. }) if prefilled.open)
    }

    /// The worker that was prefilled with a job.
    pub fn prefilled_at(&self, job: JobId) -> Option<WorkerId> {
        if self.prefill.waiting == 0 {
            return None;
        }
        self.prefilled().find(|(_, prefilled)| prefilled.jobs.contains(&job)).map(|(worker, _)| worker)
    }

    /// Suspends prefill. Returns the workers that have prefilled jobs.
    pub fn pause_prefill(&mut self) -> Vec<WorkerId> {
        self.prefill.paused = true;
        if self.prefill.waiting == 0 {
            return Vec::new();
        }
        self.prefilled().map(|(worker, _)| worker).collect()
    }

    /// Allows prefill again, once jobs are known to be short.
    pub fn resume_prefill(&mut self) {
        self.prefill.paused = false;
        self.prefill.short = 0;
    }

    /// A worker has not begun these jobs, and does not have them any more. Its current job may be among them.
    pub fn on_retracted(&mut self, worker: WorkerId, jobs: &[JobId], now: Instant, effects: &mut Vec<Effect>) {
        let Some(slot @ Slot::Busy { .. }) = self.slots.get_mut(&worker) else { return };
        let Slot::Busy { job, tasks, prefilled, .. } = slot else { return };
        let (back, kept) = prefilled.jobs.drain(..).partition(|job| jobs.contains(job));
        prefilled.jobs = kept;
        let current = jobs.contains(job).then_some(*job);
        if current.is_some() {
            match self.prefill.next(prefilled, now) {
                Some(next) => *job = next,
                None => {
                    *slot = Slot::Idle { since: now, tasks: *tasks - 1 };
                    self.running -= 1;
                    self.idle.push(worker);
                }
            }
        }
        self.queue_again(back);
        // It is not known any more whether this job can be prefilled.
        current.into_iter().for_each(|job| self.queue.push_front((job, Needs::IdleWorker)));
        self.assign(effects);
    }

    /// Puts prefilled jobs back to the head of the queue.
    pub(super) fn queue_again(&mut self, jobs: VecDeque<JobId>) {
        self.prefill.waiting -= jobs.len();
        for job in jobs.into_iter().rev() {
            self.queue.push_front((job, Needs::Worker));
        }
    }

    /// Prefills a worker that was just given a job.
    pub(super) fn prefill(&mut self, worker: WorkerId, now: Instant, effects: &mut Vec<Effect>) {
        if !self.prefill.is_sure() {
            return;
        }
        let share = (self.queue.len() / self.workers.most() as usize).min(self.prefill.depth());
        let Some(Slot::Busy { tasks, escalation: None, prefilled, .. }) = self.slots.get_mut(&worker) else { return };
        // Several jobs at a time: a worker with at least half of its share gets nothing.
        if !prefilled.open || prefilled.jobs.len() * 2 > share {
            return;
        }
        prefilled.since.get_or_insert(now);
        let left = self.max_tasks.map_or(usize::MAX, |most| most.saturating_sub(*tasks) as usize);
        while prefilled.jobs.len() < share.min(left) {
            let Some((job, _)) = self.queue.pop_front_if(|(_, needs)| *needs == Needs::Worker) else { break };
            prefilled.jobs.push_back(job);
            self.prefill.waiting += 1;
            effects.push(Effect::Prefill(worker, job));
        }
    }

    /// Retracts jobs for an idle worker from the one with the most prefilled jobs.
    pub(super) fn retract_for_idle_workers(&self, effects: &mut Vec<Effect>) {
        if self.prefill.waiting == 0 || self.idle.is_empty() || !self.queue.is_empty() {
            return;
        }
        let longest = self.prefilled().max_by_key(|(_, prefilled)| prefilled.jobs.len());
        effects.extend(longest.map(|(worker, _)| Effect::Retract(worker)));
    }

    /// Retracts jobs from workers that have not answered for a while.
    pub(super) fn retract_from_laggards(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.prefill.waiting == 0 {
            return;
        }
        for (worker, slot) in &mut self.slots {
            if let Slot::Busy { prefilled, .. } = slot
                && !prefilled.jobs.is_empty()
                && prefilled.since.is_none_or(|since| since + LAG <= now)
            {
                // Once, whatever comes of it.
                prefilled.since = Some(now);
                effects.push(Effect::Retract(*worker));
            }
        }
    }

    /// When [`Pool::retract_from_laggards`] has something to do next.
    pub(super) fn next_laggard(&self) -> Option<Instant> {
        if self.prefill.waiting == 0 {
            return None;
        }
        self.prefilled().filter_map(|(_, prefilled)| prefilled.since).min().map(|since| since + LAG)
    }

    /// The workers with prefilled jobs.
    fn prefilled(&self) -> impl Iterator<Item = (WorkerId, &Prefilled)> {
        self.slots.iter().filter_map(|(worker, slot)| match slot {
            Slot::Busy { prefilled, .. } if !prefilled.jobs.is_empty() => Some((*worker, prefilled)),
            _ => None,
        })
    }
}
