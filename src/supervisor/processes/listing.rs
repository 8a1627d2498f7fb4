//! The process tree of a running workflow as others see it: `pushflow ps`, D-Bus, the log on SIGUSR1.
//!
//! Most of the work is to read /proc. Only [`Supervisor::arrange`](crate::supervisor::Supervisor::arrange) needs the loop; another
//! thread can do the rest.

use serde::{Deserialize, Serialize};
use tracing::info;

use crate::process::sys::Pid;
use crate::process::tree::Process;
use crate::text;
use crate::worker::bundle;

/// A running workflow and every process of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The workflow's name.
    pub workflow: String,
    /// The process that the user started.
    pub pid: i32,
    /// The supervisor: the tree is below it.
    pub supervisor: i32,
    /// How many tasks run.
    pub tasks: usize,
    /// Whether pushflow makes cgroups for the processes.
    #[serde(skip)]
    pub has_cgroups: bool,
    /// How many orphans of tasks were ended, and how many were left running.
    #[serde(rename = "strays")]
    pub orphans: (usize, usize),
    /// In depth-first order: parents before their children.
    pub processes: Vec<ListedProcess>,
}

/// One process. A figure that could not be read is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedProcess {
    /// Its process id.
    pub pid: i32,
    /// The process id of its parent.
    pub parent: i32,
    /// Its depth below the process that the user started.
    pub depth: usize,
    /// What it is to pushflow.
    pub kind: ProcessKind,
    /// Whether it is terminated, and not waited for, when its parent ends.
    pub daemonic: bool,
    /// Whether pushflow has started it, or the Python that has started it announced it. Others were found in /proc.
    pub announced: bool,
    /// The pool whose worker or program it is, or came from.
    pub pool: Option<String>,
    /// The actor whose task it belongs to.
    pub actor: Option<String>,
    /// The run of that task.
    pub run: Option<u64>,
    /// Its cgroup, if pushflow makes cgroups.
    pub control_group: Option<String>,
    /// The user and system time that it has used, in ns, to the clock tick.
    pub cpu_usage_nsec: u64,
    /// Its resident memory, in bytes. None once it has ended.
    pub memory_current: Option<u64>,
    /// How long ago it started, in ms.
    pub age_msec: u64,
    /// When it started, in µs since the epoch, to the clock tick.
    #[serde(default)]
    pub started_at_usec: u64,
    /// Its command line, or its name in brackets if it has none.
    pub command: String,
    /// The process itself, with its start time.
    #[serde(skip)]
    pub process: Option<Process>,
}

/// What a process is to pushflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessKind {
    /// The process that the user started. It cleans up if the supervisor is killed.
    Guardian,
    /// Runs the workflow.
    Supervisor,
    /// Forks the workers of a pool.
    Forkserver,
    /// A command in front of a worker.
    Launcher,
    /// Executes python tasks.
    Worker,
    /// Executes an exec task.
    Program,
    /// Copies the history to MongoDB.
    Recorder,
    /// Started by a task, or by a process that a task has started.
    Child,
    /// The same, and its parent has ended. The word of the interfaces is `stray`.
    #[serde(rename = "stray")]
    Orphan,
}

/// The kinds and the words for them, on D-Bus as in JSON.
const KINDS: [(ProcessKind, &str); 9] = [
    (ProcessKind::Guardian, "guardian"),
    (ProcessKind::Supervisor, "supervisor"),
    (ProcessKind::Forkserver, "forkserver"),
    (ProcessKind::Launcher, "launcher"),
    (ProcessKind::Worker, "worker"),
    (ProcessKind::Program, "program"),
    (ProcessKind::Recorder, "recorder"),
    (ProcessKind::Child, "child"),
    (ProcessKind::Orphan, "stray"),
];

impl ProcessKind {
    /// The word for this kind.
    pub fn word(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// The kind that a word stands for.
    pub fn of_word(word: &str) -> Option<Self> {
        KINDS.iter().find(|(_, its)| *its == word).map(|(kind, _)| *kind)
    }
}

impl Listing {
    /// Reads what needs files of /proc for each process: command lines and cgroups.
    pub fn add_details(&mut self) {
        for listed in &mut self.processes {
            if let Some(process) = &listed.process {
                listed.command = command(process, listed.kind);
                listed.control_group = self.has_cgroups.then(|| control_group_of(process.pid)).flatten();
            }
        }
    }

    /// Writes the tree to the log.
    pub(in crate::supervisor) fn log(&self) {
        info!("{} processes of {}:", self.processes.len(), self.workflow);
        for process in &self.processes {
            let indent = "  ".repeat(process.depth);
            let flag = if process.daemonic { "daemonic" } else { "non-daemonic" };
            let found = if process.announced { "" } else { ", unannounced" };
            let pool = process.pool.as_ref().map(|pool| format!(", pool {pool}")).unwrap_or_default();
            let actor = process.actor.as_ref().map(|actor| format!(", actor {actor}")).unwrap_or_default();
            let run = process.run.map(|run| format!(", run {run}")).unwrap_or_default();
            let command = text::short(&process.command, text::LINE);
            info!("{indent}{} {command} ({flag}{found}{pool}{actor}{run})", process.pid);
        }
    }
}

/// The cgroup (v2) of a process, relative to the root of this cgroup namespace (cgroups(7)).
pub(in crate::supervisor) fn control_group_of(pid: Pid) -> Option<String> {
    let groups = procfs::process::Process::new(pid.as_raw()).and_then(|process| process.cgroups()).ok()?;
    groups.into_iter().find(|group| group.hierarchy == 0).map(|group| group.pathname)
}

/// The command line of a process. A fork of a worker has the title of its worker, unless it has set another one.
fn command(process: &Process, kind: ProcessKind) -> String {
    let arguments = procfs::process::Process::new(process.pid.as_raw()).and_then(|process| process.cmdline());
    let arguments = arguments.unwrap_or_default();
    let Some(program) = arguments.first() else { return format!("[{}]", process.name) };
    let is_forked =
        matches!(kind, ProcessKind::Child | ProcessKind::Orphan) && program.starts_with("pushflow-worker: ");
    if is_forked {
        return format!("{program} (forked by a task)");
    }
    arguments
        .iter()
        .map(|argument| if bundle::is_boot(argument) { "…" } else { argument })
        .collect::<Vec<_>>()
        .join(" ")
}
