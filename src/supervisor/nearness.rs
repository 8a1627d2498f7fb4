//! Sharing a CPU with the only worker that has something to do.
//!
//! Where short tasks follow each other one at a time, in a loop or a chain, supervisor and worker wait for each other in turn. The
//! kernel wakes each of them on a CPU that is idle, and most of a hop is then the time that such a CPU needs to
//! wake up: on a virtual machine 50 µs and more each way, against 5 µs for the switch from one to the other on the same
//! CPU. So the supervisor stays on its CPU for a spell, and tells the worker with each task to wait there for the next one
//! (`nearness.py`). A task itself runs, and starts things, wherever it could before.
//!
//! Whether that pays is measured, in turns: a CPU that others keep busy is a bad place to wait at.

use std::time::Duration;

use crate::process::sys::{CpuSet, here, run_on};

/// So many times are compared, and make a spell of which little is lost if it was the wrong one.
const TRIAL: usize = 16;
/// For so many tasks holds what was found.
const SPELL: usize = 4096;
/// Beside a task that takes longer, waking up does not matter.
const SHORT: Duration = Duration::from_micros(500);

/// Where supervisor and worker wait for each other.
#[derive(Default)]
pub(super) struct Nearness {
    course: Course,
    /// Where the supervisor stays, and where it could run before.
    pinned: Option<(u16, CpuSet)>,
}

impl Nearness {
    /// The only task there is will be sent: the CPU at which its worker is to wait for the next one.
    pub(super) fn next(&mut self) -> Option<u16> {
        if !self.course.near() {
            self.part();
            return None;
        }
        if self.pinned.is_none() {
            // Where there is one CPU, or the system does not say, there is nothing to choose.
            self.pinned = here().and_then(|(cpu, before)| run_on(&CpuSet::of(cpu)).ok().map(|()| (cpu, before)));
        }
        self.pinned.as_ref().map(|(cpu, _)| *cpu)
    }

    /// It has come back after this time.
    pub(super) fn on_answer(&mut self, took: Duration) {
        self.course.on_answer(took);
    }

    /// There are other tasks beside it: each has a CPU of its own, if there are enough.
    pub(super) fn not_alone(&mut self) {
        self.course = Course::default();
        self.part();
    }

    /// Lets the supervisor run anywhere again: before it starts a program, which would inherit where it may run, and while
    /// it has nothing to wait for.
    pub(super) fn part(&mut self) {
        if let Some((_, before)) = self.pinned.take() {
            // Can fail only if those CPUs are gone, and then the kernel has chosen others.
            let _ = run_on(&before);
        }
    }
}

/// Which of the two is tried or taken.
#[derive(Default)]
struct Course {
    near: bool,
    /// The times of the first tasks of this spell, and how many tasks it has had.
    times: [Duration; TRIAL],
    count: usize,
    /// What a task took in the other way, if that is the newer trial's question.
    other: Option<Duration>,
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
        if let Some(place) = self.times.get_mut(self.count) {
            *place = took;
        }
        self.count += 1;
        let over = match self.other {
            // The first trial, or what was found no longer holds: try the other way.
            None => self.count == TRIAL,
            Some(other) if self.count == TRIAL => other < self.usual(),
            Some(_) => self.count == SPELL,
        };
        if over {
            // A spell that was found to be the better one is asked anew at its end.
            let other = Some(self.usual());
            *self = Course { near: !self.near, other, ..Course::default() };
        }
    }

    /// The median of the times.
    fn usual(&self) -> Duration {
        let mut times = self.times;
        times.sort_unstable();
        times[TRIAL / 2]
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
        assert!((TRIAL..200).contains(&near), "{near} of 20,000");
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
    fn what_changes_is_noticed_within_a_spell() {
        let mut course = Course::default();
        after(&mut course, 1_000, 30, 130);
        let near = after(&mut course, 20_000, 300, 130);
        assert!(near < SPELL + 200, "{near} of 20,000");
    }
}
