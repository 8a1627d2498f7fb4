//! What one worker does: which jobs it has, how they reached it, and what it may be given. Pure: no process, no connection.
//!
//! Most workers execute one job after the other and may be prefilled: the jobs behind the current one are with the worker
//! already, and count as waiting until the current one is answered. The workers of a `thread` or `gevent` pool share a
//! process, which executes several jobs at the same time, one for each of its slots. `transitions.rs` says what follows
//! from each change.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pool::{JobId, WorkerId};

/// How a job reached its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Delivery {
    /// Over the connection. It cannot be retracted.
    Direct,
    /// Through the queue of the worker. It can be retracted until the worker takes it.
    Queued,
}

/// What a worker was told about the job after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Successor {
    /// Nothing: it answers and waits.
    Unknown,
    /// That it may be there already. Unless it says that it pauses, the worker begins it at once.
    Follows,
}

/// A job that a worker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) struct Assignment {
    pub(in crate::supervisor) job: JobId,
    /// The slot that executes it.
    pub(in crate::supervisor) slot: WorkerId,
    pub(in crate::supervisor) delivery: Delivery,
    pub(in crate::supervisor) successor: Successor,
    /// When it was sent, time since boot. It cannot have begun before.
    pub(in crate::supervisor) since: Duration,
    /// Whether it is known to have started a process.
    pub(in crate::supervisor) started_something: bool,
}

/// What a worker does.
#[derive(Debug)]
enum WorkerState {
    /// It has not said that it can be given work.
    Starting,
    /// It has no job.
    Idle,
    /// It has a job. `pause`: it waits after the answer to this job, and whether the job has started a process.
    Busy { current: Assignment, prefilled: VecDeque<Assignment>, pause: Option<bool> },
    /// It has answered or lost its job, and the next one has not begun as far as anybody was told.
    Between { prefilled: VecDeque<Assignment> },
    /// Its slots execute jobs at the same time. `last`: it gets no further ones.
    Shared { running: Vec<Assignment>, last: bool },
    /// Its connection is closed. `unfinished`: its jobs, the current one first. `unread`: a job that it never took, and that
    /// waits for its end.
    Closing { unfinished: VecDeque<Assignment>, unread: Option<JobId>, was_ready: bool },
}

/// One worker process, as far as jobs are concerned.
#[derive(Debug)]
pub(in crate::supervisor) struct Worker {
    /// One, unless the workers of the pool share a process.
    slots: Vec<WorkerId>,
    is_shared: bool,
    state: WorkerState,
    /// When it answered last, time since boot; zero before its first answer.
    answered: Duration,
}

/// The end of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) struct Ended {
    pub(in crate::supervisor) job: JobId,
    pub(in crate::supervisor) slot: WorkerId,
    /// When it was answered, time since boot.
    pub(in crate::supervisor) at: Duration,
    /// How long the worker had it, at most.
    pub(in crate::supervisor) took: Duration,
    pub(in crate::supervisor) successor: Successor,
    /// The job has left nothing to look at, and the next one may have begun.
    pub(in crate::supervisor) silent: bool,
    /// Whether it is known to have started a process.
    pub(in crate::supervisor) started_something: bool,
    /// Its slot ends with it.
    pub(in crate::supervisor) slot_ends: bool,
    /// The worker waits to be told that it may go on.
    pub(in crate::supervisor) pauses: bool,
}

/// What a worker has given back.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::supervisor) struct Retracted {
    /// Its current job.
    pub(in crate::supervisor) current: Option<Assignment>,
    /// Jobs behind it.
    pub(in crate::supervisor) prefilled: Vec<JobId>,
}

impl Worker {
    /// A worker that starts. `slot`: the first of its slots, and the only one unless it is shared.
    pub(in crate::supervisor) fn new(slot: WorkerId, is_shared: bool) -> Self {
        Worker { slots: vec![slot], is_shared, state: WorkerState::Starting, answered: Duration::ZERO }
    }

    /// Whether its slots execute jobs at the same time.
    pub(in crate::supervisor) fn is_shared(&self) -> bool {
        self.is_shared
    }

    pub(in crate::supervisor) fn slots(&self) -> &[WorkerId] {
        &self.slots
    }

    /// It can be given work. False if it was ready before.
    pub(super) fn on_ready(&mut self) -> bool {
        let starting = matches!(self.state, WorkerState::Starting);
        if starting {
            self.state = if self.is_shared {
                WorkerState::Shared { running: Vec::new(), last: false }
            } else {
                WorkerState::Idle
            };
        }
        starting
    }

    /// Whether it has said that it can be given work.
    pub(in crate::supervisor) fn was_ready(&self) -> bool {
        match self.state {
            WorkerState::Starting => false,
            WorkerState::Closing { was_ready, .. } => was_ready,
            _ => true,
        }
    }

