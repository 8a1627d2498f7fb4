//! Reading what one worker or program has used: from its cgroup leaf where there is one, from /proc for what that lacks, and
//! from wait4's figures once it is dead.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::accounting::{Figure, Origin, Usage};
use crate::cgroup::{Controller, Gauges, Leaf, Reading};
use crate::process::figures::{Figures, ProcessFiles, Wanted};
use crate::process::sys::{Pid, Reaped, Rusage};

/// The meter of one worker or program.
pub(super) struct Meter {
    leaf: Option<Counter<Gauges>>,
    /// For what the leaf does not have; of the process alone.
    process: Counter<Option<ProcessFiles>>,
    /// What wait4 said when it died.
    died: Option<Usage>,
    pub(super) read_at: Instant,
}

/// Something that is read, and what it showed last.
struct Counter<T> {
    of: T,
    last: Usage,
    /// The peak of the memory began anew at the last reading.
    fresh_memory: bool,
}

impl<T> Counter<T> {
    /// A counter of something that begins now.
    fn new(of: T) -> Self {
        Counter { of, last: Usage::default(), fresh_memory: true }
    }

    fn advance(&mut self, reading: Usage, reset: impl FnOnce(&mut T) -> bool) -> Usage {
        let used = reading.since(&self.last, self.fresh_memory);
        self.last = reading;
        self.fresh_memory = reset(&mut self.of);
        used
    }
}

impl Meter {
    /// The meter of something that has just been started, in this leaf if it has one. Nothing is read from /proc while the
    /// process is not known.
    pub(super) fn new(leaf: Option<&Leaf>, process: Option<Pid>, now: Instant) -> Self {
        let has = |controller| leaf.is_some_and(|leaf| leaf.controllers().has(controller));
        let mut gauges = leaf.map(|leaf| Gauges::open(leaf.folder()));
        // Where the leaf's peak does not begin anew, that of the process says more about one task.
        let peaks = gauges.as_mut().is_some_and(Gauges::reset_memory_peak);
        let wanted =
            Wanted { cpu: leaf.is_none(), io: !has(Controller::Io), memory: !has(Controller::Memory) || !peaks };
        let files = process
            .filter(|_| wanted.cpu || wanted.io || wanted.memory)
            .map(|pid| ProcessFiles::open(&PathBuf::from(format!("/proc/{pid}")), wanted));
        Meter { leaf: gauges.map(Counter::new), process: Counter::new(files), died: None, read_at: now }
    }

    /// It was reaped: these are its last figures.
    pub(super) fn on_reaped(&mut self, reaped: &Reaped) {
        self.died = Some(of_rusage(&reaped.usage));
    }

    /// What was used since the last reading.
    pub(super) fn read(&mut self, now: Instant) -> Usage {
        self.read_at = now;
        let by_leaf = self.leaf.as_mut().map(|leaf| {
            let reading = of_cgroup(&leaf.of.read());
            leaf.advance(reading, Gauges::reset_memory_peak)
        });
        let reading = match (&self.died, &self.process.of) {
            (Some(died), _) => *died,
            (None, Some(files)) => of_proc(&files.read()),
            (None, None) => Usage::default(),
        };
        let by_process =
            self.process.advance(reading, |files| files.as_ref().is_some_and(ProcessFiles::reset_memory_peak));
        by_leaf.unwrap_or_default().or(&by_process)
    }
}

/// How much of the supervisor's time goes into reading: a burst, and from then on a small part of what passes.
///
/// With tasks of some ten microseconds, a reading after each would cost as much as the task. Those that follow each other
/// more quickly than readings are afforded are read together.
pub(super) struct Budget {
    began: Instant,
    spent: Duration,
}

const BURST: Duration = Duration::from_millis(2);
/// One in so many.
const PART: u32 = 100;
/// A task that took so long is read in any case: that is many times as long as the reading takes.
const LONG_TASK: Duration = Duration::from_millis(2);
/// So is what short tasks have used together for so long.
const LONG_STRETCH: Duration = Duration::from_millis(20);

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Budget { began: now, spent: Duration::ZERO }
    }

    /// Whether a reading is afforded at the end of a task, or in front of one that took no time yet, `passed` after the last
    /// reading.
    pub(super) fn allows(&self, task: Duration, passed: Duration, now: Instant) -> bool {
        task >= LONG_TASK
            || passed >= LONG_STRETCH
            || self.spent <= BURST + now.saturating_duration_since(self.began) / PART
    }

    pub(super) fn spend(&mut self, since: Instant) {
        self.spent += since.elapsed();
    }
}

/// A cgroup's figures as usage.
pub(super) fn of_cgroup(reading: &Reading) -> Usage {
    fn figure<T>(value: T) -> Figure<T> {
        Figure::new(value, Origin::Cgroup)
    }
    let [stalled_cpu, stalled_memory, stalled_io] = reading.stalled.map(|time| time.map(figure));
    Usage {
        cpu_user: reading.cpu.user.map(figure),
        cpu_system: reading.cpu.system.map(figure),
        memory: reading.memory.map(figure),
        memory_peak: reading.memory_peak.map(figure),
        read: reading.io.map(|io| figure(io.read)),
        written: reading.io.map(|io| figure(io.written)),
        processes: reading.processes.map(figure),
        processes_peak: reading.processes_peak.map(figure),
        stalled_cpu,
        stalled_memory,
        stalled_io,
    }
}

/// A process's figures as usage.
pub(super) fn of_proc(figures: &Figures) -> Usage {
    fn figure<T>(value: T) -> Figure<T> {
        Figure::new(value, Origin::Proc)
    }
    Usage {
        cpu_user: figures.cpu.map(|(user, _)| figure(user)),
        cpu_system: figures.cpu.map(|(_, system)| figure(system)),
        memory: figures.memory.map(figure),
        memory_peak: figures.memory_peak.map(figure),
        read: figures.io.map(|(read, _)| figure(read)),
        written: figures.io.map(|(_, written)| figure(written)),
        ..Usage::default()
    }
}

/// wait4's and getrusage's figures as usage.
pub(super) fn of_rusage(used: &Rusage) -> Usage {
    fn figure<T>(value: T) -> Option<Figure<T>> {
        Some(Figure::new(value, Origin::Rusage))
    }
    Usage {
        cpu_user: figure(used.cpu.0),
        cpu_system: figure(used.cpu.1),
        memory_peak: figure(used.memory_peak),
        read: figure(used.io.0),
        written: figure(used.io.1),
        ..Usage::default()
    }
}
