//! Limits of one cgroup, and writing them.

use std::fmt;
use std::io;
use std::path::Path;

use super::{Controller, Controllers, files};

/// What the processes of one cgroup may use. Absent means unlimited.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// `memory.max`, bytes: above it the kernel kills.
    pub memory_max: Option<u64>,
    /// `memory.high`, bytes: above it the kernel slows down.
    pub memory_high: Option<u64>,
    /// `cpu.max` in CPUs: 1.5 is one and a half.
    pub cpu_max: Option<f64>,
    /// `cpu.weight`, 1 to 10000.
    pub cpu_weight: Option<u32>,
    /// `pids.max`: how many processes and threads.
    pub pids_max: Option<u64>,
    /// `io.weight`, 1 to 10000.
    pub io_weight: Option<u32>,
}

/// The name of one limit, as the workflow file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum LimitName {
    MemoryMax,
    MemoryHigh,
    CpuMax,
    CpuWeight,
    PidsMax,
    IoWeight,
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LimitName::MemoryMax => "memory_max",
            LimitName::MemoryHigh => "memory_high",
            LimitName::CpuMax => "cpu_max",
            LimitName::CpuWeight => "cpu_weight",
            LimitName::PidsMax => "pids_max",
            LimitName::IoWeight => "io_weight",
        })
    }
}

impl LimitName {
    /// The controller that enforces it.
    pub fn controller(self) -> Controller {
        match self {
            LimitName::MemoryMax | LimitName::MemoryHigh => Controller::Memory,
            LimitName::CpuMax | LimitName::CpuWeight => Controller::Cpu,
            LimitName::PidsMax => Controller::Pids,
            LimitName::IoWeight => Controller::Io,
        }
    }
}

/// A limit that is not in force.
#[derive(Debug)]
pub struct Unapplied {
    /// Which.
    pub limit: LimitName,
    /// Why: to follow "is not applied: ".
    pub why: String,
}

/// `cpu.max` has its quota per so many microseconds, the kernel's own default.
const CPU_PERIOD: u64 = 100_000;
/// The kernel takes no smaller quota.
const LEAST_QUOTA: u64 = 1_000;
/// BFQ's weights end here.
const MOST_BFQ_WEIGHT: u32 = 1_000;

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }

    /// The limits that are set.
    pub fn names(&self) -> impl Iterator<Item = LimitName> {
        [
            self.memory_max.map(|_| LimitName::MemoryMax),
            self.memory_high.map(|_| LimitName::MemoryHigh),
            self.cpu_max.map(|_| LimitName::CpuMax),
            self.cpu_weight.map(|_| LimitName::CpuWeight),
            self.pids_max.map(|_| LimitName::PidsMax),
            self.io_weight.map(|_| LimitName::IoWeight),
        ]
        .into_iter()
        .flatten()
    }

    /// Writes every limit whose controller is there; returns those that are not in force.
    pub(super) fn apply(&self, folder: &Path, controllers: Controllers) -> Vec<Unapplied> {
        let mut unapplied = Vec::new();
        for limit in self.names() {
            let written = match limit.controller() {
                controller if !controllers.has(controller) => Err(format!("there is no {controller} controller")),
                _ => self.write(limit, folder),
            };
            unapplied.extend(written.err().map(|why| Unapplied { limit, why }));
        }
        unapplied
    }

    fn write(&self, limit: LimitName, folder: &Path) -> Result<(), String> {
        let number = |number: Option<u64>| number.unwrap_or_default().to_string();
        let written = match limit {
            LimitName::MemoryMax => {
                // One kill ends the whole leaf: a task that lost one of its processes might wait for it for ever.
                files::write(folder, "memory.oom.group", "1")
                    .and_then(|()| files::write(folder, "memory.max", &number(self.memory_max)))
            }
            LimitName::MemoryHigh => files::write(folder, "memory.high", &number(self.memory_high)),
            LimitName::CpuMax => {
                let quota = (self.cpu_max.unwrap_or_default() * CPU_PERIOD as f64).round() as u64;
                files::write(folder, "cpu.max", &format!("{} {CPU_PERIOD}", quota.max(LEAST_QUOTA)))
            }
            LimitName::CpuWeight => files::write(folder, "cpu.weight", &number(self.cpu_weight.map(u64::from))),
            LimitName::PidsMax => files::write(folder, "pids.max", &number(self.pids_max)),
            LimitName::IoWeight => return write_io_weight(self.io_weight.unwrap_or_default(), folder),
        };
        written.map_err(|error| error.to_string())
    }
}

/// `io.weight` is there where the kernel has the iocost model, `io.bfq.weight` where BFQ is compiled in or loaded.
fn write_io_weight(weight: u32, folder: &Path) -> Result<(), String> {
    match files::write(folder, "io.weight", &format!("default {weight}")) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
            files::write(folder, "io.bfq.weight", &weight.min(MOST_BFQ_WEIGHT).to_string())
                .map_err(|_| "this kernel has neither io.weight nor io.bfq.weight".to_owned())
        }
        written => written.map_err(|error| error.to_string()),
    }
}
