//! The flat graph while it is built, and what is known of it beside the graph itself.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::config::read::names::Name;
use crate::config::toml::source::{Located, Location};
use crate::graph::{Actor, ActorId, Scope, ScopeId};

/// The graph so far.
#[derive(Default)]
pub(super) struct Graph {
    pub actors: Vec<Actor>,
    /// For each actor.
    pub facts: Vec<ActorFacts>,
    pub scopes: Vec<Scope>,
    /// Location of each scope's name. The workflow comes first.
    pub scope_locations: Vec<Location>,
    pub links: LinkFacts,
}

/// What is known of an actor beside the graph.
pub(super) struct ActorFacts {
    /// Location of its name.
    pub at: Location,
    /// Whether its kind could be read.
    pub known: bool,
    /// Number of links that lead to it.
    pub incoming: usize,
    /// The direction in which links pass a port, `start` or `stop`. A port without a fixed direction gets that of its first link.
    pub direction: Option<PortDirection>,
}

/// What is known of the links beside the graph.
#[derive(Default)]
pub(super) struct LinkFacts {
    /// Links with an end that is misspelled: so that one wrong name is one error, and not also an unreachable actor.
    pub intended: Vec<(ActorId, ActorId)>,
    /// Targets of links whose origin is unknown. They count as reachable.
    pub seeds: Vec<ActorId>,
    /// Location of the first entry of each scope's `on_error`.
    pub scope_errors: FxHashMap<ScopeId, Location>,
    /// Whether some link has an unknown target: then `stop` may be reachable.
    pub has_unknown_target: bool,
    /// Whether some links could not be read at all: then reachability is unknown.
    pub incomplete: bool,
}

/// The direction in which links pass a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortDirection {
    /// Into the submodel, or into the workflow (`start`).
    In,
    /// Out of it (`stop`).
    Out,
}

/// The names that links of one workflow or submodel can use.
pub(super) struct Frame<'d> {
    pub scope: ScopeId,
    pub names: FxHashMap<&'d str, NameTarget>,
    pub submodels: Vec<Submodel<'d>>,
    /// Names of both an actor and a submodel. Links to them are not reported again.
    pub ambiguous: FxHashSet<&'d str>,
    /// The ports of the submodel itself. `start` and `stop` are aliases of `In` and `Out`.
    pub ports: FxHashMap<&'d str, ActorId>,
}

/// What a name refers to.
#[derive(Clone, Copy)]
pub(super) enum NameTarget {
    Actor(ActorId),
    /// Index in [`Frame::submodels`].
    Submodel(usize),
}

/// A submodel as the graph around it sees it.
pub(super) struct Submodel<'d> {
    pub name: &'d str,
    pub scope: ScopeId,
    pub ports: FxHashMap<&'d str, ActorId>,
    /// Names in its `on_error` that are not inside it, so they are in the graph around it.
    pub outer_on_error: Vec<&'d Located<Name>>,
}

impl Frame<'_> {
    pub fn new(scope: ScopeId) -> Self {
        Frame {
            scope,
            names: FxHashMap::default(),
            submodels: Vec::new(),
            ambiguous: FxHashSet::default(),
            ports: FxHashMap::default(),
        }
    }
}
