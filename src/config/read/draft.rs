//! The draft of a workflow: what the file says, checked key by key. Names are not resolved yet.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::names::Name;
use super::scripts::Scripts;
use super::table::PortWord;
use crate::config::diagnostics::problems::Problems;
use crate::config::toml::source::{Located, Location};
use crate::graph::{KeepHistory, Kind, OnTimeout, PoolSpec, Recording, Retry, Service};
use crate::payload::Payload;

/// A whole file.
#[derive(Debug)]
pub(in crate::config) struct DraftFile {
    pub name: Option<String>,
    pub description: Option<String>,
    pub python: Option<PathBuf>,
    pub timeout: Option<Duration>,
    pub on_timeout: OnTimeout,
    pub gevent: bool,
    pub inputs: Payload,
    pub pools: Vec<DraftPool>,
    pub service: Service,
    pub history: KeepHistory,
    pub record: Recording,
    pub graph: Draft,
}

/// A pool, while the number of python actors is still unknown.
#[derive(Debug)]
pub(in crate::config) struct DraftPool {
    pub spec: PoolSpec,
    /// Whether `max_workers` is -1: one worker for each python actor.
    pub one_per_actor: bool,
}

/// The actors, links and submodels of a workflow or a submodel.
#[derive(Debug, Default)]
pub(in crate::config) struct Draft {
    pub actors: Vec<DraftActor>,
    pub submodels: Vec<DraftSubmodel>,
    pub links: Vec<DraftLink>,
    /// `on_error` of the file's `[workflow]`: actors in this graph.
    pub on_error: Vec<Located<Name>>,
    /// Location of its links, or of its actors if it has no links.
    pub at: Option<Location>,
    /// Whether some links could not be read: then reachability is unknown.
    pub lost_links: bool,
}

/// An actor.
#[derive(Debug)]
pub(in crate::config) struct DraftActor {
    pub name: Located<Name>,
    /// `None` if the table is so wrong that the kind is unknown.
    pub kind: Option<Kind>,
    pub timeout: Option<Duration>,
    pub retry: Retry,
    pub bubble_errors: bool,
    pub pool: Option<Located<Name>>,
    pub leave_children: bool,
}

/// A link.
#[derive(Debug)]
pub(in crate::config) struct DraftLink {
    pub at: Location,
    pub from: Option<Located<Name>>,
    pub to: Option<Located<Name>>,
    pub port: Option<Located<PortWord>>,
    pub on_error: bool,
}

/// A submodel.
#[derive(Debug)]
pub(in crate::config) struct DraftSubmodel {
    pub name: Located<Name>,
    pub ports: Vec<Located<Name>>,
    /// Names of actors inside it or around it.
    pub on_error: Vec<Located<Name>>,
    pub body: Rc<Draft>,
}

/// State that is shared by all files of a workflow while they are read.
#[derive(Debug)]
pub(in crate::config) struct ReadContext {
    pub problems: Problems,
    pub scripts: Scripts,
    /// Folders for `sys.path`: those of the workflow, then those of submodel files.
    pub paths: Vec<PathBuf>,
    /// The files that are being read, the outermost first.
    pub open: Vec<PathBuf>,
    /// Submodel files that have been read.
    pub read: HashMap<PathBuf, Rc<Draft>>,
}
