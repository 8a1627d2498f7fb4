//! Checks that need the whole graph: unreachable actors, a `stop` that nothing leads to, cycles without a task, and so on.
//!
//! A pure function from the graph to a list of findings. `findings` turns them into diagnostics.

use rustc_hash::FxHashMap;

use super::graph::Graph;
use crate::graph::{Actor, ActorId, Kind, Link, Scope, ScopeId};

/// What is wrong with the graph as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// No link leaves this router.
    RouterWithoutLinks(ActorId),
    /// Other values than those of its ports are errors at this router.
    RouterWithoutOther(ActorId),
    /// No link leads to this join.
    JoinWithoutLinks(ActorId),
    /// `on_error` of this scope is never used: no error bubbles to it.
    UnusedOnError(ScopeId),
    /// Nothing leads to `stop`.
    StopUnreachable,
    /// `start` cannot reach this actor.
    Unreachable(ActorId),
    /// No link leads into the submodel of this port `In`.
    SubmodelUnreachable(ActorId),
    /// Links leave this port, and none leads to it.
    PortUnreachable(ActorId),
    /// A cycle without a task never ends.
    EndlessCycle(Vec<ActorId>),
}

/// Checks the finished graph.
#[must_use]
pub(super) fn check(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_routers(graph, &mut findings);
    check_bubbling(graph, &mut findings);
    findings.extend(endless_cycles(graph).into_iter().map(Finding::EndlessCycle));
    if !graph.links.incomplete {
        check_joins(graph, &mut findings);
        check_reachable(graph, &mut findings);
    }
    findings
}

/// Every actor that a payload can go to next.
fn next(actor: &Actor) -> impl Iterator<Item = ActorId> + '_ {
    let (routes, other) = match &actor.kind {
        Kind::Router(router) => (&router.routes[..], router.other.as_deref().unwrap_or_default()),
        _ => Default::default(),
    };
    let routed = routes.iter().flat_map(|route| &route.links).chain(other);
    actor.links.iter().chain(&actor.on_error).chain(routed).map(|link| link.to)
}

fn check_routers(graph: &Graph, findings: &mut Vec<Finding>) {
    for (index, (actor, facts)) in graph.actors.iter().zip(&graph.facts).enumerate() {
        let Kind::Router(router) = &actor.kind else { continue };
        if graph.links.incomplete || !facts.known {
            continue;
        }
        match (&router.other, router.routes.is_empty()) {
            (None, true) => findings.push(Finding::RouterWithoutLinks(index.into())),
            (None, false) => findings.push(Finding::RouterWithoutOther(index.into())),
            (Some(_), _) => {}
        }
    }
}

fn check_joins(graph: &Graph, findings: &mut Vec<Finding>) {
    for (index, (actor, facts)) in graph.actors.iter().zip(&graph.facts).enumerate() {
        if matches!(actor.kind, Kind::Join { .. }) && facts.known && facts.incoming == 0 {
            findings.push(Finding::JoinWithoutLinks(index.into()));
        }
    }
}

/// `on_error` of a scope needs an actor inside it whose errors bubble.
fn check_bubbling(graph: &Graph, findings: &mut Vec<Finding>) {
    let mut bubbles = vec![false; graph.scopes.len()];
    for actor in graph.actors.iter().filter(|actor| actor.bubble_errors) {
        let mut scope = Some(actor.scope);
        while let Some(id) = scope.filter(|id| !std::mem::replace(&mut bubbles[id.index()], true)) {
            scope = graph.scopes[id.index()].parent;
        }
    }
    for (index, scope) in graph.scopes.iter().enumerate() {
        if !bubbles[index] && !scope.on_error.is_empty() {
            findings.push(Finding::UnusedOnError(index.into()));
        }
    }
}

/// The links, and the links that were probably intended.
struct Edges<'g> {
    graph: &'g Graph,
    intended: FxHashMap<ActorId, Vec<ActorId>>,
}

