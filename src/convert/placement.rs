//! Where things stand in the file: every actor in its scope, every link in the scope that both its ends are seen from.
//!
//! pypushflow links objects, wherever they are; the file crosses the border of a submodel only through a port. Links
//! that cross without one get one.

use std::collections::HashMap;

use super::instance::{Instance, Value, What};
use super::names::Names;

/// A scope as the file has it.
#[derive(Debug, Default)]
pub(super) struct PlacedScope {
    /// Its name in the scope around it.
    pub(super) name: String,
    /// Its ports beside In and Out, those that were added included.
    pub(super) ports: Vec<String>,
    /// The actors (numbers of nodes) and their names, in order.
    pub(super) actors: Vec<(usize, String)>,
    /// The submodels in it.
    pub(super) submodels: Vec<usize>,
    /// What the errors that bubble up to it go to.
    pub(super) on_error: Vec<ErrorTarget>,
    /// Its links, in order.
    pub(super) links: Vec<PlacedLink>,
}

/// An entry of `on_error`. A name that is known inside the scope means that; another is one of the scope around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ErrorTarget {
    pub(super) name: String,
    /// The scope that the name is known in.
    pub(super) known_in: usize,
}

/// A link as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlacedLink {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) when: When,
}

/// What makes a link fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    Success,
    Error,
    Port(Value),
}

/// Places everything; the scopes have the numbers that they have in the instance.
pub(super) fn place(instance: &Instance) -> Vec<PlacedScope> {
    let mut placement = Placement::new(instance);
    placement.name_everything();
    for (number, node) in instance.nodes.iter().enumerate() {
        for link in &node.links {
            placement.link(number, link.to, link.port.clone().map_or(When::Success, When::Port));
        }
        for &to in node.what.errors().into_iter().flat_map(|errors| &errors.to) {
            placement.link(number, to, When::Error);
        }
    }
    for (scope, facts) in instance.scopes.iter().enumerate() {
        for &to in &facts.on_error {
            placement.bubble(scope, to);
        }
    }
    placement.leave_out_unused_ports();
    placement.leave_out_empty_submodels(0);
    placement.scopes
}

/// A node as seen from a scope.
#[derive(Debug, Clone)]
struct Seen {
    scope: usize,
    name: String,
}

/// Where a link begins.
#[derive(Debug, Clone)]
enum Origin {
    /// At a node or a port.
    Node(Seen, When),
    /// At the errors that bubble up to a scope.
    Errors { scope: usize },
}

impl Origin {
    fn scope(&self) -> usize {
        match self {
            Origin::Node(seen, _) => seen.scope,
            Origin::Errors { scope } => *scope,
        }
    }
}

struct Placement<'a> {
    instance: &'a Instance,
    scopes: Vec<PlacedScope>,
    taken: Vec<Names>,
    /// The name of every node in its scope.
    node_names: Vec<String>,
    /// Ports that were added: the way out of a scope, or into it, to a node.
    added: HashMap<(usize, Way, usize), String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Out,
    In,
}

impl<'a> Placement<'a> {
    fn new(instance: &'a Instance) -> Self {
        let mut taken = vec![Names::default(); instance.scopes.len()];
        for (names, scope) in taken.iter_mut().zip(&instance.scopes) {
            names.reserve(["start", "stop"]);
            if scope.parent.is_some() {
                names.reserve(["In", "Out"]);
            }
        }
        Placement {
            instance,
            scopes: instance.scopes.iter().map(|_| PlacedScope::default()).collect(),
            taken,
            node_names: vec![String::new(); instance.nodes.len()],
            added: HashMap::new(),
        }
    }

    fn name_everything(&mut self) {
        let mut port_names = HashMap::new();
        for (scope, facts) in self.instance.scopes.iter().enumerate() {
            for port in &facts.ports {
                let name = if port == "In" || port == "Out" { port.clone() } else { self.taken[scope].take(port) };
                port_names.insert((scope, port), name.clone());
                self.scopes[scope].ports.push(name);
            }
        }
        for &number in &self.instance.order {
            let node = &self.instance.nodes[number];
            self.node_names[number] = match node.what {
                What::Start => "start".into(),
                What::Stop => "stop".into(),
                What::Port => port_names[&(node.scope, &node.name)].clone(),
                _ => {
                    let name = self.taken[node.scope].take(&node.name);
                    self.scopes[node.scope].actors.push((number, name.clone()));
                    name
                }
            };
        }
        for (scope, facts) in self.instance.scopes.iter().enumerate() {
            self.scopes[scope].name = match facts.parent {
                Some(parent) => {
                    self.scopes[parent].submodels.push(scope);
                    self.taken[parent].take(&facts.name)
                }
                None => facts.name.clone(),
            };
        }
    }

    /// Writes a link of a node.
    fn link(&mut self, from: usize, to: usize, when: When) {
        let origin = Origin::Node(self.seen(from, self.instance.nodes[to].scope), when);
        let target = self.seen(to, self.instance.nodes[from].scope);
        self.lead(origin, to, target);
    }

