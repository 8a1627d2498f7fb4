//! A workflow as plain data: checked, flat, addressed by small ids.
//!
//! Submodels are flattened: there is one list of actors. Each has a path (`/workflow/submodel/actor`) and a [`Scope`]. Ports of
//! submodels are pass-through actors. Nothing here knows how anything runs.

mod actor;
mod history;
mod ids;
mod pool;
mod record;
mod service;

pub use crate::cgroup::Limits;
pub use actor::{Actor, Exec, Kind, Link, Port, Retry, Route, Router, Script, Stdin, Stdout};
pub use history::KeepHistory;
pub use ids::{ActorId, PoolId, ScopeId};
pub use pool::{Context, PoolSpec, PoolType, Workers};
pub use record::{Record, RecordType, RecordUrl, Recording};
pub use service::{OnCrash, Service, ServiceMode};

use std::path::PathBuf;
use std::time::Duration;

use crate::payload::Payload;

/// One checked workflow.
#[derive(Debug, Clone)]
pub struct Workflow {
    /// The name. Default: the file name without `.toml`.
    pub name: String,
    /// A description in one line.
    pub description: Option<String>,
    /// The absolute path of its file.
    pub file: PathBuf,
    /// The folder that relative paths start from: that of the file, or of the target if the file is a symbolic link.
    pub directory: PathBuf,
    /// An interpreter, or the folder of a virtual or conda environment. `None` means `python3` in `PATH`.
    pub python: Option<PathBuf>,
    /// Absolute paths of folders for `sys.path`.
    pub paths: Vec<PathBuf>,
    /// Time limit of a run.
    pub timeout: Option<Duration>,
    /// What happens to running tasks when the time limit of a run is reached.
    pub on_timeout: OnTimeout,
    /// Default inputs.
    pub inputs: Payload,
    /// Whether the default pool is of type gevent unless the file sets another type.
    pub gevent: bool,
    /// The pools, by [`PoolId`]. The first one is the default pool.
    pub pools: Vec<PoolSpec>,
    /// How `pushflow serve` behaves.
    pub service: Service,
    /// What is kept of its runs.
    pub history: KeepHistory,
    /// Whether runs are recorded beside the history.
    pub record: Recording,
    /// The actors, by [`ActorId`].
    pub actors: Vec<Actor>,
    /// The workflow and its submodels, by [`ScopeId`]. The workflow comes first.
    pub scopes: Vec<Scope>,
    /// Where the inputs enter.
    pub start: ActorId,
    /// Where the output leaves.
    pub stop: ActorId,
}

/// What happens to running tasks when the time limit of a run is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum OnTimeout {
    /// They are interrupted.
    #[default]
    Interrupt,
    /// They may finish, but their results are not passed on.
    Wait,
}

/// The workflow or one of its submodels. Errors bubble from scope to scope.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The name of the submodel or workflow.
    pub name: String,
    /// `/workflow/submodel`.
    pub path: String,
    /// The scope around this one. `None` for the workflow.
    pub parent: Option<ScopeId>,
    /// The actors that bubbling errors of this scope go to.
    pub on_error: Vec<Link>,
}

impl Workflow {
    /// The actor with this id.
    pub fn actor(&self, id: ActorId) -> &Actor {
        &self.actors[id.index()]
    }

    /// The pool with this id.
    pub fn pool(&self, id: PoolId) -> &PoolSpec {
        &self.pools[id.index()]
    }

    /// The scope with this id.
    pub fn scope(&self, id: ScopeId) -> &Scope {
        &self.scopes[id.index()]
    }
}
