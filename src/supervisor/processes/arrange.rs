//! How the processes below the supervisor become a listing: a snapshot of /proc, and what is known of each process.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Processes;
use super::children::Child;
use super::listing::{ListedProcess, Listing, ProcessKind};
use super::owners::{Owner, Owners};
use crate::graph::{ActorId, PoolId, Workflow};
use crate::process::sys::{self, Pid};
use crate::process::tree::{Process, Snapshot};
use crate::supervisor::event::RunId;

/// What a listing says of the whole.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::supervisor) struct Facts {
    pub(in crate::supervisor) guardian: Option<Pid>,
    /// How many tasks are queued or running.
    pub(in crate::supervisor) tasks: usize,
    /// Whether processes have cgroups of their own.
    pub(in crate::supervisor) has_cgroups: bool,
}

/// What a process has in common with the processes below it.
#[derive(Debug, Clone, Copy, Default)]
struct Belonging {
    pool: Option<PoolId>,
    task: Option<(RunId, ActorId)>,
}

/// What lines of the listing are made with.
struct Arrangement<'a, O> {
    processes: &'a Processes,
    workflow: &'a Workflow,
    owners: &'a O,
    snapshot: &'a Snapshot,
    listed: Vec<ListedProcess>,
}

impl Processes {
    /// The tree in a snapshot, with everything that the supervisor knows of its processes. [`Listing::add_details`] does the
    /// rest.
    pub(in crate::supervisor) fn arrange(
        &self,
        snapshot: &Snapshot,
        facts: Facts,
        workflow: &Workflow,
        owners: &impl Owners,
    ) -> Listing {
        let me = Pid::this();
        let mut arrangement = Arrangement { processes: self, workflow, owners, snapshot, listed: Vec::new() };
        let mut depth = 0;
        if let Some(process) = facts.guardian.and_then(Process::find) {
            arrangement.add(&process, depth, ProcessKind::Guardian, Belonging::default());
            depth += 1;
        }
        if let Some(process) = Process::find(me) {
            arrangement.add(&process, depth, ProcessKind::Supervisor, Belonging::default());
        }
        arrangement.add_children(depth + 1);
        Listing {
            workflow: workflow.name.clone(),
            pid: facts.guardian.unwrap_or(me).as_raw(),
            supervisor: me.as_raw(),
            tasks: facts.tasks,
            has_cgroups: facts.has_cgroups,
            orphans: (self.orphan_count().ended, self.orphan_count().left),
            processes: arrangement.listed,
        }
    }

    /// The processes below the supervisor, whose children are at this depth.
    pub(super) fn list_below(
        &self,
        snapshot: &Snapshot,
        depth: usize,
        workflow: &Workflow,
        owners: &impl Owners,
    ) -> Vec<ListedProcess> {
        let mut arrangement = Arrangement { processes: self, workflow, owners, snapshot, listed: Vec::new() };
        arrangement.add_children(depth);
        arrangement.listed
    }
}

