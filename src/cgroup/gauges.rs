//! Repeated reading of the figures of a cgroup. The files are opened once and read in place.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::{cpu, files, io, pressure};

/// Initial size of the buffer. `io.stat`, with a line for each device, may need more.
const FIRST_SIZE: usize = 4096;

/// The figures of a cgroup at one moment. Figures that could not be read are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// CPU time since the cgroup was created.
    pub cpu: cpu::Stat,
    /// Bytes read and written since the cgroup was created.
    pub io: Option<io::Stat>,
    /// Memory in use, in bytes.
    pub memory: Option<u64>,
    /// Peak memory usage in bytes since the cgroup was created or the peak was reset.
    pub memory_peak: Option<u64>,
    /// Number of processes and threads.
    pub processes: Option<u64>,
    /// Peak number of processes and threads since the cgroup was created.
    pub processes_peak: Option<u64>,
    /// Time in which processes waited for CPU, memory and I/O since the cgroup was created.
    pub stalled: [Option<Duration>; 3],
}

/// The open files of one cgroup.
#[derive(Debug)]
pub struct Gauges {
    cpu: Option<File>,
    io: Option<File>,
    memory: Option<File>,
    memory_peak: Option<File>,
    /// Whether the peak can perhaps be reset through this file. Root can open it for writing on any kernel, but only Linux 6.12 and
    /// newer accept a write.
    resettable: bool,
    processes: Option<File>,
    processes_peak: Option<File>,
    pressure: [Option<File>; 3],
    buffer: Vec<u8>,
}

impl Gauges {
    /// Opens the files that exist.
    pub fn open(folder: &Path) -> Self {
        let open = |name: &str| File::open(folder.join(name)).ok();
        let writable = OpenOptions::new().read(true).write(true).open(folder.join("memory.peak")).ok();
        Gauges {
            cpu: open("cpu.stat"),
            io: open("io.stat"),
            memory: open("memory.current"),
            resettable: writable.is_some(),
            memory_peak: writable.or_else(|| open("memory.peak")),
            processes: open("pids.current"),
            processes_peak: open("pids.peak"),
            pressure: ["cpu.pressure", "memory.pressure", "io.pressure"].map(open),
            buffer: vec![0; FIRST_SIZE],
        }
    }

    /// Reads everything.
    pub fn read(&mut self) -> Reading {
        let buffer = &mut self.buffer;
        Reading {
            cpu: text(&self.cpu, buffer).map(cpu::Stat::parse).unwrap_or_default(),
            io: text(&self.io, buffer).map(io::Stat::parse),
            memory: text(&self.memory, buffer).and_then(files::single),
            memory_peak: text(&self.memory_peak, buffer).and_then(files::single),
            processes: text(&self.processes, buffer).and_then(files::single),
            processes_peak: text(&self.processes_peak, buffer).and_then(files::single),
            stalled: [0, 1, 2].map(|which| text(&self.pressure[which], buffer).and_then(pressure::stalled)),
        }
    }

    /// Lets the peak of the memory begin anew, for who reads it here; false where the kernel cannot do that.
    pub fn reset_memory_peak(&mut self) -> bool {
        self.resettable =
            self.resettable && self.memory_peak.as_ref().is_some_and(|file| file.write_at(b"0", 0).is_ok());
        self.resettable
    }
}

/// The text of a file from its beginning.
fn text<'a>(file: &Option<File>, buffer: &'a mut Vec<u8>) -> Option<&'a str> {
    let file = file.as_ref()?;
    let mut length = 0;
    loop {
        let count = file.read_at(&mut buffer[length..], length as u64).ok()?;
        length += count;
        if length < buffer.len() || count == 0 {
            break;
        }
        buffer.resize(2 * length, 0);
    }
    std::str::from_utf8(&buffer[..length]).ok()
}
