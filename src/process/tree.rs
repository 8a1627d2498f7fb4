//! The process tree of this host, read from /proc, and signals to subtrees.
//!
//! Reading /proc is not atomic: a process that is forked, or whose parent ends, meanwhile can be missed. So signals are repeated until
//! no new process is found, and only [`sys::has_no_children`] tells that a tree is empty.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::time::{Duration, Instant};

use procfs::process::{Stat, all_processes};

use super::sys::{self, Pid, PidFd, Signal};
use crate::text;

/// The name of the guardian process, which distinguishes it from the supervisor.
pub const GUARDIAN: &CStr = c"flow-guardian";

/// A process in /proc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// The id of its parent.
    pub parent: Pid,
    /// Its process group.
    pub group: Pid,
    /// Its session.
    pub session: Pid,
    /// Its name (`comm`), at most 15 bytes.
    pub name: String,
    /// Start time in clock ticks since boot. Together with the id it identifies the process.
    pub started: u64,
    /// Whether it has ended and is not reaped yet.
    pub zombie: bool,
    /// Whether it is in an uninterruptible system call (state D): signals have no effect.
    pub blocked: bool,
    /// User and system time, in clock ticks.
    pub ticks: u64,
    /// Resident memory, in pages.
    pub pages: u64,
}

impl From<Stat> for Process {
    fn from(stat: Stat) -> Self {
        Process {
            pid: Pid::from_raw(stat.pid),
            parent: Pid::from_raw(stat.ppid),
            group: Pid::from_raw(stat.pgrp),
            session: Pid::from_raw(stat.session),
            zombie: matches!(stat.state, 'Z' | 'X'),
            blocked: stat.state == 'D',
            started: stat.starttime,
            ticks: stat.utime + stat.stime,
            pages: stat.rss,
            name: stat.comm,
        }
    }
}

impl Process {
    /// The process that has this id now.
    pub fn find(pid: Pid) -> Option<Process> {
        Some(procfs::process::Process::new(pid.as_raw()).ok()?.stat().ok()?.into())
    }

    /// Its CPU time.
    pub fn cpu(&self) -> Duration {
        Duration::from_millis(self.ticks * 1000 / procfs::ticks_per_second())
    }

    /// Resident memory, in bytes.
    pub fn memory(&self) -> u64 {
        self.pages * procfs::page_size()
    }

    /// Time since its start, in steps of a clock tick.
    pub fn age(&self) -> Duration {
        sys::since_boot().saturating_sub(self.since_boot())
    }

    /// Its start as time since boot, in steps of a clock tick.
    pub fn since_boot(&self) -> Duration {
        Duration::from_millis(self.started * 1000 / procfs::ticks_per_second())
    }

    /// The latest possible start as time since boot: the end of the clock tick in /proc.
    pub fn started_before(&self) -> Duration {
        Duration::from_millis((self.started + 1) * 1000 / procfs::ticks_per_second())
    }

    /// Whether this process still exists and has not ended.
    pub fn is_alive(&self) -> bool {
        Process::find(self.pid).is_some_and(|now| now.started == self.started && !now.zombie)
    }

    /// Whether this process still exists, even if it has ended and is not reaped.
    pub fn is_there(&self) -> bool {
        Process::find(self.pid).is_some_and(|now| now.started == self.started)
    }

    /// Sends a signal, if this process still exists.
    pub fn signal(&self, signal: Signal) -> bool {
        let Ok(pidfd) = PidFd::open(self.pid) else { return false };
        // The handle refers to the process that has the id now. If its start time is the same, it is this process.
        let same = Process::find(self.pid).is_some_and(|now| now.started == self.started);
        same && pidfd.signal(signal).is_ok()
    }
}

/// All processes of the host.
#[derive(Debug, Default)]
pub struct Snapshot {
    children: HashMap<Pid, Vec<Process>>,
}

impl FromIterator<Process> for Snapshot {
    fn from_iter<I: IntoIterator<Item = Process>>(processes: I) -> Self {
        let mut children: HashMap<Pid, Vec<Process>> = HashMap::new();
        for process in processes {
            children.entry(process.parent).or_default().push(process);
        }
        Snapshot { children }
    }
}

impl Snapshot {
    /// Reads /proc.
    pub fn take() -> Self {
        // Processes that end while /proc is read are left out.
        let stats = all_processes().into_iter().flatten().filter_map(|process| process.ok()?.stat().ok());
        stats.map(Process::from).collect()
    }

    /// The children of a process.
    pub fn children(&self, parent: Pid) -> &[Process] {
        self.children.get(&parent).map_or(&[], Vec::as_slice)
    }

    /// Start times of all processes that have not ended.
    pub fn start_times(&self) -> HashMap<Pid, u64> {
        let alive = self.children.values().flatten().filter(|process| !process.zombie);
        alive.map(|process| (process.pid, process.started)).collect()
    }

    /// All descendants of a process, the deepest first, without the process itself.
    pub fn below(&self, root: Pid) -> Vec<&Process> {
        self.walk(root, |_| true)
    }

    /// The same, without descendants of other guardians.
    fn below_guarded(&self, root: Pid) -> Vec<&Process> {
        self.walk(root, |process| process.name.as_bytes() != GUARDIAN.to_bytes())
    }

    fn walk(&self, root: Pid, goes_on: impl Fn(&Process) -> bool) -> Vec<&Process> {
        let mut found = Vec::new();
        let mut parents = vec![root];
        while let Some(parent) = parents.pop() {
            for process in self.children(parent) {
                if goes_on(process) {
                    parents.push(process.pid);
                }
                found.push(process);
            }
        }
        // A parent is found before its children.
        found.reverse();
        found
    }
}

