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
    /// Its ports, those that were added included.
    pub(super) ports: Vec<String>,
    /// The actors (numbers of nodes) and their names, in order.
    pub(super) actors: Vec<(usize, String)>,
    /// The submodels in it.
    pub(super) submodels: Vec<usize>,
    /// The names of the actors that errors bubble to.
    pub(super) on_error: Vec<String>,
    /// Its links, in order.
    pub(super) links: Vec<PlacedLink>,
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
    for number in 0..instance.nodes.len() {
        let node = &instance.nodes[number];
        for link in &node.links {
            let when = link.port.clone().map_or(When::Success, When::Port);
            placement.link(number, link.to, when);
        }
        if let What::Python { on_error, .. } = &node.what {
            for &to in on_error {
                placement.link(number, to, When::Error);
            }
        }
    }
    for (scope, facts) in instance.scopes.iter().enumerate() {
        placement.scopes[scope].on_error =
            facts.on_error.iter().map(|&node| placement.node_names[node].clone()).collect();
    }
    placement.leave_out_unused_ports();
    placement.scopes
}

/// A node as seen from a scope.
#[derive(Debug, Clone)]
struct Seen {
    scope: usize,
    name: String,
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
        for names in &mut taken {
            names.reserve(["start", "stop"]);
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
                let name = self.taken[scope].take(port);
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

    /// Writes a link in the scope that sees both ends, through added ports where no scope does.
    fn link(&mut self, from: usize, to: usize, when: When) {
        let mut source = self.seen(from, to);
        let target = self.seen(to, from);
        let mut when = when;
        while !self.instance.is_within(target.scope, source.scope) {
            let (name, known) = self.added_port(source.scope, Way::Out, to);
            self.write(source.scope, &source.name, &name, when);
            if known {
                return;
            }
            when = When::Success;
            source = self.outside_view(source.scope, &name);
        }
        let mut way_in: Vec<usize> =
            self.instance.outwards(target.scope).take_while(|&scope| scope != source.scope).collect();
        while let Some(scope) = way_in.pop() {
            let (name, known) = self.added_port(scope, Way::In, to);
            let entry = self.outside_view(scope, &name);
            self.write(source.scope, &source.name, &entry.name, when);
            if known {
                return;
            }
            when = When::Success;
            source = Seen { scope, name };
        }
        self.write(source.scope, &source.name, &target.name, when);
    }

    /// A node as `other` sees it: a port is seen from inside its submodel or from outside.
    fn seen(&self, node: usize, other: usize) -> Seen {
        let facts = &self.instance.nodes[node];
        let name = self.node_names[node].clone();
        if facts.what != What::Port || self.instance.is_within(self.instance.nodes[other].scope, facts.scope) {
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

    fn leave_out_unused_ports(&mut self) {
        for (scope, facts) in self.instance.scopes.iter().enumerate() {
            let Some(parent) = facts.parent else { continue };
            let ports = std::mem::take(&mut self.scopes[scope].ports);
            let is_used = |port: &String| {
                let outside = self.outside_view(scope, port).name;
                let names = |scope: usize| self.scopes[scope].links.iter().flat_map(|link| [&link.from, &link.to]);
                names(scope).any(|name| name == port) || names(parent).any(|name| *name == outside)
            };
            self.scopes[scope].ports = ports.into_iter().filter(is_used).collect();
        }
    }

    fn write(&mut self, scope: usize, from: &str, to: &str, when: When) {
        self.scopes[scope].links.push(PlacedLink { from: from.into(), to: to.into(), when });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::super::instance::{Link, Node, Scope};
    use super::*;

    const PORTS: [&str; 2] = ["In", "Out"];

    /// Some scopes, each inside an earlier one, their ports, some actors, and links wherever chance puts them.
    fn instances() -> impl Strategy<Value = Instance> {
        let parents = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
        let actors = prop::collection::vec((any::<prop::sample::Index>(), 0..3u8), 1..8);
        let links = prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..24);
        (parents, actors, links).prop_map(|(parents, actors, links)| {
            let scope = |name: String, parent, ports: Vec<String>| Scope { name, parent, ports, on_error: Vec::new() };
            let mut scopes = vec![scope("flow".into(), None, Vec::new())];
            for parent in parents {
                let parent = parent.index(scopes.len());
                scopes.push(scope("Sub".into(), Some(parent), PORTS.map(String::from).to_vec()));
            }
            let node = |name: String, scope, what| Node { name, scope, what, links: Vec::new() };
            let mut nodes = vec![node("Start".into(), 0, What::Start), node("Stop".into(), 0, What::Stop)];
            for scope in 1..scopes.len() {
                nodes.extend(PORTS.map(|port| node(port.into(), scope, What::Port)));
            }
            for (scope, name) in actors {
                nodes.push(node(format!("actor {name}"), scope.index(scopes.len()), What::Fork));
            }
            for (from, to) in links {
                let (from, to) = (from.index(nodes.len()), to.index(nodes.len()));
                let link = Link { to, port: None };
                if from != 1 && to != 0 && !nodes[from].links.contains(&link) {
                    nodes[from].links.push(link);
                }
            }
            let order = (0..nodes.len()).collect();
            Instance {
                name: "flow".into(),
                start: 0,
                scopes,
                nodes,
                order,
                warnings: Vec::new(),
                paths: Vec::new(),
                gevent: false,
            }
        })
    }

    /// Which actors an actor's payload arrives at, straight or through ports.
    fn arrivals<K: Ord + Clone>(links: &BTreeMap<K, BTreeSet<K>>, actors: &BTreeSet<K>) -> BTreeSet<(K, K)> {
        let mut found = BTreeSet::new();
        for actor in actors {
            let mut passed = BTreeSet::new();
            let mut open: Vec<&K> = links.get(actor).into_iter().flatten().collect();
            while let Some(next) = open.pop() {
                if actors.contains(next) {
                    found.insert((actor.clone(), next.clone()));
                } else if passed.insert(next) {
                    open.extend(links.get(next).into_iter().flatten());
                }
            }
        }
        found
    }

    /// A name in a scope, as the file reads it: `submodel.port` is the port inside that submodel.
    fn resolved(scopes: &[PlacedScope], scope: usize, name: &str) -> (usize, String) {
        match name.split_once('.') {
            None => (scope, name.into()),
            Some((submodel, port)) => {
                let inner = scopes[scope].submodels.iter().find(|&&inner| scopes[inner].name == submodel);
                let inner = *inner.expect("a submodel of this scope");
                assert!(scopes[inner].ports.iter().any(|known| known == port), "no port {port}");
                (inner, port.into())
            }
        }
    }

    proptest! {
        #[test]
        fn every_payload_arrives_where_it_did_in_pypushflow(instance in instances()) {
            let scopes = place(&instance);
            let mut name_of: BTreeMap<usize, (usize, String)> =
                BTreeMap::from([(0, (0, "start".into())), (1, (0, "stop".into()))]);
            for (scope, placed) in scopes.iter().enumerate() {
                name_of.extend(placed.actors.iter().map(|(node, name)| (*node, (scope, name.clone()))));
            }
            let wanted_links: BTreeMap<usize, BTreeSet<usize>> = instance.nodes.iter().enumerate()
                .map(|(from, node)| (from, node.links.iter().map(|link| link.to).collect())).collect();
            let wanted: BTreeSet<_> = arrivals(&wanted_links, &name_of.keys().copied().collect())
                .into_iter().map(|(from, to)| (name_of[&from].clone(), name_of[&to].clone())).collect();

            let mut links: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
            for (scope, placed) in scopes.iter().enumerate() {
                for link in &placed.links {
                    let (from, to) = (resolved(&scopes, scope, &link.from), resolved(&scopes, scope, &link.to));
                    prop_assert!(links.entry(from).or_default().insert(to), "{link:?} stands there twice");
                }
            }
            prop_assert_eq!(arrivals(&links, &name_of.values().cloned().collect()), wanted);
        }
    }
}
