//! The usage of a process or cgroup: at a moment, and between two moments.

use std::time::Duration;

use super::Figure;

/// The usage of a process or cgroup: since its start, or between two readings ([`Usage::since`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// CPU time in user mode.
    pub cpu_user: Option<Figure<Duration>>,
    /// CPU time in the kernel.
    pub cpu_system: Option<Figure<Duration>>,
    /// Memory usage at the later moment, in bytes.
    pub memory: Option<Figure<u64>>,
    /// Peak memory usage in bytes. `None` if only the peak of a longer period is known.
    pub memory_peak: Option<Figure<u64>>,
    /// Bytes read from block devices.
    pub read: Option<Figure<u64>>,
    /// Bytes written to block devices. A cgroup counts them at writeback.
    pub written: Option<Figure<u64>>,
    /// Processes and threads at the later moment.
    pub processes: Option<Figure<u64>>,
    /// Peak number of processes and threads. `None` as for memory.
    pub processes_peak: Option<Figure<u64>>,
    /// Time spent waiting for a CPU.
    pub stalled_cpu: Option<Figure<Duration>>,
    /// Time spent waiting for memory.
    pub stalled_memory: Option<Figure<Duration>>,
    /// Time spent waiting for I/O.
    pub stalled_io: Option<Figure<Duration>>,
}

impl Usage {
    /// The usage between an earlier reading and this one. `fresh_memory`: the memory peak was reset at the earlier one.
    pub fn since(&self, earlier: &Usage, fresh_memory: bool) -> Usage {
        Usage {
            cpu_user: time_since(self.cpu_user, earlier.cpu_user),
            cpu_system: time_since(self.cpu_system, earlier.cpu_system),
            memory: self.memory,
            memory_peak: if fresh_memory { self.memory_peak } else { risen(self.memory_peak, earlier.memory_peak) },
            read: count_since(self.read, earlier.read),
            written: count_since(self.written, earlier.written),
            processes: self.processes,
            processes_peak: risen(self.processes_peak, earlier.processes_peak),
            stalled_cpu: time_since(self.stalled_cpu, earlier.stalled_cpu),
            stalled_memory: time_since(self.stalled_memory, earlier.stalled_memory),
            stalled_io: time_since(self.stalled_io, earlier.stalled_io),
        }
    }

    /// The figures of this reading, with missing ones taken from the other.
    pub fn or(self, other: &Usage) -> Usage {
        Usage {
            cpu_user: self.cpu_user.or(other.cpu_user),
            cpu_system: self.cpu_system.or(other.cpu_system),
            memory: self.memory.or(other.memory),
            memory_peak: self.memory_peak.or(other.memory_peak),
            read: self.read.or(other.read),
            written: self.written.or(other.written),
            processes: self.processes.or(other.processes),
            processes_peak: self.processes_peak.or(other.processes_peak),
            stalled_cpu: self.stalled_cpu.or(other.stalled_cpu),
            stalled_memory: self.stalled_memory.or(other.stalled_memory),
            stalled_io: self.stalled_io.or(other.stalled_io),
        }
    }

    /// The usage of two consecutive periods.
    pub fn then(&self, later: &Usage) -> Usage {
        Usage {
            cpu_user: added(self.cpu_user, later.cpu_user),
            cpu_system: added(self.cpu_system, later.cpu_system),
            memory: later.memory,
            memory_peak: higher(self.memory_peak, later.memory_peak),
            read: added(self.read, later.read),
            written: added(self.written, later.written),
            processes: later.processes,
            processes_peak: higher(self.processes_peak, later.processes_peak),
            stalled_cpu: added(self.stalled_cpu, later.stalled_cpu),
            stalled_memory: added(self.stalled_memory, later.stalled_memory),
            stalled_io: added(self.stalled_io, later.stalled_io),
        }
    }
}

/// Counters of different origins have different resolutions, so a difference is limited to zero.
fn time_since(later: Option<Figure<Duration>>, earlier: Option<Figure<Duration>>) -> Option<Figure<Duration>> {
    Some(Figure { value: later?.value.saturating_sub(earlier.map_or(Duration::ZERO, |it| it.value)), ..later? })
}

fn count_since(later: Option<Figure<u64>>, earlier: Option<Figure<u64>>) -> Option<Figure<u64>> {
    Some(Figure { value: later?.value.saturating_sub(earlier.map_or(0, |it| it.value)), ..later? })
}

fn risen(later: Option<Figure<u64>>, earlier: Option<Figure<u64>>) -> Option<Figure<u64>> {
    later.filter(|later| earlier.is_none_or(|earlier| later.value > earlier.value))
}

/// If a part is missing, the sum is unknown.
fn added<T: std::ops::Add<Output = T>>(one: Option<Figure<T>>, other: Option<Figure<T>>) -> Option<Figure<T>> {
    let (one, other) = (one?, other?);
    Some(Figure { value: one.value + other.value, origin: other.origin })
}

fn higher(one: Option<Figure<u64>>, other: Option<Figure<u64>>) -> Option<Figure<u64>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if one.value > other.value { one } else { other }),
        (one, other) => one.or(other),
    }
}
