//! Any instance: every payload and every error arrives in the file where it arrives in pypushflow.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::instance::{ErrorLinks, Instance, Link, Node, Scope, What};
use super::placement::place;
use super::{Source, same_meaning};
use crate::config;
use crate::graph::{self, Workflow};

const PORTS: [&str; 3] = ["In", "Out", "Aux"];

/// Some models, each inside an earlier one, their ports, some python actors, and links wherever chance puts them.
fn instances() -> impl Strategy<Value = Instance> {
    let two = || (any::<Index>(), any::<Index>());
    let parents = prop::collection::vec(any::<Index>(), 0..4);
    let actors = prop::collection::vec((any::<Index>(), 0..3u8, 0..4u8), 1..8);
    let links = prop::collection::vec(two(), 0..24);
    let errors = prop::collection::vec(two(), 0..6);
    let scope_errors = prop::collection::vec(two(), 0..4);
    (parents, actors, links, errors, scope_errors).prop_map(|(parents, actors, links, errors, scope_errors)| {
        let scope =
            |name: &str, parent, ports: Vec<String>| Scope { name: name.into(), parent, ports, on_error: vec![] };
        let mut scopes = vec![scope("flow", None, Vec::new())];
        for parent in parents {
            let parent = parent.index(scopes.len());
            scopes.push(scope("Sub", Some(parent), PORTS.map(String::from).to_vec()));
        }
        let node = |name: String, scope, what| Node { name, scope, what, links: Vec::new() };
        let mut nodes = vec![node("Start".into(), 0, What::Start), node("Stop".into(), 0, What::Stop)];
        for scope in 1..scopes.len() {
            nodes.extend(PORTS.map(|port| node(port.into(), scope, What::Port)));
        }
        for (scope, name, bubbling) in actors {
            let scope = scope.index(scopes.len());
            let bubble_to = match bubbling {
                0 | 1 => None,
                2 => Some(outwards(&scopes, scope)),
                _ => Some(vec![0]),
            };
            let errors = ErrorLinks { to: Vec::new(), bubble_to };
            nodes.push(node(format!("actor {name}"), scope, What::Python { script: "tasks.add.py".into(), errors }));
        }
        let count = nodes.len();
        for (from, to) in links {
            let (from, to) = (from.index(count), to.index(count));
            if nodes[from].what != What::Stop {
                nodes[from].links.push(Link { to, port: None });
            }
        }
        // A workflow without an output is refused.
        nodes[0].links.push(Link { to: 1, port: None });
        for (from, to) in errors {
            if let Some(errors) = nodes[from.index(count)].what.errors_mut() {
                errors.to.push(to.index(count));
            }
        }
        for (scope, to) in scope_errors {
            let scope = scope.index(scopes.len());
            // Half of them lead to stop, as in most workflows.
            let to = to.index(2 * count).checked_sub(count).unwrap_or(1);
            scopes[scope].on_error.push(to);
        }
        let order = (0..count).collect();
        let (name, warnings, paths) = ("flow".into(), Vec::new(), Vec::new());
        Instance { name, start: 0, scopes, nodes, order, warnings, paths, gevent: false }
    })
}

fn outwards(scopes: &[Scope], scope: usize) -> Vec<usize> {
    std::iter::successors(Some(scope), |&inner| scopes[inner].parent).collect()
}

/// Who hands a payload to whom: a node's payload and its error leave by different edges.
struct Edges<K> {
    success: BTreeMap<K, Vec<K>>,
    error: BTreeMap<K, Vec<K>>,
}

/// Which actor hands its payload (or its error) to which, straight or through what only passes on.
fn handed<K: Ord + Clone>(edges: &Edges<K>, start: &K, actors: &BTreeSet<K>) -> BTreeSet<(K, bool, K)> {
    let mut found = BTreeSet::new();
    let mut reached = BTreeSet::new();
    let mut waiting = vec![start.clone()];
    while let Some(actor) = waiting.pop() {
        if !reached.insert(actor.clone()) {
            continue;
        }
        for (is_error, first) in [(false, &edges.success), (true, &edges.error)] {
            let mut passed = BTreeSet::new();
            let mut open: Vec<&K> = first.get(&actor).into_iter().flatten().collect();
            while let Some(next) = open.pop() {
                if actors.contains(next) {
                    found.insert((actor.clone(), is_error, next.clone()));
                    waiting.push(next.clone());
                } else if passed.insert(next) {
                    open.extend(edges.success.get(next).into_iter().flatten());
                }
            }
        }
    }
    found
}