impl<O: Owners> Arrangement<'_, O> {
    fn add_children(&mut self, depth: usize) {
        for child in ordered(self.snapshot.children(Pid::this())) {
            if self.processes.child(child.pid).is_none() && !child.is_there() {
                // Reaped since the snapshot was taken: nothing is known of it any more.
                continue;
            }
            let (kind, belonging) = self.kind_of(child);
            self.add_branch(child, depth, kind, belonging);
        }
    }

    fn add_branch(&mut self, top: &Process, depth: usize, kind: ProcessKind, belonging: Belonging) {
        self.add(top, depth, kind, belonging);
        for child in ordered(self.snapshot.children(top.pid)) {
            let (kind, belonging) = match self.processes.owner_with_pid(child.pid, self.owners) {
                // Behind a launcher.
                Some(owner) => (ProcessKind::Worker, Belonging { task: self.owners.task(owner), ..belonging }),
                None => (ProcessKind::Child, self.announced(child).unwrap_or(belonging)),
            };
            self.add_branch(child, depth + 1, kind, belonging);
        }
    }

    /// What a child of the supervisor is.
    fn kind_of(&self, process: &Process) -> (ProcessKind, Belonging) {
        match self.processes.child(process.pid) {
            Some(Child::Forkserver(pool, _)) => {
                (ProcessKind::Forkserver, Belonging { pool: Some(pool), ..Belonging::default() })
            }
            Some(Child::Worker(pool, worker)) => {
                let pids = self.owners.pids((pool, worker));
                let is_launcher = pids.launcher == Some(process.pid) && pids.worker != Some(process.pid);
                let kind = if is_launcher { ProcessKind::Launcher } else { ProcessKind::Worker };
                (kind, self.owned_by((pool, worker)))
            }
            Some(Child::Program(pool, worker)) => (ProcessKind::Program, self.owned_by((pool, worker))),
            Some(Child::Recorder) => (ProcessKind::Recorder, Belonging::default()),
            Some(Child::LetGo) => (ProcessKind::Forkserver, Belonging::default()),
            None if self.processes.announced.is_starting(process) => (ProcessKind::Worker, Belonging::default()),
            None => {
                let by_owner = || Some(self.owned_by(self.processes.owner_of_orphan(process, self.owners)?));
                (ProcessKind::Orphan, self.announced(process).or_else(by_owner).unwrap_or_default())
            }
        }
    }

    fn owned_by(&self, owner: Owner) -> Belonging {
        Belonging { pool: Some(owner.0), task: self.owners.task(owner) }
    }

    /// What was announced of where a process belongs.
    fn announced(&self, process: &Process) -> Option<Belonging> {
        let known = self.processes.announced.get(process)?;
        Some(Belonging { pool: known.owner.map(|(pool, _)| pool), task: known.task })
    }

    fn add(&mut self, process: &Process, depth: usize, kind: ProcessKind, belonging: Belonging) {
        let known = self.processes.announced.get(process);
        let daemonic = match kind {
            ProcessKind::Worker => belonging.pool.is_some_and(|pool| self.workflow.pool(pool).kind.is_daemonic()),
            ProcessKind::Recorder => true,
            _ => known.and_then(|known| known.daemonic).unwrap_or(false),
        };
        self.listed.push(ListedProcess {
            pid: process.pid.as_raw(),
            parent: process.parent.as_raw(),
            depth,
            kind,
            daemonic,
            announced: known.is_some() || !matches!(kind, ProcessKind::Child | ProcessKind::Orphan),
            pool: belonging.pool.map(|pool| self.workflow.pool(pool).name.clone()),
            actor: belonging.task.map(|(_, actor)| self.workflow.actor(actor).display_name().to_owned()),
            run: belonging.task.map(|(run, _)| run.0),
            control_group: None,
            cpu_usage_nsec: u64::try_from(process.cpu().as_nanos()).unwrap_or(u64::MAX),
            memory_current: (!process.zombie).then(|| process.memory()),
            age_msec: u64::try_from(process.age().as_millis()).unwrap_or(u64::MAX),
            started_at_usec: started_at(process),
            command: String::new(),
            process: Some(process.clone()),
        });
    }
}

/// When a process started, in µs since the epoch: the same at each call.
fn started_at(process: &Process) -> u64 {
    // Read once: the clock may be set.
    static BOOT: LazyLock<Duration> = LazyLock::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(sys::since_boot())
    });
    u64::try_from((*BOOT + process.since_boot()).as_micros()).unwrap_or(u64::MAX)
}

/// Oldest first. /proc is ordered by process id, and ids are reused.
fn ordered(processes: &[Process]) -> Vec<&Process> {
    let mut ordered: Vec<_> = processes.iter().collect();
    ordered.sort_by_key(|process| (process.started, process.pid));
    ordered
}
