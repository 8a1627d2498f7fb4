//! What the walking program found: a pypushflow workflow instance as plain data. Actors and models are numbers.

use serde::Deserialize;

/// One workflow instance.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Instance {
    /// The workflow's name.
    pub(super) name: String,
    /// Which node is the workflow's start actor.
    pub(super) start: usize,
    /// The workflow (first) and its submodels.
    pub(super) scopes: Vec<Scope>,
    /// Every actor and port that the start actor leads to, in the order in which it leads there.
    pub(super) nodes: Vec<Node>,
    /// The nodes in the order in which the class made them.
    pub(super) order: Vec<usize>,
    /// What can be said of it only in words.
    pub(super) warnings: Vec<Warning>,
    /// The folders that must be on `sys.path`.
    pub(super) paths: Vec<String>,
    /// Whether gevent has patched the interpreter.
    pub(super) gevent: bool,
}

/// The workflow or a submodel.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Scope {
    pub(super) name: String,
    /// The scope around it; none for the workflow.
    pub(super) parent: Option<usize>,
    /// The names of its ports.
    pub(super) ports: Vec<String>,
    /// Where errors that bubble up to it go.
    pub(super) on_error: Vec<usize>,
}

/// An actor or a port.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Node {
    pub(super) name: String,
    /// The model it stands in; for a port, the submodel it is a port of.
    pub(super) scope: usize,
    pub(super) what: What,
    /// Where its payload goes.
    pub(super) links: Vec<Link>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    Start,
    Stop,
    Python {
        script: String,
        errors: ErrorLinks,
    },
    Router {
        item: Value,
        /// pypushflow's routers have no error links: these are the ones of the tasks before it.
        #[serde(skip)]
        errors: ErrorLinks,
    },
    Join {
        arrivals: usize,
    },
    Fork,
    Status {
        word: String,
    },
    ErrorHandler,
    Port,
}

/// Where the errors of a node go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct ErrorLinks {
    pub(super) to: Vec<usize>,
    /// The models that its errors bubble to, in order; none without an `errorHandler`.
    pub(super) bubble_to: Option<Vec<usize>>,
}

/// Where a node leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(super) struct Link {
    pub(super) to: usize,
    /// The router's port.
    pub(super) port: Option<Value>,
}

/// A key of a payload, or the value that opens a router's port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Value {
    Text(String),
    Int(i64),
}

/// Something that the workflow file cannot say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Warning {
    pub(super) text: String,
    /// Which node it is about.
    pub(super) node: Option<usize>,
}

impl What {
    /// Where its errors go, if it can fail.
    pub(super) fn errors(&self) -> Option<&ErrorLinks> {
        match self {
            What::Python { errors, .. } | What::Router { errors, .. } => Some(errors),
            _ => None,
        }
    }

    /// Where its errors go, if it can fail.
    pub(super) fn errors_mut(&mut self) -> Option<&mut ErrorLinks> {
        match self {
            What::Python { errors, .. } | What::Router { errors, .. } => Some(errors),
            _ => None,
        }
    }
}

impl Instance {
    /// The scope around a scope; the workflow is around itself.
    pub(super) fn around(&self, scope: usize) -> usize {
        self.scopes[scope].parent.unwrap_or(scope)
    }

    /// Adds a node that passes payloads on, and says its number.
    pub(super) fn add_fork(&mut self, name: &str, scope: usize, to: Vec<usize>) -> usize {
        let links = to.into_iter().map(|to| Link { to, port: None }).collect();
        self.nodes.push(Node { name: name.into(), scope, what: What::Fork, links });
        self.order.push(self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// The scopes from this one outwards, the workflow last.
    pub(super) fn outwards(&self, scope: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(scope), |&inner| self.scopes[inner].parent)
    }

    /// Whether `scope` is `outer` or somewhere inside of it.
    pub(super) fn is_within(&self, scope: usize, outer: usize) -> bool {
        self.outwards(scope).any(|around| around == outer)
    }
}
