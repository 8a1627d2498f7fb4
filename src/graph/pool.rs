//! The settings of a pool.

use std::path::PathBuf;
use std::time::Duration;

use super::Limits;

/// One pool: where tasks run.
#[derive(Debug, Clone)]
pub struct PoolSpec {
    /// `default`, or the NAME of `[pools.NAME]`.
    pub name: String,
    /// The kind of its workers.
    pub kind: PoolType,
    /// Whether its workers are monkey-patched by gevent. Always true for the type `gevent`.
    pub gevent: bool,
    /// How worker processes are created.
    pub context: Context,
    /// The number of workers.
    pub workers: Workers,
    /// Number of tasks after which a worker is replaced. If workers share a process, it ends with the last of them.
    pub max_tasks_per_worker: Option<u32>,
    /// Time after which an idle worker of a scaling pool ends.
    pub idle_timeout: Duration,
    /// Time that an interrupted task has before its worker gets SIGTERM, and again before SIGKILL.
    pub grace: Duration,
    /// Time that a worker has to become ready. `None` means no limit: a launcher may wait hours for a free computer.
    pub start_timeout: Option<Duration>,
    /// Whether task modules are imported once, before workers are forked.
    pub preload: bool,
    /// A command that starts each worker. Such a worker is a new interpreter, whatever `context` is.
    pub launcher: Vec<String>,
    /// The interpreter of this pool. `None` means that of the workflow.
    pub python: Option<PathBuf>,
    /// Resource limits of each worker and its child processes.
    pub limits: Limits,
}

impl PoolSpec {
    /// Whether a worker has nothing to do but one task after the other, so that it can have the next one before it has answered:
    /// its supervisor sees all that a task does there, and nothing of an earlier task goes on.
    pub fn can_prefill(&self) -> bool {
        let alone = !self.kind.shares_process() && !self.gevent && self.launcher.is_empty();
        // With `pids_max`, a counter of refused forks is compared before and after each task, so tasks must not overlap.
        alone && self.max_tasks_per_worker != Some(1) && self.limits.pids_max.is_none()
    }
}

/// The pool types. The names are those of pypushflow.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(serialize_all = "lowercase")]
pub enum PoolType {
    /// Processes that run one task at a time.
    #[default]
    Process,
    /// The same, explicitly non-daemonic.
    Ndprocess,
    /// Daemonic processes, like those of `multiprocessing.Pool`.
    Multiprocessing,
    /// The same, non-daemonic.
    Ndmultiprocessing,
    /// Processes that are daemonic but may have children, like those of billiard.
    Billiard,
    /// One process that runs tasks in threads.
    Thread,
    /// One monkey-patched process that runs tasks in greenlets.
    Gevent,
}

impl PoolType {
    /// The name of the type in workflow files, the same as in pypushflow.
    pub fn word(self) -> &'static str {
        self.into()
    }

    /// Whether tasks run concurrently in one process: then a worker is a thread or a greenlet.
    pub fn shares_process(self) -> bool {
        matches!(self, PoolType::Thread | PoolType::Gevent)
    }

    /// Whether Python considers its workers daemonic processes.
    pub fn is_daemonic(self) -> bool {
        matches!(self, PoolType::Multiprocessing | PoolType::Billiard)
    }
}

/// How worker processes are created, with the names of Python's `multiprocessing`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(serialize_all = "lowercase")]
pub enum Context {
    /// Forked by a server process that has imported only the task modules (unless `preload` is off).
    #[default]
    Forkserver,
    /// Forked by the same server process, which always imports the task modules, whatever `preload` is. A worker inherits their
    /// state, as it would from the main program in `multiprocessing`.
    Fork,
    /// A new interpreter.
    Spawn,
}

/// The number of workers of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// Always this many, at least 1.
    Fixed(u32),
    /// As many as there is work for, up to a cap. Idle workers end.
    Scaling {
        /// The maximum, at least 1.
        cap: u32,
    },
}

impl Workers {
    /// The maximum number of workers.
    pub fn most(self) -> u32 {
        match self {
            Workers::Fixed(most) | Workers::Scaling { cap: most } => most,
        }
    }
}