    /// Writes where the errors go that bubble up to a scope.
    fn bubble(&mut self, scope: usize, to: usize) {
        let target = self.seen(to, scope);
        let first = target.name.split('.').next().unwrap_or_default();
        if target.scope == self.instance.around(scope) && target.scope != scope && self.taken[scope].is_free(first) {
            self.taken[scope].reserve([first]);
            self.scopes[scope].on_error.push(ErrorTarget { name: target.name, known_in: target.scope });
        } else {
            self.lead(Origin::Errors { scope }, to, target);
        }
    }

    /// Leads from an origin to a node, through added ports where no scope sees both.
    fn lead(&mut self, mut origin: Origin, to: usize, target: Seen) {
        while !self.instance.is_within(target.scope, origin.scope()) {
            let scope = origin.scope();
            let (name, known) = self.added_port(scope, Way::Out, to);
            self.write(&origin, &name);
            if known {
                return;
            }
            origin = Origin::Node(self.outside_view(scope, &name), When::Success);
        }
        let mut way_in: Vec<usize> =
            self.instance.outwards(target.scope).take_while(|&scope| scope != origin.scope()).collect();
        while let Some(scope) = way_in.pop() {
            let (name, known) = self.added_port(scope, Way::In, to);
            let entry = self.outside_view(scope, &name).name;
            self.write(&origin, &entry);
            if known {
                return;
            }
            origin = Origin::Node(Seen { scope, name }, When::Success);
        }
        self.write(&origin, &target.name);
    }

    /// A node as seen from a scope: a port is seen from inside its submodel or from outside.
    fn seen(&self, node: usize, from: usize) -> Seen {
        let facts = &self.instance.nodes[node];
        let name = self.node_names[node].clone();
        if facts.what != What::Port || self.instance.is_within(from, facts.scope) {
            return Seen { scope: facts.scope, name };
        }
        self.outside_view(facts.scope, &name)
    }

    fn outside_view(&self, scope: usize, port: &str) -> Seen {
        let parent = self.instance.scopes[scope].parent.expect("the workflow has no ports");
        Seen { scope: parent, name: format!("{}.{port}", self.scopes[scope].name) }
    }

    /// The port that leads out of (or into) a scope towards a node, and whether it was there already.
    fn added_port(&mut self, scope: usize, way: Way, node: usize) -> (String, bool) {
        if let Some(name) = self.added.get(&(scope, way, node)) {
            return (name.clone(), true);
        }
        let name = self.taken[scope].take(&format!("to {}", self.node_names[node]));
        self.scopes[scope].ports.push(name.clone());
        self.added.insert((scope, way, node), name.clone());
        (name, false)
    }

    /// In and Out are always there; others only where something passes them.
    fn leave_out_unused_ports(&mut self) {
        for (scope, facts) in self.instance.scopes.iter().enumerate() {
            let Some(parent) = facts.parent else { continue };
            let ports = std::mem::take(&mut self.scopes[scope].ports);
            let is_used = |port: &String| {
                let outside = self.outside_view(scope, port).name;
                self.names_in(scope).any(|name| name == port) || self.names_in(parent).any(|name| *name == outside)
            };
            let is_extra = |port: &String| port != "In" && port != "Out";
            self.scopes[scope].ports = ports.into_iter().filter(|port| is_extra(port) && is_used(port)).collect();
        }
    }

    /// Says whether there is anything in a scope or at its ports.
    fn leave_out_empty_submodels(&mut self, scope: usize) -> bool {
        let mut submodels = std::mem::take(&mut self.scopes[scope].submodels);
        submodels.retain(|&inner| {
            let prefix = format!("{}.", self.scopes[inner].name);
            let is_passed = self.names_in(scope).any(|name| name.starts_with(&prefix));
            self.leave_out_empty_submodels(inner) || is_passed
        });
        let placed = &mut self.scopes[scope];
        placed.submodels = submodels;
        !(placed.actors.is_empty() && placed.links.is_empty() && placed.submodels.is_empty())
    }

    /// Every name of a scope that a link or an `on_error` says.
    fn names_in(&self, scope: usize) -> impl Iterator<Item = &String> {
        let errors = self.scopes.iter().flat_map(|placed| &placed.on_error);
        let errors = errors.filter(move |target| target.known_in == scope).map(|target| &target.name);
        self.scopes[scope].links.iter().flat_map(|link| [&link.from, &link.to]).chain(errors)
    }

    fn write(&mut self, origin: &Origin, to: &str) {
        match origin {
            Origin::Node(Seen { scope, name }, when) => {
                let link = PlacedLink { from: name.clone(), to: to.into(), when: when.clone() };
                self.scopes[*scope].links.push(link);
            }
            Origin::Errors { scope } => {
                self.scopes[*scope].on_error.push(ErrorTarget { name: to.into(), known_in: *scope });
            }
        }
    }
}
