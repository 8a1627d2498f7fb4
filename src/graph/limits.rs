//! What the processes of a pool or an actor may use: cgroup v2 limits as the file gives them.

/// Limits of one cgroup leaf. Absent means unlimited.
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
