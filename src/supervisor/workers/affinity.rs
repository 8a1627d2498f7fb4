//! CPU affinity for short tasks.
//!
//! When short tasks run one at a time, supervisor and worker take turns: each waits for the other. When there are many of
//! them, workers wait for the supervisor and it for them. The kernel wakes the waiting process on an idle CPU, and waking an
//! idle CPU costs more than the task: about 50 µs on a virtual machine, against 5 µs for a context switch on one CPU ("The
//! loop" in `tests/bench/README.md`). This module pins the supervisor to the CPU that it runs on, and tells workers with each
//! task to wait there for the next one (`src/worker/python/affinity.py`). A running task, and what it starts, is never pinned.
//!
//! Pinning is slower where others keep the CPU busy. So both ways are measured in turns: the present way is compared all the
//! time with the last measurement of the other one.
//!
//! `PUSHFLOW_AFFINITY=off` disables it, for tests and diagnosis.

use std::io;
use std::time::Duration;

use crate::pool::SHORT;
use crate::process::Program;
use crate::process::sys::{CpuSet, Pid, PidFd, here, run_on};

/// Number of tasks whose median is the time of one way. A decision is taken once for each block.
const BLOCK: usize = 16;
/// The other way must take less than this part of the time. A change has a cost, and the first tasks after it are quicker than later
/// ones, as both CPUs are still awake.
const BETTER: (u32, u32) = (4, 5);
/// Number of blocks after which the other way is tried again,
const FIRST_SPELL: u32 = 64;
/// doubled each time that it was slower, up to this number.
const LONGEST_SPELL: u32 = 4096;

/// Where supervisor and workers wait for each other.
pub(in crate::supervisor) struct Affinity {
    enabled: bool,
    /// While there is one task: its time is that from sending to its answer.
    alone: Course,
    /// While there are several: their time is that between two answers.
    several: Course,
    /// The last answer while there were several, time since boot.
    last: Option<Duration>,
    /// The CPU that the supervisor is pinned to, and the CPUs that it could use before.
    pinned: Option<(u16, CpuSet)>,
}

impl Affinity {
    /// Never pins anything unless it is enabled.
    pub(in crate::supervisor) fn new(enabled: bool) -> Self {
        Affinity { enabled, alone: Course::default(), several: Course::default(), last: None, pinned: None }
    }

    /// A task is about to be sent, the only one or one of several. Returns the CPU where its worker should wait for the next one.
    pub(in crate::supervisor) fn pin(&mut self, alone: bool) -> Option<u16> {
        let course = if alone { &self.alone } else { &self.several };
        if !self.enabled || !course.pinned {
            self.unpin();
            return None;
        }
        if self.pinned.is_none() {
            // With a single CPU, or if the system does not tell, there is nothing to choose.
            self.pinned = here().and_then(|(cpu, before)| run_on(&CpuSet::of(cpu)).ok().map(|()| (cpu, before)));
        }
        self.pinned.as_ref().map(|(cpu, _)| *cpu)
    }

    /// A task was answered after this time; `now` is the time since boot.
    pub(in crate::supervisor) fn on_answer(&mut self, alone: bool, took: Duration, now: Duration) {
        if alone {
            self.last = None;
            self.alone.on_answer(took);
            return;
        }
        let passed = self.last.replace(now).map(|last| now.saturating_sub(last));
        if took > SHORT {
            self.several = Course::default();
        } else if let Some(passed) = passed.filter(|passed| *passed <= SHORT) {
            self.several.on_answer(passed);
        }
    }

    /// Starts a program. It inherits the CPUs of the supervisor, so these are what they were before.
    pub(in crate::supervisor) fn start(&mut self, program: Program<'_>) -> io::Result<(Pid, PidFd)> {
        self.unpin();
        program.start()
    }

    /// Lets the supervisor use all of its CPUs again: nobody waits for it on the present one.
    pub(in crate::supervisor) fn unpin(&mut self) {
        if let Some((_, before)) = self.pinned.take() {
            // It fails only if those CPUs are gone; the kernel has chosen others then.
            let _ = run_on(&before);
        }
    }
}

/// Measures one way against the other: pinned, and not pinned.
struct Course {
    pinned: bool,
    /// The times of the last tasks: an incomplete block.
    block: [Duration; BLOCK],
    filled: usize,
    /// The time of a task in the last measurement of the other way.
    other: Option<Duration>,
    /// Number of blocks measured this way, and after how many the other one is tried.
    blocks: u32,
    spell: u32,
}

impl Default for Course {
    fn default() -> Self {
        Course { pinned: false, block: [Duration::ZERO; BLOCK], filled: 0, other: None, blocks: 0, spell: FIRST_SPELL }
    }
}

