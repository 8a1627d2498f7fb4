//! Any instance: every payload and every error arrives in the file where it arrives in pypushflow.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::instance::{ErrorLinks, Instance, Link, Node, Scope, What};
use super::placement::{PlacedScope, When, place};
use super::same_meaning;

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
            nodes.push(node(format!("actor {name}"), scope, What::Python { script: "a.py".into(), errors }));
        }
        let count = nodes.len();
        for (from, to) in links {
            let (from, to) = (from.index(count), to.index(count));
            if nodes[from].what != What::Stop {
                nodes[from].links.push(Link { to, port: None });
            }
        }
        for (from, to) in errors {
            if let Some(errors) = nodes[from.index(count)].what.errors_mut() {
                errors.to.push(to.index(count));
            }
        }
        for (scope, to) in scope_errors {
            let scope = scope.index(scopes.len());
            scopes[scope].on_error.push(to.index(count));
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

/// Which actor hands a payload (or an error) to which, how often, straight or through what only passes on.
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

type Name = (usize, String);

/// A name in a scope, as the file reads it: `submodel.port` is the port inside that submodel.
fn resolved(scopes: &[PlacedScope], scope: usize, name: &str) -> Name {
    let Some((submodel, port)) = name.split_once('.') else { return (scope, name.into()) };
    let inner = scopes[scope].submodels.iter().find(|&&inner| scopes[inner].name == submodel);
    let inner = *inner.expect("a submodel of this scope");
    assert!(port == "In" || port == "Out" || scopes[inner].ports.iter().any(|known| known == port), "no port {port}");
    (inner, port.into())
}

/// The links of the file; none is there twice, and each port is passed one way.
fn in_the_file(instance: &Instance, scopes: &[PlacedScope], names: &BTreeMap<usize, Name>) -> Edges<Name> {
    let mut edges = Edges { success: BTreeMap::new(), error: BTreeMap::new() };
    let mut ways: BTreeMap<Name, bool> = BTreeMap::new();
    let mut pass = |scope: usize, name: &str, is_source: bool| {
        let end = resolved(scopes, scope, name);
        let is_port = matches!(name, "In" | "Out") || scopes[end.0].ports.contains(&end.1);
        if end.0 != 0 && is_port {
            let goes_in = (end.0 == scope) == is_source;
            assert_eq!(*ways.entry(end.clone()).or_insert(goes_in), goes_in, "{name} is passed both ways");
            assert!(name != "In" || goes_in);
            assert!(name != "Out" || !goes_in);
        }
        end
    };
    for (scope, placed) in scopes.iter().enumerate() {
        for link in &placed.links {
            let (from, to) = (pass(scope, &link.from, true), pass(scope, &link.to, false));
            let links = if link.when == When::Error { &mut edges.error } else { &mut edges.success };
            let links: &mut Vec<Name> = links.entry(from).or_default();
            assert!(!links.contains(&to), "{link:?} is there twice");
            links.push(to);
        }
    }
    for (number, node) in instance.nodes.iter().enumerate() {
        if let (Some(ErrorLinks { bubble_to: Some(_), .. }), Some(name)) = (node.what.errors(), names.get(&number)) {
            for scope in instance.outwards(node.scope) {
                let around = instance.around(scope);
                let targets = scopes[scope].on_error.iter().map(|target| pass(around, target, false));
                edges.error.entry(name.clone()).or_default().extend(targets);
            }
        }
    }
    edges
}

proptest! {
    #[test]
    fn payloads_and_errors_arrive_where_they_did_in_pypushflow(instance in instances()) {
        let is_actor = |number: &usize| *number != instance.start && instance.nodes[*number].what != What::Port;
        let actors: BTreeSet<usize> = (0..instance.nodes.len()).filter(is_actor).collect();
        let wanted = handed(&in_pypushflow(&instance), &instance.start, &actors);

        let mut rewritten = instance.clone();
        same_meaning::rewrite(&mut rewritten);
        let scopes = place(&rewritten);
        let mut names: BTreeMap<usize, Name> = BTreeMap::from([(1, (0, "stop".into()))]);
        for (scope, placed) in scopes.iter().enumerate() {
            let known = placed.actors.iter().filter(|(number, _)| actors.contains(number));
            names.extend(known.map(|(number, name)| (*number, (scope, name.clone()))));
        }
        let file = in_the_file(&rewritten, &scopes, &names);
        let found = handed(&file, &(0, "start".into()), &names.values().cloned().collect());
        let name = |number: &usize| names.get(number).cloned().unwrap_or((0, "start".into()));
        let wanted: BTreeSet<_> = wanted.iter().map(|(from, error, to)| (name(from), *error, name(to))).collect();
        prop_assert_eq!(found, wanted);
    }
}
