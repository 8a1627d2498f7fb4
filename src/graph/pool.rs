//! Pools as the file describes them.

use std::path::PathBuf;
use std::time::Duration;

use super::Limits;

/// One pool: where tasks run.
#[derive(Debug, Clone)]
pub struct PoolSpec {
    /// `default`, or NAME of `[pools.NAME]`.
    pub name: String,
    /// What its workers are.
    pub kind: PoolType,
    /// Whether its workers are monkey-patched by gevent (always, in a pool of type `gevent`).
    pub gevent: bool,
    /// How a worker process comes to be.
    pub context: Context,
    /// How many workers.
    pub workers: Workers,
    /// After how many tasks a worker is replaced. Where workers share a process, that goes with the last of them.
    pub max_tasks_per_worker: Option<u32>,
    /// After how long without work a worker of a scaling pool goes away.
    pub idle_timeout: Duration,
    /// How long an interrupted task may take to return before its worker gets SIGTERM, and how long after that SIGKILL.
    pub grace: Duration,
    /// How long a worker may take until it is ready; no limit where there is none. Behind a launcher that waits for a
    /// free computer, that may be hours.
    pub start_timeout: Option<Duration>,
    /// Whether the task modules are imported once, before the workers are forked.
    pub preload: bool,
    /// A command put in front of the worker, which is a fresh interpreter then, whatever the context says.
    pub launcher: Vec<String>,
    /// The interpreter of this pool, where it is not the workflow's.
    pub python: Option<PathBuf>,
    /// What each worker and all below it may use.
    pub limits: Limits,
}

impl PoolSpec {
    /// Whether a worker has nothing to do but one task after the other, so that it can have the next one before it has answered:
    /// its supervisor sees all that a task does there, and nothing of an earlier task goes on.
    pub fn can_prefill(&self) -> bool {
        let alone = !self.kind.shares_process() && !self.gevent && self.launcher.is_empty();
        // What the kernel refuses for `pids_max` is told from a count: of one task at a time.
        alone && self.max_tasks_per_worker != Some(1) && self.limits.pids_max.is_none()
    }
}

/// The pool types, named as pypushflow names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PoolType {
    /// Processes, one task at a time.
    #[default]
    Process,
    /// The same, explicitly non-daemonic.
    Ndprocess,
    /// Daemonic processes, as `multiprocessing.Pool` has them.
    Multiprocessing,
    /// The same, non-daemonic.
    Ndmultiprocessing,
    /// Processes that billiard considers daemonic but allowed to have children.
    Billiard,
    /// One process, tasks in threads.
    Thread,
    /// One monkey-patched process, tasks in greenlets.
    Gevent,
}

impl PoolType {
    /// The name of the type in workflow files, the same as in pypushflow.
    pub fn word(self) -> &'static str {
        match self {
            PoolType::Process => "process",
            PoolType::Ndprocess => "ndprocess",
            PoolType::Multiprocessing => "multiprocessing",
            PoolType::Ndmultiprocessing => "ndmultiprocessing",
            PoolType::Billiard => "billiard",
            PoolType::Thread => "thread",
            PoolType::Gevent => "gevent",
        }
    }

    /// Whether its tasks run side by side in one process, so that a worker is a thread or a greenlet.
    pub fn shares_process(self) -> bool {
        matches!(self, PoolType::Thread | PoolType::Gevent)
    }

    /// Whether Python takes its workers for daemonic processes.
    pub fn is_daemonic(self) -> bool {
        matches!(self, PoolType::Multiprocessing | PoolType::Billiard)
    }
}

/// How a worker process comes to be, with Python's meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Context {
    /// Forked by a process that has imported the task modules (unless `preload` is off) and nothing else.
    #[default]
    Forkserver,
    /// Forked by the same process, which has imported the task modules in any case, whatever `preload` says: a worker
    /// inherits what they hold, as from the main program in `multiprocessing`'s `fork` context. It is not forked from
    /// the supervisor, which is no Python.
    Fork,
    /// A fresh interpreter.
    Spawn,
}

/// How many workers a pool has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// Always this many, at least 1.
    Fixed(u32),
    /// As many as there is work for, up to a cap; idle ones go away.
    Scaling {
        /// The most there may be, at least 1.
        cap: u32,
    },
}

impl Workers {
    /// The most workers there may be at once.
    pub fn most(self) -> u32 {
        match self {
            Workers::Fixed(most) | Workers::Scaling { cap: most } => most,
        }
    }
}