impl<'g> Edges<'g> {
    fn of(graph: &'g Graph) -> Self {
        let mut intended: FxHashMap<ActorId, Vec<ActorId>> = FxHashMap::default();
        for (from, to) in &graph.links.intended {
            intended.entry(*from).or_default().push(*to);
        }
        Edges { graph, intended }
    }

    fn from<'e>(&'e self, id: ActorId) -> impl Iterator<Item = ActorId> + 'e {
        let intended = self.intended.get(&id).map(Vec::as_slice).unwrap_or_default();
        next(&self.graph.actors[id.index()]).chain(intended.iter().copied())
    }

    /// Marks all actors and scopes that can be reached from these actors.
    fn mark(&self, from: impl IntoIterator<Item = ActorId>, marks: &mut Marks) {
        let mut waiting: Vec<ActorId> = from.into_iter().collect();
        while let Some(id) = waiting.pop() {
            if std::mem::replace(&mut marks.actors[id.index()], true) {
                continue;
            }
            waiting.extend(self.from(id));
            let mut scope = Some(self.graph.actors[id.index()].scope);
            while let Some(id) = scope.filter(|id| !std::mem::replace(&mut marks.scopes[id.index()], true)) {
                let Scope { on_error, parent, .. } = &self.graph.scopes[id.index()];
                waiting.extend(on_error.iter().map(|Link { to }| *to));
                scope = *parent;
            }
        }
    }
}

struct Marks {
    actors: Vec<bool>,
    scopes: Vec<bool>,
}

const START: ActorId = ActorId(0);
const STOP: usize = 1;

fn check_reachable(graph: &Graph, findings: &mut Vec<Finding>) {
    let edges = Edges::of(graph);
    let mut marks = Marks { actors: vec![false; graph.actors.len()], scopes: vec![false; graph.scopes.len()] };
    edges.mark(graph.links.seeds.iter().copied().chain([START]), &mut marks);
    let reached = marks.actors.clone();
    if !reached[STOP] && !graph.links.has_unknown_target && graph.facts[STOP].incoming == 0 {
        findings.push(Finding::StopUnreachable);
    }
    // An unreachable actor makes the actors behind it unreachable too. Only the first one is reported: actors that nothing leads
    // to come first, then one actor of each cycle.
    let mut led_to = vec![false; reached.len()];
    for from in (0..reached.len()).filter(|from| !reached[*from]) {
        for to in edges.from(from.into()).filter(|to| to.index() != from) {
            led_to[to.index()] = true;
        }
    }
    for first in [true, false] {
        for (index, led_to) in led_to.iter().enumerate() {
            if marks.actors[index] || index == STOP || (first && *led_to) {
                continue;
            }
            let (finding, marks_followers) = unreachable(graph, index, &reached);
            findings.extend(finding);
            if marks_followers {
                edges.mark([ActorId::from(index)], &mut marks);
            }
        }
    }
}

/// The finding for an actor that `start` cannot reach, and whether the actors behind it are explained by that.
fn unreachable(graph: &Graph, index: usize, reached: &[bool]) -> (Option<Finding>, bool) {
    let (actor, facts) = (&graph.actors[index], &graph.facts[index]);
    let id = ActorId::from(index);
    if !matches!(actor.kind, Kind::Boundary) {
        // A join without links has a finding of its own.
        let is_reported = matches!(actor.kind, Kind::Join { .. }) && facts.incoming == 0;
        return ((!is_reported).then_some(Finding::Unreachable(id)), true);
    }
    // The ports of a submodel have consecutive ids.
    let mut ports = (0..reached.len()).skip(index).take_while(|other| {
        let other = &graph.actors[*other];
        other.scope == actor.scope && matches!(other.kind, Kind::Boundary)
    });
    let is_unused = ports.all(|port| !reached[port]);
    let is_linked = !actor.links.is_empty();
    if actor.name == "In" && facts.incoming == 0 && (is_unused || is_linked) {
        return (Some(Finding::SubmodelUnreachable(id)), true);
    }
    if actor.name != "In" && facts.incoming == 0 && is_linked {
        return (Some(Finding::PortUnreachable(id)), true);
    }
    (None, facts.incoming > 0)
}

