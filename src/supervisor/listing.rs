//! The process tree of a running workflow as others see it: `pushflow ps`, the bus, the log on SIGUSR1.
//!
//! Reading /proc is most of the work and needs no supervisor: only [`Supervisor::arrange`] is for its loop, the rest can be
//! done by another thread.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tracing::info;

use super::Supervisor;
use super::announced::Host;
use super::processes::Child;
use crate::graph::{ActorId, PoolId};
use crate::process::sys::{self, Pid};
use crate::process::tree::{Process, Snapshot};
use crate::text;
use crate::worker::bundle;

/// A running workflow and every process of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The workflow's name.
    pub workflow: String,
    /// The process that the user started.
    pub pid: i32,
    /// The process that supervises: below it is the tree.
    pub supervisor: i32,
    /// How many tasks run.
    pub tasks: usize,
    /// Whether it has cgroups of its own.
    #[serde(skip)]
    pub divided: bool,
    /// How many processes tasks have left behind that were ended, and how many that were left alone.
    pub strays: (usize, usize),
    /// Parents before their children, which follow at once.
    pub processes: Vec<ListedProcess>,
}

/// One process. A figure that could not be read is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedProcess {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// How deep below the process that the user started.
    pub depth: usize,
    /// What it is to pushflow.
    pub kind: ProcessKind,
    /// Whether it is terminated, and not waited for, when its parent ends.
    pub daemonic: bool,
    /// Whether it was started by pushflow or announced by the Python that started it; the others were found.
    pub announced: bool,
    /// The pool whose worker or program it is, or came from.
    pub pool: Option<String>,
    /// The actor whose task it belongs to.
    pub actor: Option<String>,
    /// The run of that task.
    pub run: Option<u64>,
    /// Its cgroup, where pushflow makes them.
    pub control_group: Option<String>,
    /// User and system time that it has used, in ns; whole clock ticks.
    pub cpu_usage_nsec: u64,
    /// Its resident memory, in bytes; none once it has ended.
    pub memory_current: Option<u64>,
    /// How long ago it started, in ms.
    pub age_msec: u64,
    /// When it started, in µs since the epoch, to the clock tick.
    #[serde(default)]
    pub started_at_usec: u64,
    /// Its command line, or its name in brackets where it has none.
    pub command: String,
    /// The process itself: with its start time the number means no other.
    #[serde(skip)]
    pub process: Option<Process>,
}

/// What a process is to pushflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessKind {
    /// What the user started; cleans up if the supervisor is killed.
    Guardian,
    /// Runs the workflow.
    Supervisor,
    /// Forks the workers of a pool.
    Forkserver,
    /// A command in front of a worker.
    Launcher,
    /// Executes python tasks.
    Worker,
    /// An exec task.
    Program,
    /// Copies the history to MongoDB.
    Recorder,
    /// Started by a task, or by what a task has started.
    Child,
    /// The same, and its parent is gone.
    Stray,
}

/// The kinds and the words for them, on the bus as in JSON.
const KINDS: [(ProcessKind, &str); 9] = [
    (ProcessKind::Guardian, "guardian"),
    (ProcessKind::Supervisor, "supervisor"),
    (ProcessKind::Forkserver, "forkserver"),
    (ProcessKind::Launcher, "launcher"),
    (ProcessKind::Worker, "worker"),
    (ProcessKind::Program, "program"),
    (ProcessKind::Recorder, "recorder"),
    (ProcessKind::Child, "child"),
    (ProcessKind::Stray, "stray"),
];

impl ProcessKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// The kind that a word means.
    pub fn of_word(word: &str) -> Option<Self> {
        KINDS.iter().find(|(_, its)| *its == word).map(|(kind, _)| *kind)
    }
}

/// What a process has in common with those below it.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    pool: Option<PoolId>,
    task: Option<(u64, ActorId)>,
}

impl Listing {
    /// Reads what costs a look into /proc for each process: command lines and cgroups.
    pub fn look_closer(&mut self) {
        for listed in &mut self.processes {
            if let Some(process) = &listed.process {
                listed.command = command(process, listed.kind);
                listed.control_group = self.divided.then(|| control_group(process)).flatten();
            }
        }
    }
}

