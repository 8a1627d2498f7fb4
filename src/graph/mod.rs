//! A workflow as plain data: checked, flat, addressed by small ids.
//!
//! Submodels are flattened: their actors stand in the one list with a path (`/workflow/submodel/actor`) and a
//! [`Scope`], and their ports are pass-through actors. Nothing here knows how anything runs.

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
    /// The workflow's name; by default the stem of its file.
    pub name: String,
    /// One line for people.
    pub description: Option<String>,
    /// The TOML file it came from, absolute.
    pub file: PathBuf,
    /// The folder of that file, or of the one that it is a symbolic link to: what relative paths are relative to.
    pub directory: PathBuf,
    /// An interpreter, or the folder of a virtual or conda environment; `python3` on `PATH` where absent.
    pub python: Option<PathBuf>,
    /// Folders put on `sys.path`, absolute.
    pub paths: Vec<PathBuf>,
    /// How long a run may take.
    pub timeout: Option<Duration>,
    /// What happens to running tasks at the run's timeout.
    pub on_timeout: OnTimeout,
    /// Default inputs.
    pub inputs: Payload,
    /// Whether the workflow is meant for gevent: the default pool's type follows from it.
    pub gevent: bool,
    /// The pools, by [`PoolId`]; the first is the default pool.
    pub pools: Vec<PoolSpec>,
    /// How `pushflow serve` behaves.
    pub service: Service,
    /// What is kept of its runs.
    pub history: KeepHistory,
    /// Whether runs are recorded beside the history.
    pub record: Recording,
    /// The actors, by [`ActorId`].
    pub actors: Vec<Actor>,
    /// The workflow (first) and its submodels, by [`ScopeId`].
    pub scopes: Vec<Scope>,
    /// Where the inputs enter.
    pub start: ActorId,
    /// What takes the output.
    pub stop: ActorId,
}

/// What a run's timeout does to tasks that are running then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnTimeout {
    /// They are interrupted.
    #[default]
    Interrupt,
    /// They may finish; what they return is not passed on.
    Wait,
}

/// The workflow itself or one of its submodels: what errors bubble through.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The submodel's name; the workflow's for the outermost scope.
    pub name: String,
    /// `/workflow/submodel`.
    pub path: String,
    /// The scope around this one; none for the workflow.
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
