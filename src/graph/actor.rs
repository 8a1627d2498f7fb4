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
    /// The workflow or submodel it stands in.
    pub scope: ScopeId,
    /// What it does on a trigger.
    pub kind: Kind,
    /// Where its payload goes on success; a router's links are in its [`Route`]s instead.
    pub links: Vec<Link>,
    /// Where its error payload goes.
    pub on_error: Vec<Link>,
    /// Whether its errors also go to the `on_error` actors of its scope and of every scope around that
    /// (pypushflow's `errorHandler=self`).
    pub bubble_errors: bool,
    /// What happens before an error counts.
    pub retry: Retry,
    /// How long one task of it may run.
    pub timeout: Option<Duration>,
    /// The pool its tasks run in (python and exec).
    pub pool: PoolId,
    /// Whether processes that outlive its task are left alone until the supervisor ends.
    pub leave_children: bool,
}

impl Actor {
    /// An actor without links, in the scope with this path, and with every default.
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

    /// The path without the workflow's name: what people call it.
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

/// What an actor is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Where the inputs enter.
    Start,
    /// What takes the output.
    Stop,
    /// A Python function in a pool.
    Python(Script),
    /// A program.
    Exec(Box<Exec>),
    /// Passes the payload to every link.
    Fork,
    /// Waits for `arrivals` payloads, merges them in order of arrival, and starts over.
    Join {
        /// How many payloads one firing takes: the number of incoming links unless the file says otherwise.
        arrivals: usize,
    },
    /// Chooses the links by a value.
    Router(Router),
    /// Sets the run's status to a word.
    Status(String),
    /// Sets the run's status to `error`.
    ErrorHandler,
    /// A port of a submodel: passes the payload on, and is no step of its own in what people see.
    Boundary,
}

impl Kind {
    /// The word for this kind in the workflow file.
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

    /// Whether a trigger makes a task, something that a pool works on.
    pub fn is_task(&self) -> bool {
        matches!(self, Kind::Python(_) | Kind::Exec(_))
    }
}

/// Where a python actor's `run` function is. Many actors may share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Script {
    /// A file, absolute, and the dotted name that its module gets.
    File {
        /// The script.
        path: Arc<Path>,
        /// The module's name: stable, because instances of its classes travel by it.
        module: Arc<str>,
    },
    /// A dotted module, found on `sys.path`.
    Module(Arc<str>),
}

/// What an exec actor starts.
#[derive(Debug, Clone)]
pub struct Exec {
    /// The program and its arguments; `{key}` stands for a value of the payload.
    pub command: Vec<String>,
    /// Added to the environment; values may hold `{key}`.
    pub env: BTreeMap<String, String>,
    /// The working directory, absolute; the workflow's folder by default.
    pub directory: PathBuf,
    /// What the program reads.
    pub stdin: Stdin,
    /// What becomes of what it prints on standard output.
    pub stdout: Stdout,
    /// The key that the exit code goes under.
    pub returncode_key: Option<String>,
    /// The exit codes that are no error.
    pub success_codes: Vec<i32>,
    /// What its processes may use.
    pub limits: Limits,
}

/// What an exec actor's program reads on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stdin {
    /// Nothing.
    #[default]
    Null,
    /// The payload as one JSON object.
    Json,
}

/// What becomes of an exec actor's standard output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stdout {
    /// It goes to the log, line by line.
    #[default]
    Log,
    /// It is one JSON object, merged into the payload.
    Json,
    /// It is text, kept under this key.
    Key(String),
}

/// How a router decides.
#[derive(Debug, Clone)]
pub struct Router {
    /// The key whose value decides.
    pub item: Key,
    /// The ports and where each leads.
    pub routes: Vec<Route>,
    /// Where everything else goes; no such port: an error of the router.
    pub other: Option<Vec<Link>>,
}

/// One port of a router.
#[derive(Debug, Clone)]
pub struct Route {
    /// The value that opens it.
    pub port: Port,
    /// Where it leads.
    pub links: Vec<Link>,
}

/// A router's port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Port {
    /// `None`, `"None"` or `"null"`.
    Null,
    /// `True` or `False`; the strings `"true"` and `"false"` open it too.
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

/// What happens before an error of an actor counts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Retry {
    /// How many times a failed task is tried again.
    pub times: u32,
    /// The pause before the first retry; doubled before each further one, up to an hour.
    pub delay: Duration,
}