fn in_pypushflow(instance: &Instance) -> Edges<usize> {
    let mut edges = Edges { success: BTreeMap::new(), error: BTreeMap::new() };
    for (number, node) in instance.nodes.iter().enumerate() {
        edges.success.insert(number, node.links.iter().map(|link| link.to).collect());
        if let Some(errors) = node.what.errors() {
            let bubbled = errors.bubble_to.iter().flatten().flat_map(|&scope| &instance.scopes[scope].on_error);
            edges.error.insert(number, errors.to.iter().chain(bubbled).copied().collect());
        }
    }
    edges
}

/// The graph that the file makes, by the paths of its actors; an error goes to the error links and then up.
fn in_the_file(workflow: &Workflow) -> Edges<String> {
    let mut edges = Edges { success: BTreeMap::new(), error: BTreeMap::new() };
    let paths = |links: &[graph::Link]| links.iter().map(|link| workflow.actor(link.to).path.clone()).collect();
    for actor in &workflow.actors {
        let mut errors: Vec<String> = paths(&actor.on_error);
        let mut scope = actor.bubble_errors.then_some(actor.scope);
        while let Some(id) = scope {
            errors.extend::<Vec<String>>(paths(&workflow.scope(id).on_error));
            scope = workflow.scope(id).parent;
        }
        edges.success.insert(actor.path.clone(), paths(&actor.links));
        edges.error.insert(actor.path.clone(), errors);
    }
    edges
}

/// The paths of these nodes in the file.
fn paths(instance: &Instance, nodes: &BTreeSet<usize>) -> BTreeMap<usize, String> {
    let scopes = place(instance);
    let mut paths = BTreeMap::from([(0, "/flow/start".into()), (1, "/flow/stop".into())]);
    for (scope, placed) in scopes.iter().enumerate() {
        let mut names: Vec<&str> = instance.outwards(scope).map(|scope| scopes[scope].name.as_str()).collect();
        names.reverse();
        for (number, name) in placed.actors.iter().filter(|(number, _)| nodes.contains(number)) {
            paths.insert(*number, format!("/{}/{name}", names.join("/")));
        }
    }
    paths
}

proptest! {
    #![proptest_config(crate::test_seed::property_test(2000))]

    #[test]
    fn payloads_and_errors_arrive_where_they_do_in_pypushflow(instance in instances()) {
        let is_actor = |number: &usize| *number != instance.start && instance.nodes[*number].what != What::Port;
        let actors: BTreeSet<usize> = (0..instance.nodes.len()).filter(is_actor).collect();
        let wanted = handed(&in_pypushflow(&instance), &instance.start, &actors);

        let converted = super::write(&Source::default(), instance.clone());
        let loaded = config::load_str(&converted.toml, "/flows/flow.toml".as_ref());
        let workflow = match loaded {
            Ok(loaded) => loaded.workflow,
            Err(errors) => return Err(TestCaseError::fail(format!("{errors}\n{}", converted.toml))),
        };
        let mut rewritten = instance;
        same_meaning::rewrite(&mut rewritten);
        let paths = paths(&rewritten, &actors);
        let start = paths[&0].clone();
        let known = paths.values().filter(|path| **path != start).cloned().collect();
        let found = handed(&in_the_file(&workflow), &start, &known);
        let path = |number: &usize| paths.get(number).cloned().unwrap_or_else(|| format!("node {number} is left out"));
        let wanted: BTreeSet<_> = wanted.iter().map(|(from, error, to)| (path(from), *error, path(to))).collect();
        prop_assert_eq!(found, wanted, "{}", converted.toml);
    }
}
