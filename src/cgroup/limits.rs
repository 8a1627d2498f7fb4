//! The limits of a cgroup.

use std::io;
use std::path::Path;

use super::{CgroupError, Controller, Controllers, files};

/// The limits of a cgroup. `None` means unlimited.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// `memory.max` in bytes. When it is exceeded, the kernel kills.
    pub memory_max: Option<u64>,
    /// `memory.high` in bytes. When it is exceeded, the kernel slows the processes down.
    pub memory_high: Option<u64>,
    /// `cpu.max` in CPUs: 1.5 is one and a half.
    pub cpu_max: Option<f64>,
    /// `cpu.weight`, 1 to 10000.
    pub cpu_weight: Option<u32>,
    /// `pids.max`: maximum number of processes and threads.
    pub pids_max: Option<u64>,
    /// `io.weight`, 1 to 10000.
    pub io_weight: Option<u32>,
}

/// The name of a limit in workflow files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs)]
pub enum LimitName {
    MemoryMax,
    MemoryHigh,
    CpuMax,
    CpuWeight,
    PidsMax,
    IoWeight,
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

/// A limit that could not be applied.
#[derive(Debug)]
pub struct Unapplied {
    /// The limit.
    pub limit: LimitName,
    /// The reason. The text follows "is not applied: ".
    pub why: LimitError,
}

/// Why a limit could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The cgroup does not have the controller.
    #[error("there is no {0} controller")]
    NoController(Controller),
    /// The kernel has neither the iocost model nor BFQ.
    #[error("this kernel has neither io.weight nor io.bfq.weight")]
    NoIoWeight,
    /// The kernel refused the value.
    #[error(transparent)]
    Refused(#[from] CgroupError),
}

/// The period of `cpu.max` in microseconds. This is the default of the kernel.
const CPU_PERIOD: u64 = 100_000;
/// The smallest quota that the kernel accepts, in microseconds.
const MIN_QUOTA: u64 = 1_000;
/// The largest weight of BFQ.
const MAX_BFQ_WEIGHT: u32 = 1_000;

impl Limits {
    /// Whether there are no limits.
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

    /// Writes all limits. Returns those that could not be applied.
    pub(super) fn apply(&self, folder: &Path, controllers: Controllers) -> Vec<Unapplied> {
        let mut unapplied = Vec::new();
        for limit in self.names() {
            let written = match limit.controller() {
                controller if !controllers.has(controller) => Err(LimitError::NoController(controller)),
                _ => self.write(limit, folder),
            };
            unapplied.extend(written.err().map(|why| Unapplied { limit, why }));
        }
        unapplied
    }

    fn write(&self, limit: LimitName, folder: &Path) -> Result<(), LimitError> {
        let number = |number: Option<u64>| number.unwrap_or_default().to_string();
        let written = match limit {
            LimitName::MemoryMax => {
                // The kernel kills the whole leaf: a task that lost one of its processes might wait for it forever.
                files::write(folder, "memory.oom.group", "1")
                    .and_then(|()| files::write(folder, "memory.max", &number(self.memory_max)))
            }
            LimitName::MemoryHigh => files::write(folder, "memory.high", &number(self.memory_high)),
            LimitName::CpuMax => {
                let quota = (self.cpu_max.unwrap_or_default() * CPU_PERIOD as f64).round() as u64;
                files::write(folder, "cpu.max", &format!("{} {CPU_PERIOD}", quota.max(MIN_QUOTA)))
            }
            LimitName::CpuWeight => files::write(folder, "cpu.weight", &number(self.cpu_weight.map(u64::from))),
            LimitName::PidsMax => files::write(folder, "pids.max", &number(self.pids_max)),
            LimitName::IoWeight => return write_io_weight(self.io_weight.unwrap_or_default(), folder),
        };
        Ok(written?)
    }
}

/// Kernels with the iocost model have `io.weight`, kernels with BFQ have `io.bfq.weight`.
fn write_io_weight(weight: u32, folder: &Path) -> Result<(), LimitError> {
    match files::write(folder, "io.weight", &format!("default {weight}")) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
            files::write(folder, "io.bfq.weight", &weight.min(MAX_BFQ_WEIGHT).to_string())
                .map_err(|_| LimitError::NoIoWeight)
        }
        written => Ok(written?),
    }
}
