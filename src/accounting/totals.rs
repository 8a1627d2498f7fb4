//! Sums and peaks over many tasks.

use std::time::Duration;

use super::{Figure, Origins, Usage};

/// A sum of figures. `None` if there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum<T> {
    /// The sum.
    pub value: Option<T>,
    /// The origins of its parts.
    pub origins: Origins,
    /// Whether parts are missing: then the sum is a lower bound.
    pub incomplete: bool,
}

impl<T: std::ops::Add<Output = T> + Copy> Sum<T> {
    fn add(&mut self, figure: Option<Figure<T>>) {
        match figure {
            Some(figure) => {
                self.value = Some(self.value.map_or(figure.value, |sum| sum + figure.value));
                self.origins.add(figure.origin);
            }
            None => self.incomplete = true,
        }
    }

    fn merge(&mut self, other: &Self) {
        if let Some(value) = other.value {
            self.value = Some(self.value.map_or(value, |sum| sum + value));
        }
        self.origins.add_all(other.origins);
        self.incomplete |= other.incomplete;
    }
}

/// The highest of several figures. `None` if there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peak {
    /// The highest value.
    pub value: Option<u64>,
    /// Its origin.
    pub origins: Origins,
}

impl Peak {
    fn add(&mut self, figure: Option<Figure<u64>>) {
        if let Some(figure) = figure.filter(|figure| self.value.is_none_or(|value| figure.value >= value)) {
            let mut origins = Origins::default();
            origins.add(figure.origin);
            *self = Peak { value: Some(figure.value), origins };
        }
    }

    fn merge(&mut self, other: &Self) {
        if other.value > self.value {
            *self = *other;
        }
    }
}

/// The usage of many tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)] // The fields are those of `Usage`.
pub struct Totals {
    pub cpu_user: Sum<Duration>,
    pub cpu_system: Sum<Duration>,
    pub memory_peak: Peak,
    pub read: Sum<u64>,
    pub written: Sum<u64>,
    pub processes_peak: Peak,
    pub stalled_cpu: Sum<Duration>,
    pub stalled_memory: Sum<Duration>,
    pub stalled_io: Sum<Duration>,
}

impl Totals {
    /// Adds the usage of one period.
    pub fn add(&mut self, usage: &Usage) {
        self.cpu_user.add(usage.cpu_user);
        self.cpu_system.add(usage.cpu_system);
        self.memory_peak.add(usage.memory_peak);
        self.read.add(usage.read);
        self.written.add(usage.written);
        self.processes_peak.add(usage.processes_peak);
        self.stalled_cpu.add(usage.stalled_cpu);
        self.stalled_memory.add(usage.stalled_memory);
        self.stalled_io.add(usage.stalled_io);
    }

    /// Adds other totals.
    pub fn merge(&mut self, other: &Totals) {
        self.cpu_user.merge(&other.cpu_user);
        self.cpu_system.merge(&other.cpu_system);
        self.memory_peak.merge(&other.memory_peak);
        self.read.merge(&other.read);
        self.written.merge(&other.written);
        self.processes_peak.merge(&other.processes_peak);
        self.stalled_cpu.merge(&other.stalled_cpu);
        self.stalled_memory.merge(&other.stalled_memory);
        self.stalled_io.merge(&other.stalled_io);
    }
}