/// Everything below a process, deepest first; the process itself is not among it.
pub fn descendants(root: Pid) -> Vec<Process> {
    Snapshot::take().below(root).into_iter().cloned().collect()
}

/// Whether a process descends from another.
pub fn is_below(pid: Pid, root: Pid) -> bool {
    let mut at = pid;
    // No chain of parents is that long; numbers that are used again while it is followed could make a circle.
    for _ in 0..4096 {
        match Process::find(at) {
            Some(process) if process.parent == root => return true,
            Some(process) if process.parent.as_raw() > 0 => at = process.parent,
            _ => return false,
        }
    }
    false
}

/// How often a tree is looked at again because it grew meanwhile. A tree that still grows then is one that forks as fast
/// as this process can look.
const MOST_LOOKS: usize = 100;
/// And no further look is begun after so long: where there are very many processes, each takes long.
const LONGEST_LOOK: Duration = Duration::from_secs(3);
/// The same for a signal that a process may answer by starting another: a pool that replaces its workers.
const MOST_ROUNDS: usize = 5;
/// So many processes are named in one message.
const NAMED: usize = 5;

/// Sends a signal to everything below these processes, deepest first, and to what appears meanwhile. The processes
/// themselves are not meant, and what is below the guardian of another pushflow gets it from there: once. Returns to whom
/// it went. SIGKILL: see [`kill_below`].
pub fn signal_below(roots: &[Pid], signal: Signal, but: impl Fn(&Process) -> bool) -> Vec<Process> {
    if signal == Signal::SIGKILL {
        return kill_below(roots, but);
    }
    let (mut seen, mut told) = (HashSet::new(), Vec::new());
    for _ in 0..MOST_ROUNDS {
        let snapshot = Snapshot::take();
        let new = roots.iter().flat_map(|root| snapshot.below_guarded(*root)).filter(|process| !process.zombie);
        let new: Vec<_> = new.filter(|process| seen.insert((process.pid, process.started))).cloned().collect();
        if new.is_empty() {
            break;
        }
        told.extend(new.into_iter().filter(|process| !but(process) && end_gently(process, signal)));
    }
    told
}

/// Signals a process; one that is stopped is woken up to see SIGTERM.
fn end_gently(process: &Process, signal: Signal) -> bool {
    let told = process.signal(signal);
    if told && signal == Signal::SIGTERM {
        process.signal(Signal::SIGCONT);
    }
    told
}

/// Kills everything below these processes, also what is forked meanwhile: it is stopped first, until nothing new is
/// found. Returns what was killed.
pub fn kill_below(roots: &[Pid], but: impl Fn(&Process) -> bool) -> Vec<Process> {
    let mut stopped = HashSet::new();
    let mut found: Vec<Process> = Vec::new();
    let begin = Instant::now();
    for _ in 0..MOST_LOOKS {
        let snapshot = Snapshot::take();
        found = roots.iter().flat_map(|root| snapshot.below(*root)).filter(|it| !but(it)).cloned().collect();
        let mut grew = false;
        for process in found.iter().filter(|process| !process.zombie) {
            if stopped.insert((process.pid, process.started)) {
                grew = true;
                process.signal(Signal::SIGSTOP);
            }
        }
        if !grew || begin.elapsed() > LONGEST_LOOK {
            break;
        }
    }
    found.retain(|process| !process.zombie && process.signal(Signal::SIGKILL));
    found
}

/// Signals processes and everything below them, deepest first. Returns to whom it went.
pub fn signal_branches(tops: &[Process], signal: Signal, but: impl Fn(&Process) -> bool) -> Vec<Process> {
    if signal == Signal::SIGKILL {
        for top in tops {
            top.signal(Signal::SIGSTOP);
        }
    }
    // Branches are looked up by number: one that has another meaning by now is left out.
    let roots: Vec<Pid> = tops.iter().filter(|top| top.is_alive()).map(|top| top.pid).collect();
    let mut told = signal_below(&roots, signal, &but);
    told.extend(tops.iter().filter(|top| !but(top) && end_gently(top, signal)).cloned());
    told
}

/// Signals a process that is a child of this one, and everything below it, deepest first. Returns to whom it went.
pub fn signal_tree((pid, pidfd): &(Pid, PidFd), signal: Signal, but: impl Fn(&Process) -> bool) -> Vec<Process> {
    // A child that is not reaped yet has its number for itself: none of this can fail in a way that matters.
    if signal == Signal::SIGKILL {
        let _ = pidfd.signal(Signal::SIGSTOP);
    }
    let mut told = signal_below(&[*pid], signal, &but);
    let top = Process::find(*pid);
    if top.as_ref().is_none_or(|top| !but(top)) {
        let _ = pidfd.signal(signal);
        if signal == Signal::SIGTERM {
            let _ = pidfd.signal(Signal::SIGCONT);
        }
        told.extend(top);
    }
    told
}

/// Processes in a message: `12 (sleep), 13 (sh, blocked in the kernel)`.
pub fn names<'a>(processes: impl IntoIterator<Item = &'a Process>) -> String {
    let named = processes.into_iter().map(|process| {
        let blocked = if process.blocked { ", blocked in the kernel" } else { "" };
        format!("{} ({}{blocked})", process.pid, text::line(&process.name))
    });
    named.collect::<Vec<_>>().join(", ")
}

/// The same, for the first few processes.
pub fn some_names(processes: &[Process]) -> String {
    match processes.len().checked_sub(NAMED) {
        None | Some(0) => names(processes),
        Some(more) => format!("{} and {more} more", names(&processes[..NAMED])),
    }
}
