//! The processes below a process, read from /proc.

use std::collections::{HashMap, HashSet};

use procfs::process::{Stat, all_processes};

use super::sys::{Pid, PidFd, Signal};

/// One process as /proc shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// Its name (`comm`), 15 bytes at the most.
    pub name: String,
    /// When it started, in clock ticks since boot: with the pid, what makes it this process.
    pub started: u64,
    /// Whether it has ended and waits for its parent to reap it.
    pub zombie: bool,
}

/// Everything below a process, deepest first; the process itself is not among it.
pub fn descendants(root: Pid) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Stat>> = HashMap::new();
    // A process that ends while /proc is read is simply not there.
    for stat in all_processes().into_iter().flatten().filter_map(|process| process.ok()?.stat().ok()) {
        children.entry(stat.ppid).or_default().push(stat);
    }
    let mut found = Vec::new();
    let mut parents = vec![root.as_raw()];
    while let Some(parent) = parents.pop() {
        for stat in children.remove(&parent).unwrap_or_default() {
            parents.push(stat.pid);
            found.push(Process {
                pid: Pid::from_raw(stat.pid),
                zombie: stat.state == 'Z',
                started: stat.starttime,
                name: stat.comm,
            });
        }
    }
    // A parent is found before its children.
    found.reverse();
    found
}

/// Whether a process descends from another.
pub fn is_below(pid: Pid, root: Pid) -> bool {
    descendants(root).iter().any(|process| process.pid == pid)
}

/// Sends a signal to everything below a process, deepest first. Returns how many processes it went to.
pub fn signal_descendants(root: Pid, signal: Signal) -> usize {
    descendants(root).iter().filter(|process| !process.zombie && signal_same(process, signal)).count()
}

/// How often a tree is looked at again because it grew while it was being stopped. A tree that still grows then is one
/// that forks as fast as this process can look.
const MOST_LOOKS: usize = 100;

/// Kills everything below a process, also what is forked meanwhile: it is stopped first, until nothing new is found.
/// Returns what was killed.
pub fn kill_descendants(root: Pid) -> Vec<Process> {
    let mut stopped = HashSet::new();
    let mut found = Vec::new();
    for _ in 0..MOST_LOOKS {
        found = descendants(root);
        let mut grew = false;
        for process in found.iter().filter(|process| !process.zombie) {
            if stopped.insert((process.pid, process.started)) {
                grew = true;
                signal_same(process, Signal::SIGSTOP);
            }
        }
        if !grew {
            break;
        }
    }
    found.retain(|process| !process.zombie && signal_same(process, Signal::SIGKILL));
    found
}

/// Signals a process if the number still means the same process.
fn signal_same(process: &Process, signal: Signal) -> bool {
    let Ok(pidfd) = PidFd::open(process.pid) else { return false };
    // The handle is on whatever has the number now; if that started when ours did, it is ours and stays so.
    let same = procfs::process::Process::new(process.pid.as_raw())
        .and_then(|now| now.stat())
        .is_ok_and(|stat| stat.starttime == process.started);
    same && pidfd.signal(signal).is_ok()
}
