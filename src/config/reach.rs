//! What only the whole graph shows: actors that start cannot reach, a stop that nothing reaches, cycles without a task.

use rustc_hash::FxHashMap;

use super::build::Builder;
use super::source::Place;
use super::suggest::quoted;
use crate::graph::{Actor, ActorId, Kind, Link, Scope, ScopeId};

/// Checks the finished graph.
pub(super) fn check(builder: &mut Builder<'_>) {
    check_routers(builder);
    check_bubbling(builder);
    check_endless(builder);
    if !builder.joined.lost {
        check_joins(builder);
        check_reached(builder);
    }
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

fn check_routers(builder: &mut Builder<'_>) {
    for (actor, facts) in builder.actors.iter().zip(&builder.facts) {
        let Kind::Router(router) = &actor.kind else { continue };
        if builder.joined.lost || !facts.known {
            continue;
        }
        let name = quoted(&actor.name);
        match (&router.other, router.routes.is_empty()) {
            (None, true) => {
                builder
                    .problems
                    .error(facts.at, format!("the router {name} is linked on no port"))
                    .label("no link leaves it")
                    .help("add links with `from` and `port`");
            }
            (None, false) => {
                builder
                    .problems
                    .warning(facts.at, format!("the router {name} has no link for other values"))
                    .label("any other value is an error")
                    .help("add a link without `port`, or with port = \"other\"");
            }
            (Some(_), _) => {}
        }
    }
}

fn check_joins(builder: &mut Builder<'_>) {
    for (actor, facts) in builder.actors.iter().zip(&builder.facts) {
        if matches!(actor.kind, Kind::Join { .. }) && facts.known && facts.incoming == 0 {
            builder
                .problems
                .error(facts.at, format!("no link leads to the join {}", quoted(&actor.name)))
                .label("it would wait for ever")
                .help("a join waits for one payload from each link that leads to it");
        }
    }
}

/// `on_error` of a scope is for errors that bubble; nothing bubbles unless an actor says so.
fn check_bubbling(builder: &mut Builder<'_>) {
    let mut bubbles = vec![false; builder.scopes.len()];
    for actor in builder.actors.iter().filter(|actor| actor.bubble_errors) {
        let mut scope = Some(actor.scope);
        while let Some(id) = scope.filter(|id| !std::mem::replace(&mut bubbles[id.index()], true)) {
            scope = builder.scopes[id.index()].parent;
        }
    }
    for (index, scope) in builder.scopes.iter().enumerate() {
        if bubbles[index] || scope.on_error.is_empty() {
            continue;
        }
        let at = builder.joined.scope_errors.get(&ScopeId::from(index)).copied().unwrap_or(builder.scope_places[index]);
        let what = if index == 0 { "the workflow".to_owned() } else { format!("the submodel {}", quoted(&scope.name)) };
        builder
            .problems
            .warning(at, format!("`on_error` of {what} is never used: no error bubbles to it"))
            .help("add bubble_errors = true to the actors whose errors are meant");
    }
}

/// Who leads to whom: the links, and those that were meant.
struct Edges {
    meant: FxHashMap<ActorId, Vec<ActorId>>,
}

impl Edges {
    fn of(builder: &Builder<'_>) -> Self {
        let mut meant: FxHashMap<ActorId, Vec<ActorId>> = FxHashMap::default();
        for (from, to) in &builder.joined.meant {
            meant.entry(*from).or_default().push(*to);
        }
        Edges { meant }
    }

    fn from<'e>(&'e self, id: ActorId, builder: &'e Builder<'_>) -> impl Iterator<Item = ActorId> + 'e {
        let meant = self.meant.get(&id).map(Vec::as_slice).unwrap_or_default();
        next(&builder.actors[id.index()]).chain(meant.iter().copied())
    }

    /// Marks everything that these actors lead to.
    fn mark(&self, builder: &Builder<'_>, from: impl IntoIterator<Item = ActorId>, marks: &mut Marks) {
        let mut waiting: Vec<ActorId> = from.into_iter().collect();
        while let Some(id) = waiting.pop() {
            if std::mem::replace(&mut marks.actors[id.index()], true) {
                continue;
            }
            waiting.extend(self.from(id, builder));
            let mut scope = Some(builder.actors[id.index()].scope);
            while let Some(id) = scope.filter(|id| !std::mem::replace(&mut marks.scopes[id.index()], true)) {
                let Scope { on_error, parent, .. } = &builder.scopes[id.index()];
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

fn check_reached(builder: &mut Builder<'_>) {
    const STOP: usize = 1;
    let edges = Edges::of(builder);
    let mut marks = Marks { actors: vec![false; builder.actors.len()], scopes: vec![false; builder.scopes.len()] };
    let seeds: Vec<ActorId> = builder.joined.seeds.clone();
    edges.mark(builder, seeds.into_iter().chain([ActorId(0)]), &mut marks);
    let reached = marks.actors.clone();
    if !reached[STOP] && !builder.joined.astray && builder.facts[STOP].incoming == 0 {
        report_stop(builder);
    }
    // An actor behind another that is not reached is no mistake of its own: those that nothing leads to come first,
    // then one of each cycle.
    let mut led_to = vec![false; reached.len()];
    for from in (0..reached.len()).filter(|from| !reached[*from]) {
        for to in edges.from(from.into(), builder).filter(|to| to.index() != from) {
            led_to[to.index()] = true;
        }
    }
    for first in [true, false] {
        for (index, led_to) in led_to.iter().enumerate() {
            if marks.actors[index] || index == STOP || (first && *led_to) {
                continue;
            }
            if report_unreached(builder, index, &reached) {
                edges.mark(builder, [ActorId::from(index)], &mut marks);
            }
        }
    }
}

fn report_stop(builder: &mut Builder<'_>) {
    let at = builder.facts[1].at;
    builder
        .problems
        .error(at, "nothing leads to `stop`")
        .label("the run would have no output")
        .help("add a link with to = \"stop\"");
}

/// Reports an actor that start cannot reach; a port only where that is the mistake.
fn report_unreached(builder: &mut Builder<'_>, index: usize, reached: &[bool]) -> bool {
    let (actor, facts) = (&builder.actors[index], &builder.facts[index]);
    let name = quoted(&actor.name);
    if !matches!(actor.kind, Kind::Boundary) {
        if matches!(actor.kind, Kind::Join { .. }) && facts.incoming == 0 {
            return true; // said already
        }
        builder
            .problems
            .error(facts.at, format!("start cannot reach {name}"))
            .label("it would never run")
            .help(format!("add a link that leads to {name}, or take it out"));
        return true;
    }
    let scope = &builder.scopes[actor.scope.index()];
    let submodel = quoted(&scope.name);
    let at: Place = builder.scope_places[actor.scope.index()];
    // The ports of a submodel stand together.
    let used = (0..reached.len()).skip(index).take_while(|other| {
        let other = &builder.actors[*other];
        other.scope == actor.scope && matches!(other.kind, Kind::Boundary)
    });
    let unused = used.into_iter().all(|other| !reached[other]);
    if actor.name == "In" && facts.incoming == 0 && (unused || !actor.links.is_empty()) {
        builder
            .problems
            .error(at, format!("no link leads into the submodel {submodel}"))
            .label("it would never run")
            .help(format!("add a link with to = \"{}.In\"", scope.name));
        return true;
    }
    if actor.name != "In" && facts.incoming == 0 && !actor.links.is_empty() {
        builder
            .problems
            .error(at, format!("nothing leads to the port {name} of the submodel {submodel}"))
            .label("links leave it")
            .help(format!("add a link with to = \"{}\" inside", actor.name));
        return true;
    }
    facts.incoming > 0
}

/// A cycle in which nothing runs goes round for ever.
fn check_endless(builder: &mut Builder<'_>) {
    let idle: Vec<bool> = builder.actors.iter().map(|actor| !actor.kind.is_task()).collect();
    let steps = |id: ActorId| next(&builder.actors[id.index()]).filter(|to| idle[to.index()]);
    // Whoever has no idle actor after it is in no idle cycle: take those away until only cycles, and what leads to
    // them, are left.
    let mut after = vec![0usize; idle.len()];
    let mut before: Vec<Vec<ActorId>> = vec![Vec::new(); idle.len()];
    for index in (0..idle.len()).filter(|index| idle[*index]) {
        for to in steps(ActorId::from(index)) {
            after[index] += 1;
            before[to.index()].push(ActorId::from(index));
        }
    }
    let mut gone: Vec<usize> = (0..idle.len()).filter(|index| idle[*index] && after[*index] == 0).collect();
    while let Some(index) = gone.pop() {
        for from in &before[index] {
            after[from.index()] -= 1;
            if after[from.index()] == 0 {
                gone.push(from.index());
            }
        }
    }
    let mut visits = vec![0usize; idle.len()];
    let mut cycles: Vec<Vec<usize>> = Vec::new();
    for start in 0..idle.len() {
        let mut walk = Vec::new();
        let mut at = start;
        while idle[at] && after[at] > 0 && visits[at] == 0 {
            visits[at] = start + 1;
            walk.push(at);
            match steps(ActorId::from(at)).find(|to| after[to.index()] > 0) {
                Some(to) => at = to.index(),
                None => break,
            }
        }
        if visits[at] == start + 1
            && let Some(first) = walk.iter().position(|index| *index == at)
        {
            cycles.push(walk.split_off(first));
        }
    }
    for cycle in cycles {
        report_endless(builder, &cycle);
    }
}

fn report_endless(builder: &mut Builder<'_>, cycle: &[usize]) {
    let shown = cycle.iter().take(5).chain(&cycle[..1]);
    let names: Vec<String> = shown.map(|index| quoted(&builder.actors[*index].name)).collect();
    let more = if cycle.len() > 5 { " → …" } else { "" };
    let (last, names) = names.split_last().expect("a cycle has an actor");
    let at = builder.facts[cycle[0]].at;
    builder
        .problems
        .warning(at, format!("a cycle without a task would never end: {}{more} → {last}", names.join(" → ")))
        .label("part of the cycle")
        .help("put a python or exec actor into it, or break it");
}