    /// One more slot shares this process. Whether it can be given work at once.
    pub(in crate::supervisor) fn add_slot(&mut self, slot: WorkerId) -> bool {
        self.slots.push(slot);
        self.was_ready()
    }

    /// A slot ends; not the last one.
    pub(in crate::supervisor) fn remove_slot(&mut self, slot: WorkerId) {
        self.slots.retain(|its| *its != slot);
    }

    /// A shared process gets no more jobs: returns its idle slots, which end.
    pub(in crate::supervisor) fn accept_no_more(&mut self) -> Vec<WorkerId> {
        let WorkerState::Shared { running, last } = &mut self.state else { return Vec::new() };
        *last = true;
        let is_busy = |slot: &WorkerId| running.iter().any(|its| its.slot == *slot);
        let (busy, idle) = self.slots.iter().copied().partition(is_busy);
        self.slots = busy;
        idle
    }

    /// It is given a job.
    pub(in crate::supervisor) fn assign(&mut self, assignment: Assignment) {
        match &mut self.state {
            WorkerState::Shared { running, .. } => running.push(assignment),
            // It cannot be sent any more, and ends with the process.
            WorkerState::Closing { unfinished, .. } => unfinished.push_back(assignment),
            state => *state = WorkerState::Busy { current: assignment, prefilled: VecDeque::new(), pause: None },
        }
    }

    /// It is given a job behind those that it has. False if it has none, or takes none.
    pub(in crate::supervisor) fn prefill(&mut self, job: JobId, since: Duration) -> bool {
        let WorkerState::Busy { current, prefilled, .. } = &mut self.state else { return false };
        let (slot, delivery, successor) = (current.slot, Delivery::Queued, Successor::Follows);
        prefilled.push_back(Assignment { job, slot, delivery, successor, since, started_something: false });
        true
    }

    /// It waits after its next answer, as its job has left something to look at.
    pub(in crate::supervisor) fn on_pauses(&mut self, started_something: bool) {
        if let WorkerState::Busy { pause, .. } = &mut self.state {
            *pause = Some(started_something);
        }
    }

    /// A job of this worker is known to have started a process. False if it has no job.
    pub(in crate::supervisor) fn on_started_something(&mut self) -> bool {
        match &mut self.state {
            WorkerState::Busy { current, .. } => current.started_something = true,
            // Which one is not known.
            WorkerState::Shared { running, .. } if !running.is_empty() => {
                running.iter_mut().for_each(|its| its.started_something = true);
            }
            _ => return false,
        }
        true
    }

    /// It has answered a job. `None` if it was not given that job.
    pub(super) fn on_answer(&mut self, job: JobId, now: Duration) -> Option<Ended> {
        let (ended, pause, slot_ends) = match &mut self.state {
            WorkerState::Busy { current, prefilled, pause } if current.job == job => {
                let (ended, pause, prefilled) = (*current, *pause, std::mem::take(prefilled));
                self.state = WorkerState::Between { prefilled };
                (ended, pause, false)
            }
            WorkerState::Shared { running, last } => {
                let at = running.iter().position(|its| its.job == job)?;
                let (ended, last) = (running.swap_remove(at), *last);
                if last {
                    self.remove_slot(ended.slot);
                }
                (ended, None, last)
            }
            _ => return None,
        };
        let Assignment { slot, successor, since, started_something, .. } = ended;
        let follows = successor == Successor::Follows;
        // A prefilled job has not begun before the answer to the one before.
        let since = if follows { since.max(self.answered) } else { since };
        self.answered = now;
        Some(Ended {
            job,
            slot,
            at: now,
            took: now.saturating_sub(since),
            successor,
            silent: follows && pause.is_none(),
            started_something: started_something || pause == Some(true),
            slot_ends,
            pauses: pause.is_some(),
        })
    }

    /// The next of its prefilled jobs becomes the current one.
    pub(super) fn begin_next(&mut self) -> Option<Assignment> {
        let WorkerState::Between { prefilled } = &mut self.state else { return None };
        let next = prefilled.pop_front();
        self.state = match next {
            Some(current) => WorkerState::Busy { current, prefilled: std::mem::take(prefilled), pause: None },
            None => WorkerState::Idle,
        };
        next
    }

    /// Whether what it has not begun can be retracted.
    pub(super) fn is_retractable(&self) -> bool {
        matches!(&self.state, WorkerState::Busy { current, .. } if current.delivery == Delivery::Queued)
    }

