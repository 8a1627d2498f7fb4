//! Actors and the links between them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{ActorId, Limits, PoolId, ScopeId};
use crate::payload::Key;

/// A node of the graph.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The name inside its scope.
    pub name: String,
    /// `/workflow/submodel/actor`.
    pub path: String,
    /// The workflow or submodel that contains it.
    pub scope: ScopeId,
    /// What it does on a trigger.
    pub kind: Kind,
    /// Links that its payload follows on success. Those of a router are in its [`Route`]s.
    pub links: Vec<Link>,
    /// Links that its error payload follows.
    pub on_error: Vec<Link>,
    /// Whether its errors also go to the `on_error` actors of its scope and all scopes around it (pypushflow's
    /// `errorHandler=self`).
    pub bubble_errors: bool,
    /// How often a failed task is repeated.
    pub retry: Retry,
    /// Time limit of one task.
    pub timeout: Option<Duration>,
    /// The pool of its tasks (python and exec).
    pub pool: PoolId,
    /// Whether processes that outlive its task may continue until the supervisor ends.
    pub leave_children: bool,
}

impl Actor {
    /// An actor without links and with default settings.
    pub fn new(name: &str, scope: ScopeId, scope_path: &str, kind: Kind) -> Self {
        Actor {
            name: name.to_owned(),
            path: [scope_path, "/", name].concat(),
            scope,
            kind,
            links: Vec::new(),
            on_error: Vec::new(),
            bubble_errors: false,
            retry: Retry::default(),
            timeout: None,
            pool: PoolId(0),
            leave_children: false,
        }
    }

    /// The path without the name of the workflow, for messages.
    pub fn display_name(&self) -> &str {
        self.path.splitn(3, '/').nth(2).unwrap_or(&self.name)
    }
}

/// A directed edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The actor it triggers.
    pub to: ActorId,
}

/// The kind of an actor.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Where the inputs enter.
    Start,
    /// Where the output leaves.
    Stop,
    /// A Python function in a pool.
    Python(Script),
    /// A program.
    Exec(Box<Exec>),
    /// Passes the payload to every link.
    Fork,
    /// Waits for `arrivals` payloads, merges them in order of arrival, and starts again.
    Join {
        /// Number of payloads that are merged. Default: the number of incoming links.
        arrivals: usize,
    },
    /// Chooses the links by a value.
    Router(Router),
    /// Sets the run's status to a word.
    Status(String),
    /// Sets the run's status to `error`.
    ErrorHandler,
    /// A port of a submodel, which passes the payload on. It is not shown as a step.
    Boundary,
}

impl Kind {
    /// The name of this kind in workflow files.
    pub fn word(&self) -> &'static str {
        match self {
            Kind::Start => "start",
            Kind::Stop => "stop",
            Kind::Python(_) => "python",
            Kind::Exec(_) => "exec",
            Kind::Fork => "fork",
            Kind::Join { .. } => "join",
            Kind::Router(_) => "router",
            Kind::Status(_) => "status",
            Kind::ErrorHandler => "error-handler",
            Kind::Boundary => "port",
        }
    }

    /// Whether a trigger creates a task, which a pool executes.
    pub fn is_task(&self) -> bool {
        matches!(self, Kind::Python(_) | Kind::Exec(_))
    }
}

/// The module of a python actor's `run` function. Several actors may share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Script {
    /// A file.
    File {
        /// The absolute path.
        path: Arc<Path>,
        /// The dotted name of its module. It must be stable: pickled instances of its classes contain it.
        module: Arc<str>,
    },
    /// The dotted name of a module on `sys.path`.
    Module(Arc<str>),
}

/// What an exec actor starts.
#[derive(Debug, Clone)]
pub struct Exec {
    /// The program and its arguments. `{key}` is replaced by a value of the payload.
    pub command: Vec<String>,
    /// Additional environment variables. Values may contain `{key}`.
    pub env: BTreeMap<String, String>,
    /// The absolute path of the working directory.
    pub directory: PathBuf,
    /// What the program reads on standard input.
    pub stdin: Stdin,
    /// How its standard output is used.
    pub stdout: Stdout,
    /// The payload key for the exit code.
    pub returncode_key: Option<String>,
    /// Exit codes that mean success.
    pub success_codes: Vec<i32>,
    /// Resource limits of its processes.
    pub limits: Limits,
}

/// What the program of an exec actor reads on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stdin {
    /// Nothing.
    #[default]
    Null,
    /// The payload as one JSON object.
    Json,
}

/// How the standard output of an exec actor is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stdout {
    /// Each line is logged.
    #[default]
    Log,
    /// It is one JSON object, merged into the payload.
    Json,
    /// It is text, which is stored under this key.
    Key(String),
}

/// The settings of a router.
#[derive(Debug, Clone)]
pub struct Router {
    /// The payload key whose value selects the port.
    pub item: Key,
    /// The ports and their links.
    pub routes: Vec<Route>,
    /// Links for all other values. Without them, another value is an error of the router.
    pub other: Option<Vec<Link>>,
}

/// One port of a router.
#[derive(Debug, Clone)]
pub struct Route {
    /// The value that selects it.
    pub port: Port,
    /// Its links.
    pub links: Vec<Link>,
}

/// A router's port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Port {
    /// `None`, `"None"` or `"null"`.
    Null,
    /// `True` or `False`, also as the strings `"true"` and `"false"`.
    Bool(bool),
    /// An integer, or a float equal to it.
    Int(i64),
    /// A string.
    Text(String),
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Null => f.write_str("null"),
            Port::Bool(value) => value.fmt(f),
            Port::Int(value) => value.fmt(f),
            Port::Text(text) => f.write_str(text),
        }
    }
}

/// How often a failed task is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Retry {
    /// Maximum number of repetitions.
    pub times: u32,
    /// The pause before the first retry. It doubles before each further retry, up to an hour.
    pub delay: Duration,
}
