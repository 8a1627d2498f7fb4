//! Repeated reading of the usage figures of one process from /proc. The files are opened once: after the process has ended, they
//! return nothing, and never the figures of another process with the same id.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// Figures of a process at one moment. Figures that could not be read are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// User and system CPU time of the process and the children that it has waited for, in steps of a clock tick (usually 10 ms).
    pub cpu: Option<(Duration, Duration)>,
    /// Bytes read from and written to block devices, by the same processes.
    pub io: Option<(u64, u64)>,
    /// Memory in use in bytes, of the process alone.
    pub memory: Option<u64>,
    /// Peak memory usage in bytes, since the start or [`ProcessFiles::reset_memory_peak`].
    pub memory_peak: Option<u64>,
}

/// The figures to read. Each costs some microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Wanted {
    pub cpu: bool,
    pub io: bool,
    pub memory: bool,
}

/// The open files of one process.
#[derive(Debug)]
pub struct ProcessFiles {
    stat: Option<File>,
    io: Option<File>,
    status: Option<File>,
    clear_refs: Option<File>,
    tick: Duration,
}

impl ProcessFiles {
    /// Opens the files in `folder` (`/proc/PID`).
    pub fn open(folder: &Path, wanted: Wanted) -> Self {
        let open = |wanted: bool, name: &str| wanted.then(|| File::open(folder.join(name)).ok()).flatten();
        let clear_refs = OpenOptions::new().write(true).open(folder.join("clear_refs")).ok();
        ProcessFiles {
            stat: open(wanted.cpu, "stat"),
            io: open(wanted.io, "io"),
            status: open(wanted.memory, "status"),
            clear_refs: clear_refs.filter(|_| wanted.memory),
            tick: Duration::from_secs(1) / u32::try_from(procfs::ticks_per_second()).unwrap_or(100).max(1),
        }
    }

    /// Reads the figures.
    pub fn read(&self) -> Figures {
        let mut buffer = [0; 4096];
        let cpu = text(&self.stat, &mut buffer).and_then(cpu_ticks);
        let cpu = cpu.map(|(user, system)| (times(self.tick, user), times(self.tick, system)));
        let io =
            text(&self.io, &mut buffer).and_then(|io| Some((number(io, "read_bytes:")?, number(io, "write_bytes:")?)));
        let status = text(&self.status, &mut buffer);
        let memory = |key| status.and_then(|status| number(status, key)).map(|kibibytes| kibibytes * 1024);
        Figures { cpu, io, memory: memory("VmRSS:"), memory_peak: memory("VmHWM:") }
    }

    /// Resets the memory peak (proc(5), `clear_refs`, value 5). Returns false if that fails.
    pub fn reset_memory_peak(&self) -> bool {
        self.clear_refs.as_ref().is_some_and(|file| file.write_at(b"5", 0).is_ok())
    }
}

fn times(tick: Duration, ticks: u64) -> Duration {
    tick.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
}

fn text<'a>(file: &Option<File>, buffer: &'a mut [u8]) -> Option<&'a str> {
    let count = file.as_ref()?.read_at(buffer, 0).ok()?;
    std::str::from_utf8(&buffer[..count]).ok()
}

/// User and system ticks, including waited-for children: fields 14 to 17 of proc_pid_stat(5).
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    // The name in brackets may contain any character. The third field follows it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    let mut next = || ticks.next().flatten();
    let (user, system, child_user, child_system) = (next()?, next()?, next()?, next()?);
    Some((user + child_user, system + child_system))
}

fn number(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::{Figures, ProcessFiles, Wanted};

    const ALL: Wanted = Wanted { cpu: true, io: true, memory: true };

    #[test]
    fn the_files_of_a_process_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let stat = "7 (a) b ) (c) S 1 7 7 0 -1 4194304 1 2 3 4 150 20 50 5 20 0 1 0 100 0 0";
        fs::write(folder.path().join("stat"), stat).unwrap();
        fs::write(folder.path().join("io"), "rchar: 1\nwchar: 2\nread_bytes: 4096\nwrite_bytes: 8192\n").unwrap();
        fs::write(folder.path().join("status"), "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t    1024 kB\n").unwrap();
        let tick = Duration::from_secs(1) / procfs::ticks_per_second() as u32;
        let read = ProcessFiles::open(folder.path(), ALL).read();
        assert_eq!(read.cpu, Some((tick * 200, tick * 25)));
        assert_eq!(read.io, Some((4096, 8192)));
        assert_eq!((read.memory, read.memory_peak), (Some(1 << 20), Some(2 << 20)));
    }

    #[test]
    fn missing_files_give_no_figures() {
        let folder = tempfile::tempdir().unwrap();
        let files = ProcessFiles::open(folder.path(), ALL);
        assert_eq!(files.read(), Figures::default());
        assert!(!files.reset_memory_peak());
        fs::write(folder.path().join("stat"), "garbage").unwrap();
        assert_eq!(ProcessFiles::open(folder.path(), ALL).read().cpu, None);
    }
}