impl Supervisor {
    /// The tree as it is now.
    pub fn listing(&mut self) -> Listing {
        let mut listing = self.arrange(&Snapshot::take());
        listing.look_closer();
        listing
    }

    /// The tree in a snapshot, with all that the supervisor knows of its processes; [`Listing::look_closer`] does the rest.
    pub fn arrange(&mut self, snapshot: &Snapshot) -> Listing {
        self.hear_announcements();
        let me = Pid::this();
        let mut processes = Vec::new();
        let guardian = self.event_loop.guardian_pid();
        let mut depth = 0;
        if let Some(process) = guardian.and_then(Process::find) {
            processes.push(self.listed(&process, depth, ProcessKind::Guardian, Place::default()));
            depth += 1;
        }
        if let Some(process) = Process::find(me) {
            processes.push(self.listed(&process, depth, ProcessKind::Supervisor, Place::default()));
        }
        for child in ordered(snapshot.children(me)) {
            if !self.children.contains_key(&child.pid) && !child.is_there() {
                // Reaped since the snapshot was taken: nothing is known of it any more.
                continue;
            }
            let (kind, place) = self.kind_of(child);
            self.list_branch(snapshot, child, (depth + 1, kind, place), &mut processes);
        }
        Listing {
            workflow: self.workflow.name.clone(),
            pid: guardian.unwrap_or(me).as_raw(),
            supervisor: me.as_raw(),
            tasks: self.runs.values().map(|run| run.jobs.len()).sum(),
            divided: self.subtree().is_some(),
            strays: (self.stray_count().ended, self.stray_count().left),
            processes,
        }
    }

    /// The cgroup that is divided up among what the supervisor starts, from the root of what this process sees; none where
    /// there is none.
    pub fn control_group(&self) -> Option<String> {
        self.subtree()?;
        // The supervisor itself is in a leaf.
        control_group(&Process::find(Pid::this())?)?.rsplit_once('/').map(|(group, _)| group.to_owned())
    }

    fn list_branch(
        &self,
        snapshot: &Snapshot,
        top: &Process,
        (depth, kind, place): (usize, ProcessKind, Place),
        found: &mut Vec<ListedProcess>,
    ) {
        found.push(self.listed(top, depth, kind, place));
        for child in ordered(snapshot.children(top.pid)) {
            let below = match self.host_of_worker(child.pid) {
                // Behind a launcher.
                Some(host) => (ProcessKind::Worker, Place { task: self.task_of(host).map(numbered), ..place }),
                None => (ProcessKind::Child, self.place_of(child).unwrap_or(place)),
            };
            self.list_branch(snapshot, child, (depth + 1, below.0, below.1), found);
        }
    }

    /// What a child of the supervisor is.
    fn kind_of(&self, process: &Process) -> (ProcessKind, Place) {
        let place = |pool: &PoolId, task| Place { pool: Some(*pool), task };
        match self.children.get(&process.pid) {
            Some(Child::Forkserver(pool, _)) => (ProcessKind::Forkserver, place(pool, None)),
            Some(Child::Worker(pool, worker)) => {
                let its = self.pools[pool.index()].workers.get(worker);
                let launched = its.and_then(|its| its.launcher.as_ref()).is_some_and(|(pid, _)| *pid == process.pid);
                let same = its.and_then(|its| its.process.as_ref()).is_some_and(|(pid, _)| *pid == process.pid);
                let kind = if launched && !same { ProcessKind::Launcher } else { ProcessKind::Worker };
                (kind, place(pool, self.task_of((*pool, *worker)).map(numbered)))
            }
            Some(Child::Program(pool, worker)) => {
                (ProcessKind::Program, place(pool, self.task_of((*pool, *worker)).map(numbered)))
            }
            Some(Child::Recorder) => (ProcessKind::Recorder, Place::default()),
            Some(Child::LetGo) => (ProcessKind::Forkserver, Place::default()),
            None if self.announced.is_starting(process) => (ProcessKind::Worker, Place::default()),
            None => {
                let host = || self.host_of_stray(process);
                let place = self.place_of(process).or_else(|| host().map(|host| self.place_at(host)));
                (ProcessKind::Stray, place.unwrap_or_default())
            }
        }
    }