impl Course {
    fn on_answer(&mut self, took: Duration) {
        if took > SHORT {
            *self = Course::default();
            return;
        }
        self.block[self.filled] = took;
        self.filled += 1;
        if self.filled < BLOCK {
            return;
        }
        self.filled = 0;
        self.block.sort_unstable();
        let now = self.block[BLOCK / 2];
        self.blocks += 1;
        // How long the other way is kept if it is taken; this one is kept in the last case.
        let spell = match self.other {
            None => FIRST_SPELL,
            // A trial was slower,
            Some(other) if other < now * BETTER.0 / BETTER.1 && self.blocks == 1 => (self.spell * 2).min(LONGEST_SPELL),
            // or the better way has become slower.
            Some(other) if other < now * BETTER.0 / BETTER.1 => FIRST_SPELL,
            Some(_) if self.blocks >= self.spell => self.spell,
            Some(_) => return,
        };
        *self = Course { pinned: !self.pinned, other: Some(now), spell, ..Course::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(course: &mut Course, tasks: usize, pinned: u64, free: u64) -> usize {
        let micros = Duration::from_micros;
        let mut spent_pinned = 0;
        for _ in 0..tasks {
            spent_pinned += usize::from(course.pinned);
            course.on_answer(micros(if course.pinned { pinned } else { free }));
        }
        spent_pinned
    }

    #[test]
    fn it_pins_if_that_is_quicker() {
        let pinned = after(&mut Course::default(), 20_000, 30, 130);
        assert!(pinned > 19_800, "{pinned} of 20,000");
    }

    #[test]
    fn it_does_not_pin_if_that_is_slower_and_tries_again_at_times() {
        let pinned = after(&mut Course::default(), 20_000, 200, 130);
        assert!((BLOCK..200).contains(&pinned), "{pinned} of 20,000");
    }

    #[test]
    fn a_long_task_ends_pinning() {
        let mut course = Course::default();
        after(&mut course, 100, 30, 130);
        assert!(course.pinned);
        course.on_answer(Duration::from_millis(1));
        assert!(!course.pinned);
        assert_eq!(after(&mut course, 10_000, 3000, 1000), 0, "beside long tasks nothing is tried");
    }

    #[test]
    fn the_better_way_is_given_up_when_it_becomes_slower() {
        let mut course = Course::default();
        after(&mut course, 1_000, 30, 130);
        assert!(course.pinned);
        let pinned = after(&mut course, 20_000, 300, 130);
        assert!(pinned < 200, "{pinned} of 20,000");
    }

    #[test]
    fn a_trial_that_looked_too_good_costs_little() {
        let mut course = Course::default();
        // Not pinned looks better for the first block, and is worse from then on.
        after(&mut course, BLOCK, 60, 30);
        after(&mut course, BLOCK, 60, 30);
        assert!(!course.pinned, "the better one was chosen");
        let pinned = after(&mut course, 1_000, 60, 130);
        assert!(pinned >= 1_000 - BLOCK, "{pinned} of 1,000");
    }

    #[test]
    fn ways_that_are_alike_do_not_alternate() {
        let mut course = Course::default();
        let turns = (0..2_000).filter(|_| {
            let before = course.pinned;
            after(&mut course, 1, 100, 95);
            course.pinned != before
        });
        assert!(turns.count() <= 4);
    }

    #[test]
    fn of_several_tasks_the_time_between_two_answers_counts() {
        let micros = Duration::from_micros;
        let mut affinity = Affinity::new(true);
        let mut now = micros(0);
        let mut pinned = 0;
        for _ in 0..10_000 {
            pinned += u32::from(affinity.several.pinned);
            now += if affinity.several.pinned { micros(25) } else { micros(40) };
            // Each of them takes longer when pinned, as they wait for each other.
            affinity.on_answer(false, micros(if affinity.several.pinned { 100 } else { 80 }), now);
        }
        assert!(pinned > 9_800, "{pinned} of 10,000");
        // A pause between tasks is not a long task.
        now += micros(900_000);
        affinity.on_answer(false, micros(80), now);
        assert!(affinity.several.pinned);
        affinity.on_answer(false, micros(3_000), now + micros(40));
        assert!(!affinity.several.pinned && !affinity.alone.pinned);
    }

    #[test]
    fn nothing_is_pinned_while_it_is_disabled() {
        let mut affinity = Affinity::new(false);
        for task in 0..10_000 {
            assert_eq!(affinity.pin(true), None);
            let took = Duration::from_micros(30);
            affinity.on_answer(true, took, took * task);
        }
        assert!(affinity.pinned.is_none());
    }
}