/// The cycles in which no actor is a task.
fn endless_cycles(graph: &Graph) -> Vec<Vec<ActorId>> {
    let idle: Vec<bool> = graph.actors.iter().map(|actor| !actor.kind.is_task()).collect();
    let steps = |id: ActorId| next(&graph.actors[id.index()]).filter(|to| idle[to.index()]);
    // An actor without an idle successor is in no idle cycle. Removing such actors repeatedly leaves the cycles and what leads
    // to them.
    let mut successors = vec![0usize; idle.len()];
    let mut predecessors: Vec<Vec<ActorId>> = vec![Vec::new(); idle.len()];
    for index in (0..idle.len()).filter(|index| idle[*index]) {
        for to in steps(ActorId::from(index)) {
            successors[index] += 1;
            predecessors[to.index()].push(ActorId::from(index));
        }
    }
    let mut removed: Vec<usize> = (0..idle.len()).filter(|index| idle[*index] && successors[*index] == 0).collect();
    while let Some(index) = removed.pop() {
        for from in &predecessors[index] {
            successors[from.index()] -= 1;
            if successors[from.index()] == 0 {
                removed.push(from.index());
            }
        }
    }
    let mut visits = vec![0usize; idle.len()];
    let mut cycles: Vec<Vec<ActorId>> = Vec::new();
    for start in 0..idle.len() {
        let mut walk: Vec<ActorId> = Vec::new();
        let mut at = start;
        while idle[at] && successors[at] > 0 && visits[at] == 0 {
            visits[at] = start + 1;
            walk.push(at.into());
            match steps(ActorId::from(at)).find(|to| successors[to.index()] > 0) {
                Some(to) => at = to.index(),
                None => break,
            }
        }
        if visits[at] == start + 1
            && let Some(first) = walk.iter().position(|id| id.index() == at)
        {
            cycles.push(walk.split_off(first));
        }
    }
    cycles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve::graph::{ActorFacts, PortDirection};
    use crate::config::toml::source::Location;

    /// `start`, `stop`, and forks with these links between them.
    fn graph(forks: usize, links: &[(usize, usize)]) -> Graph {
        let mut graph = Graph::default();
        graph.scopes.push(Scope { name: "w".into(), path: "/w".into(), parent: None, on_error: Vec::new() });
        let at = Location::new(0, 0..0);
        graph.scope_locations.push(at);
        for index in 0..forks + 2 {
            let kind = [Kind::Start, Kind::Stop].get(index).cloned().unwrap_or(Kind::Fork);
            graph.actors.push(Actor::new(&format!("a{index}"), ScopeId(0), "/w", kind));
            let direction = [PortDirection::In, PortDirection::Out].get(index).copied();
            graph.facts.push(ActorFacts { at, known: true, incoming: 0, direction });
        }
        for (from, to) in links {
            graph.actors[*from].links.push(Link { to: ActorId::from(*to) });
            graph.facts[*to].incoming += 1;
        }
        graph
    }

    #[test]
    fn a_chain_from_start_to_stop_has_no_findings() {
        assert_eq!(check(&graph(2, &[(0, 2), (2, 3), (3, 1)])), []);
    }

    #[test]
    fn only_the_first_of_several_unreachable_actors_is_reported() {
        let findings = check(&graph(3, &[(0, 1), (2, 3), (3, 4)]));
        assert_eq!(findings, [Finding::Unreachable(ActorId(2))]);
    }

    #[test]
    fn a_cycle_without_a_task_is_reported_once() {
        let findings = check(&graph(2, &[(0, 2), (2, 3), (3, 2), (3, 1)]));
        assert_eq!(findings, [Finding::EndlessCycle(vec![ActorId(2), ActorId(3)])]);
    }

    #[test]
    fn nothing_is_unreachable_if_some_links_are_unknown() {
        let mut graph = graph(2, &[(0, 2)]);
        graph.links.incomplete = true;
        assert_eq!(check(&graph), []);
    }
}