    fn place_at(&self, host: Host) -> Place {
        Place { pool: Some(host.0), task: self.task_of(host).map(numbered) }
    }

    /// What was announced of where a process belongs.
    fn place_of(&self, process: &Process) -> Option<Place> {
        let known = self.announced.get(process)?;
        Some(Place { pool: known.host.map(|(pool, _)| pool), task: known.task.map(numbered) })
    }

    fn listed(&self, process: &Process, depth: usize, kind: ProcessKind, place: Place) -> ListedProcess {
        let known = self.announced.get(process);
        let daemonic = match kind {
            ProcessKind::Worker => place.pool.is_some_and(|pool| self.workflow.pool(pool).kind.is_daemonic()),
            ProcessKind::Recorder => true,
            _ => known.and_then(|known| known.daemonic).unwrap_or(false),
        };
        ListedProcess {
            pid: process.pid.as_raw(),
            parent: process.parent.as_raw(),
            depth,
            kind,
            daemonic,
            announced: known.is_some() || !matches!(kind, ProcessKind::Child | ProcessKind::Stray),
            pool: place.pool.map(|pool| self.workflow.pool(pool).name.clone()),
            actor: place.task.map(|(_, actor)| self.actor_name(actor).to_owned()),
            run: place.task.map(|(run, _)| run),
            control_group: None,
            cpu_usage_nsec: u64::try_from(process.cpu().as_nanos()).unwrap_or(u64::MAX),
            memory_current: (!process.zombie).then(|| process.memory()),
            age_msec: u64::try_from(process.age().as_millis()).unwrap_or(u64::MAX),
            started_at_usec: started_at(process),
            command: String::new(),
            process: Some(process.clone()),
        }
    }

    /// Writes the tree to the log.
    pub(super) fn log_tree(&mut self) {
        let listing = self.listing();
        info!("{} processes of {}:", listing.processes.len(), listing.workflow);
        for process in &listing.processes {
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

/// When a process started, in µs since the epoch: the same each time.
fn started_at(process: &Process) -> u64 {
    // Read once: clocks are set.
    static BOOT: LazyLock<Duration> = LazyLock::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(sys::since_boot())
    });
    u64::try_from((*BOOT + process.since_boot()).as_micros()).unwrap_or(u64::MAX)
}

fn numbered((run, actor): (super::RunId, ActorId)) -> (u64, ActorId) {
    (run.0, actor)
}

/// The cgroup of version 2 that a process is in, from the root of what this process sees (cgroups(7)).
fn control_group(process: &Process) -> Option<String> {
    let groups = procfs::process::Process::new(process.pid.as_raw()).and_then(|process| process.cgroups()).ok()?;
    groups.into_iter().find(|group| group.hierarchy == 0).map(|group| group.pathname)
}

/// Oldest first: /proc lists by number, which starts over.
fn ordered(processes: &[Process]) -> Vec<&Process> {
    let mut ordered: Vec<_> = processes.iter().collect();
    ordered.sort_by_key(|process| (process.started, process.pid));
    ordered
}

/// What to call a process. What a task has forked has the title of its worker, unless it has given itself another one.
fn command(process: &Process, kind: ProcessKind) -> String {
    let arguments = procfs::process::Process::new(process.pid.as_raw()).and_then(|process| process.cmdline());
    let arguments = arguments.unwrap_or_default();
    let Some(program) = arguments.first() else { return format!("[{}]", process.name) };
    let is_forked = matches!(kind, ProcessKind::Child | ProcessKind::Stray) && program.starts_with("pushflow-worker: ");
    if is_forked {
        return format!("{program} (forked by a task)");
    }
    arguments
        .iter()
        .map(|argument| if bundle::is_boot(argument) { "…" } else { argument })
        .collect::<Vec<_>>()
        .join(" ")
}
