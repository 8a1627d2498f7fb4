//! Sharing a CPU with workers whose tasks are short.
//!
//! Where short tasks follow each other one at a time, in a loop or a chain, supervisor and worker wait for each other in
//! turn; where there are many of them, workers wait for the supervisor and it for them. The kernel wakes each of them on a
//! CPU that is idle, and most of a hop is then the time that such a CPU needs to wake up: on a virtual machine 50 µs and
//! more each way, against 5 µs for the switch from one to the other on the same CPU. So the supervisor stays on its CPU for
//! a spell, and tells workers with each task to wait there for the next one (`nearness.py`). A task itself runs, and starts
//! things, wherever it could before.
//!
//! Whether that pays is measured, in turns: a CPU that others keep busy is a bad place to wait at. What is measured holds
//! only for the moment, so the way that is taken is compared with what is known of the other one all the time.

use std::io;
use std::time::Duration;

use crate::pool::SHORT;
use crate::process::Program;
use crate::process::sys::{CpuSet, Pid, PidFd, here, run_on};

/// The median of so many tasks is what one way takes. More often than so, nothing is decided.
const BLOCK: usize = 16;
/// The other way must take less than this part of the time: moving costs something, and the first tasks after it are quicker than
/// those that follow, as both CPUs are still awake.
const BETTER: (u32, u32) = (4, 5);
/// After so many blocks the other way is tried anew, at first;
const FIRST_SPELL: u32 = 64;
/// each time that it was worse, after twice as many, up to this.
const LONGEST_SPELL: u32 = 4096;

/// Where supervisor and workers wait for each other.
#[derive(Default)]
pub(super) struct Nearness {
    /// While there is one task alone: what counts is how long it takes from here to here.
    lone: Course,
    /// While there are several: how soon after each other they come back.
    crowd: Course,
    /// When one of several has come back last: time since boot.
    last: Option<Duration>,
    /// Where the supervisor stays, and where it could run before.
    pinned: Option<(u16, CpuSet)>,
}

impl Nearness {
    /// A task will be sent, the only one there is or one of several: the CPU at which its worker is to wait for the next one.
    pub(super) fn next(&mut self, alone: bool) -> Option<u16> {
        let course = if alone { &self.lone } else { &self.crowd };
        if !course.near() {
            self.part();
            return None;
        }
        if self.pinned.is_none() {
            // Where there is one CPU, or the system does not say, there is nothing to choose.
            self.pinned = here().and_then(|(cpu, before)| run_on(&CpuSet::of(cpu)).ok().map(|()| (cpu, before)));
        }
        self.pinned.as_ref().map(|(cpu, _)| *cpu)
    }

    /// It has come back now, time since boot, after this time.
    pub(super) fn on_answer(&mut self, alone: bool, took: Duration, now: Duration) {
        if alone {
            self.last = None;
            self.lone.on_answer(took);
            return;
        }
        let passed = self.last.replace(now).map(|last| now.saturating_sub(last));
        if took > SHORT {
            self.crowd = Course::default();
        } else if let Some(passed) = passed.filter(|passed| *passed <= SHORT) {
            self.crowd.on_answer(passed);
        }
    }

    /// Starts a program, which inherits where the supervisor may run: anywhere it could before.
    pub(super) fn start(&mut self, program: Program<'_>) -> io::Result<(Pid, PidFd)> {
        self.part();
        program.start()
    }

    /// Lets the supervisor run anywhere again, as it should while it waits for nobody at its CPU.
    pub(super) fn part(&mut self) {
        if let Some((_, before)) = self.pinned.take() {
            // Can fail only if those CPUs are gone, and then the kernel has chosen others.
            let _ = run_on(&before);
        }
    }
}

/// Which of the two is tried or taken.
struct Course {
    near: bool,
    /// The times of the last tasks: a block that is not full yet.
    block: [Duration; BLOCK],
    filled: usize,
    /// What a task took in the other way, when that was measured last.
    other: Option<Duration>,
    /// How many blocks have gone this way, and after how many the other one is tried.
    blocks: u32,
    spell: u32,
}