    /// These jobs were taken out of its queue.
    pub(super) fn on_retracted(&mut self, jobs: &[JobId]) -> Retracted {
        let WorkerState::Busy { current, prefilled, .. } = &mut self.state else {
            return Retracted { current: None, prefilled: Vec::new() };
        };
        // Not everything behind a retracted job has to be among them: the worker may have taken some of it meanwhile.
        let mut retracted = Vec::new();
        prefilled.retain(|its| {
            let kept = !jobs.contains(&its.job);
            if !kept {
                retracted.push(its.job);
            }
            kept
        });
        let current = Some(*current).filter(|its| jobs.contains(&its.job));
        if let Some(retracted) = &current {
            let mut prefilled = std::mem::take(prefilled);
            // What was started is of an earlier job: it is looked at after the next one.
            prefilled.iter_mut().take(1).for_each(|next| next.started_something = retracted.started_something);
            self.state = WorkerState::Between { prefilled };
        }
        Retracted { current, prefilled: retracted }
    }

    /// Its connection is closed. `unread`: a job that was retracted and waits for the end of the worker.
    pub(super) fn on_closed(&mut self, unread: Option<JobId>) {
        let was_ready = self.was_ready();
        let unfinished = match &mut self.state {
            WorkerState::Closing { .. } => return,
            WorkerState::Starting | WorkerState::Idle => VecDeque::new(),
            WorkerState::Between { prefilled } => std::mem::take(prefilled),
            WorkerState::Busy { current, prefilled, .. } => {
                prefilled.push_front(*current);
                std::mem::take(prefilled)
            }
            WorkerState::Shared { running, .. } => std::mem::take(running).into(),
        };
        self.state = WorkerState::Closing { unfinished, unread, was_ready };
    }

    /// Of the jobs that it has begun one after the other, the first one; not the last, which ends with the process.
    pub(super) fn lose_one(&mut self) -> Option<JobId> {
        match &mut self.state {
            WorkerState::Closing { unfinished, .. } if unfinished.len() > 1 && !self.is_shared => {
                unfinished.pop_front().map(|lost| lost.job)
            }
            _ => None,
        }
    }

    /// The job that it never took, although that counts as its current one.
    pub(in crate::supervisor) fn unread(&self) -> Option<JobId> {
        match self.state {
            WorkerState::Closing { unread, .. } => unread,
            _ => None,
        }
    }

    /// Whether it has answered a job.
    pub(super) fn has_answered(&self) -> bool {
        !self.answered.is_zero()
    }

    /// The jobs that count as running: one, or one for each slot.
    pub(in crate::supervisor) fn running(&self) -> impl Iterator<Item = &Assignment> {
        let (one, some): (_, &[Assignment]) = match &self.state {
            WorkerState::Busy { current, .. } => (Some(current), &[]),
            WorkerState::Shared { running, .. } => (None, running),
            WorkerState::Closing { unfinished, .. } if self.is_shared => (None, unfinished.as_slices().0),
            WorkerState::Closing { unfinished, .. } => (unfinished.front(), &[]),
            _ => (None, &[]),
        };
        one.into_iter().chain(some)
    }

    /// Whether it executes nothing, as far as is known.
    pub(in crate::supervisor) fn is_idle(&self) -> bool {
        self.running().next().is_none() && self.unread().is_none()
    }

    /// Whether it has jobs behind the current one.
    pub(in crate::supervisor) fn has_prefilled(&self) -> bool {
        self.prefilled().next().is_some()
    }

    /// The jobs that it has behind the current one.
    pub(in crate::supervisor) fn prefilled(&self) -> impl Iterator<Item = &Assignment> {
        let (prefilled, skipped) = match &self.state {
            WorkerState::Busy { prefilled, .. } | WorkerState::Between { prefilled } => (Some(prefilled), 0),
            WorkerState::Closing { unfinished, .. } if !self.is_shared => (Some(unfinished), 1),
            _ => (None, 0),
        };
        prefilled.into_iter().flatten().skip(skipped)
    }

    /// Whether it has a job, running or prefilled.
    pub(in crate::supervisor) fn has(&self, job: JobId) -> bool {
        self.running().chain(self.prefilled()).any(|its| its.job == job)
    }

    /// The job that it executes. `None` if it has none, or executes several.
    pub(in crate::supervisor) fn only_job(&self) -> Option<&Assignment> {
        let mut running = self.running();
        running.next().filter(|_| running.next().is_none())
    }

    /// Of its job and those behind it, the one whose number ends with these bits.
    pub(in crate::supervisor) fn job_ending_with(&self, bits: u16) -> Option<JobId> {
        let job = self.only_job()?.job;
        if !self.has_prefilled() {
            return Some(job);
        }
        self.running().chain(self.prefilled()).map(|its| its.job).find(|job| job.0 as u16 == bits)
    }

    /// The job of a slot.
    pub(in crate::supervisor) fn job_of(&self, slot: WorkerId) -> Option<JobId> {
        self.running().find(|its| its.slot == slot).map(|its| its.job)
    }

    /// Whether it may be at another job than is known: one that it has behind its current one.
    pub(in crate::supervisor) fn may_be_further(&self) -> bool {
        matches!(&self.state, WorkerState::Busy { current, .. } if current.successor == Successor::Follows)
    }
}