impl Default for Course {
    fn default() -> Self {
        Course { near: false, block: [Duration::ZERO; BLOCK], filled: 0, other: None, blocks: 0, spell: FIRST_SPELL }
    }
}

impl Course {
    fn near(&self) -> bool {
        self.near
    }

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
        // How long the way is kept that is taken instead; none where this one is.
        let spell = match self.other {
            None => FIRST_SPELL,
            // What was tried is worse,
            Some(other) if other < now * BETTER.0 / BETTER.1 && self.blocks == 1 => (self.spell * 2).min(LONGEST_SPELL),
            // or what was found good no longer is.
            Some(other) if other < now * BETTER.0 / BETTER.1 => FIRST_SPELL,
            Some(_) if self.blocks >= self.spell => self.spell,
            Some(_) => return,
        };
        *self = Course { near: !self.near, other: Some(now), spell, ..Course::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(course: &mut Course, tasks: usize, near: u64, far: u64) -> usize {
        let micros = Duration::from_micros;
        let mut spent_near = 0;
        for _ in 0..tasks {
            spent_near += usize::from(course.near());
            course.on_answer(micros(if course.near() { near } else { far }));
        }
        spent_near
    }

    #[test]
    fn it_is_near_where_that_is_quicker() {
        let near = after(&mut Course::default(), 20_000, 30, 130);
        assert!(near > 19_800, "{near} of 20,000");
    }

    #[test]
    fn it_is_far_where_that_is_quicker_and_asks_again_at_times() {
        let near = after(&mut Course::default(), 20_000, 200, 130);
        assert!((BLOCK..200).contains(&near), "{near} of 20,000");
    }

    #[test]
    fn a_long_task_ends_a_spell() {
        let mut course = Course::default();
        after(&mut course, 100, 30, 130);
        assert!(course.near());
        course.on_answer(Duration::from_millis(1));
        assert!(!course.near());
        assert_eq!(after(&mut course, 10_000, 3000, 1000), 0, "beside long tasks nothing is tried");
    }

    #[test]
    fn what_was_found_good_is_given_up_when_it_no_longer_is() {
        let mut course = Course::default();
        after(&mut course, 1_000, 30, 130);
        assert!(course.near());
        let near = after(&mut course, 20_000, 300, 130);
        assert!(near < 200, "{near} of 20,000");
    }

    #[test]
    fn a_trial_that_looked_too_good_costs_little() {
        let mut course = Course::default();
        // Far looks better for the first block, and is worse from then on.
        after(&mut course, BLOCK, 60, 30);
        after(&mut course, BLOCK, 60, 30);
        assert!(!course.near(), "the better one was chosen");
        let near = after(&mut course, 1_000, 60, 130);
        assert!(near >= 1_000 - BLOCK, "{near} of 1,000");
    }

    #[test]
    fn where_both_are_alike_they_do_not_take_turns() {
        let mut course = Course::default();
        let turns = (0..2_000).filter(|_| {
            let before = course.near();
            after(&mut course, 1, 100, 95);
            course.near() != before
        });
        assert!(turns.count() <= 4);
    }

    #[test]
    fn of_several_tasks_it_counts_how_soon_one_follows_the_other() {
        let micros = Duration::from_micros;
        let mut nearness = Nearness::default();
        let mut now = micros(0);
        let mut near = 0;
        for _ in 0..10_000 {
            near += u32::from(nearness.crowd.near);
            now += if nearness.crowd.near { micros(25) } else { micros(40) };
            // Each of them takes longer near, as they wait for each other there.
            nearness.on_answer(false, micros(if nearness.crowd.near { 100 } else { 80 }), now);
        }
        assert!(near > 9_800, "{near} of 10,000");
        // A pause is no task that takes long; a long task is.
        now += micros(900_000);
        nearness.on_answer(false, micros(80), now);
        assert!(nearness.crowd.near);
        nearness.on_answer(false, micros(3_000), now + micros(40));
        assert!(!nearness.crowd.near && !nearness.lone.near);
    }
}
