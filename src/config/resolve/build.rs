//! Builds the flat graph from the draft: ids, paths, scopes, pools.

use std::path::PathBuf;

use rustc_hash::FxHashMap;

use super::findings;
use super::graph::{ActorFacts, Frame, Graph, NameTarget, PortDirection, Submodel};
use super::links::{LinkTable, Linker};
use super::reachability;
use crate::config::diagnostics::problems::Problems;
use crate::config::diagnostics::suggest::{did_you_mean, list, quoted};
use crate::config::read::draft::{Draft, DraftActor, DraftFile, DraftPool, DraftSubmodel, ReadContext};
use crate::config::read::names::Name;
use crate::config::toml::source::{Located, Location};
use crate::graph::{Actor, ActorId, Kind, PoolId, PoolSpec, Scope, ScopeId, Workers, Workflow};

/// Builds the graph from drafts.
struct Builder<'b> {
    problems: &'b mut Problems,
    graph: Graph,
    linker: LinkTable,
    pool_ids: FxHashMap<String, PoolId>,
    /// Whether the maximum number of actors is exceeded.
    full: bool,
}

/// Maximum number of actors. Files that use each other twice at each level would grow without limit.
const MAX_ACTORS: usize = 1_000_000;

/// Builds the workflow of a file in its folder. If there are errors, the result is incomplete and must not be used.
pub(in crate::config) fn workflow(
    mut draft: DraftFile,
    (file, directory): (PathBuf, PathBuf),
    context: &mut ReadContext,
) -> Workflow {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = draft.name.take().unwrap_or(stem);
    let pool_ids = draft.pools.iter().enumerate().map(|(id, pool)| (pool.spec.name.clone(), PoolId::from(id)));
    let mut builder = Builder {
        pool_ids: pool_ids.collect(),
        problems: &mut context.problems,
        graph: Graph::default(),
        linker: LinkTable::default(),
        full: false,
    };
    builder.root(&name, &draft.graph);
    builder.count_arrivals();
    for finding in reachability::check(&builder.graph) {
        findings::report(&finding, &builder.graph, builder.problems);
    }
    let Graph { actors, scopes, .. } = builder.graph;
    let pools = count_workers(draft.pools, &actors);
    Workflow {
        name,
        description: draft.description,
        directory,
        file,
        python: draft.python,
        paths: std::mem::take(&mut context.paths),
        timeout: draft.timeout,
        on_timeout: draft.on_timeout,
        inputs: draft.inputs,
        gevent: draft.gevent,
        pools,
        service: draft.service,
        history: draft.history,
        record: draft.record,
        actors,
        scopes,
        start: START,
        stop: STOP,
    }
}

const START: ActorId = ActorId(0);
const STOP: ActorId = ActorId(1);

/// `max_workers = -1` means one worker for each python actor of the pool.
fn count_workers(pools: Vec<DraftPool>, actors: &[Actor]) -> Vec<PoolSpec> {
    let mut users = vec![0u32; pools.len()];
    for actor in actors.iter().filter(|actor| matches!(actor.kind, Kind::Python(_))) {
        users[actor.pool.index()] += 1;
    }
    let counted = pools.into_iter().zip(users).map(|(mut pool, users)| {
        if pool.one_per_actor {
            pool.spec.workers = Workers::Fixed(users.max(1));
        }
        pool.spec
    });
    counted.collect()
}

impl<'b> Builder<'b> {
    fn root(&mut self, name: &str, graph: &Draft) {
        let top = graph.at.unwrap_or(Location::new(0, 0..0));
        let scope = self.scope(name, format!("/{name}"), None, top);
        for (word, kind, direction) in
            [("start", Kind::Start, PortDirection::In), ("stop", Kind::Stop, PortDirection::Out)]
        {
            let written = graph.actors.iter().find(|actor| actor.name.value == word);
            let at = written.map_or(top, |actor| actor.name.at);
            self.implicit(word, kind, scope, at, direction);
        }
        let mut frame = Frame::new(scope);
        frame.names.extend([("start", NameTarget::Actor(START)), ("stop", NameTarget::Actor(STOP))]);
        self.fill(graph, &[], frame);
    }

    fn scope(&mut self, name: &str, path: String, parent: Option<ScopeId>, at: Location) -> ScopeId {
        let id = ScopeId::from(self.graph.scopes.len());
        self.graph.scopes.push(Scope { name: name.to_owned(), path, parent, on_error: Vec::new() });
        self.graph.scope_locations.push(at);
        id
    }

    /// Adds the actors, submodels and links of a graph to its scope. Names in `on_error` that are not inside the scope are
    /// returned: they belong to the scope around it.
    fn fill<'d>(
        &mut self,
        graph: &'d Draft,
        on_error: &'d [Located<Name>],
        mut frame: Frame<'d>,
    ) -> Vec<&'d Located<Name>> {
        let size = graph.actors.len() + graph.submodels.len();
        if self.full || self.graph.actors.len() + size > MAX_ACTORS {
            self.refuse_more(frame.scope);
            return Vec::new();
        }
        self.graph.actors.reserve(size);
        self.graph.facts.reserve(size);
        frame.names.reserve(size);
        let inside = self.graph.scopes[frame.scope.index()].parent.is_some();
        for actor in &graph.actors {
            let start_or_stop = matches!(actor.kind, Some(Kind::Start | Kind::Stop));
            if start_or_stop || ["start", "stop"].contains(&actor.name.value.as_str()) {
                continue;
            }
            if inside && self.is_port(&actor.name, &frame) {
                continue;
            }
            let id = self.actor(actor, frame.scope);
            frame.names.insert(&actor.name.value, NameTarget::Actor(id));
        }
        for submodel in &graph.submodels {
            let name = &submodel.name;
            if let Some(NameTarget::Actor(id)) = frame.names.get(name.value.as_str()) {
                let other = self.graph.facts[id.index()].at;
                let wrong = self
                    .problems
                    .error(name.at, format!("{} is the name of both an actor and a submodel", quoted(&name.value)));
                wrong.label("the submodel").help("rename one of the two");
                if other.source == name.at.source && other.end > 0 {
                    wrong.also(other, "the actor");
                }
                frame.ambiguous.insert(&name.value);
                continue;
            }
            if inside && self.is_port(name, &frame) {
                continue;
            }
            let built = self.submodel(submodel, frame.scope);
            frame.names.insert(&name.value, NameTarget::Submodel(frame.submodels.len()));
            frame.submodels.push(built);
        }
        self.graph.links.incomplete |= graph.lost_links;
        let Builder { linker, graph: flat, problems, .. } = self;
        let mut linker = Linker { table: linker, graph: flat, problems, frame: &frame };
        for link in &graph.links {
            linker.link(link);
        }
        linker.scope_errors(frame.scope, &graph.on_error);
        for submodel in &frame.submodels {
            linker.scope_errors(submodel.scope, submodel.outer_on_error.iter().copied());
        }
        let is_inside = |name: &&Located<Name>| {
            let first = name.value.split_once('.').map_or(name.value.as_str(), |(first, _)| first);
            frame.names.contains_key(first) || frame.ports.contains_key(first)
        };
        let (inside, outside) = on_error.iter().partition::<Vec<_>, _>(is_inside);
        linker.scope_errors(frame.scope, inside);
        outside
    }

    fn refuse_more(&mut self, scope: ScopeId) {
        if !self.full {
            let at = self.graph.scope_locations[scope.index()];
            self.problems.error(at, format!("the workflow has more than {MAX_ACTORS} actors"));
        }
        self.full = true;
        self.graph.links.incomplete = true;
    }

    fn is_port(&mut self, name: &Located<Name>, frame: &Frame<'_>) -> bool {
        let taken = frame.ports.contains_key(name.value.as_str());
        if taken {
            self.problems
                .error(name.at, format!("{} is a port of the submodel", quoted(&name.value)))
                .label("reserved name")
                .help("choose another name");
        }
        taken
    }

    fn submodel<'d>(&mut self, draft: &'d DraftSubmodel, parent: ScopeId) -> Submodel<'d> {
        let path = format!("{}/{}", self.graph.scopes[parent.index()].path, draft.name.value);
        let scope = self.scope(&draft.name.value, path, Some(parent), draft.name.at);
        let mut ports = FxHashMap::default();
        for (name, direction) in [("In", PortDirection::In), ("Out", PortDirection::Out)] {
            let id = self.implicit(name, Kind::Boundary, scope, draft.name.at, direction);
            ports.insert(name, id);
        }
        for port in &draft.ports {
            let id = ActorId::from(self.graph.actors.len());
            if ports.insert(port.value.as_str(), id).is_some() {
                self.problems.error(port.at, format!("the port {} is defined twice", quoted(&port.value)));
            }
            self.push(
                Actor::new(&port.value, scope, &self.graph.scopes[scope.index()].path, Kind::Boundary),
                port.at,
                true,
                None,
            );
        }
        let mut frame = Frame::new(scope);
        frame.ports = ports.clone();
        frame.ports.extend([("start", ports["In"]), ("stop", ports["Out"])]);
        let outer_on_error = self.fill(&draft.body, &draft.on_error, frame);
        Submodel { name: &draft.name.value, scope, ports, outer_on_error }
    }

    fn implicit(&mut self, name: &str, kind: Kind, scope: ScopeId, at: Location, direction: PortDirection) -> ActorId {
        self.push(Actor::new(name, scope, &self.graph.scopes[scope.index()].path, kind), at, true, Some(direction))
    }

    fn actor(&mut self, draft: &DraftActor, scope: ScopeId) -> ActorId {
        // An actor whose kind could not be read only keeps its name. The file is refused anyway.
        let kind = draft.kind.clone().unwrap_or(Kind::Fork);
        let pool = draft.pool.as_ref().map_or(PoolId(0), |name| self.pool(name));
        let actor = Actor {
            bubble_errors: draft.bubble_errors,
            retry: draft.retry,
            timeout: draft.timeout,
            leave_children: draft.leave_children,
            pool,
            ..Actor::new(&draft.name.value, scope, &self.graph.scopes[scope.index()].path, kind)
        };
        let id = self.push(actor, draft.name.at, draft.kind.is_some(), None);
        if draft.kind.is_none() {
            self.graph.links.seeds.push(id);
        }
        id
    }

    fn push(&mut self, actor: Actor, at: Location, known: bool, direction: Option<PortDirection>) -> ActorId {
        let id = ActorId::from(self.graph.actors.len());
        self.graph.actors.push(actor);
        self.graph.facts.push(ActorFacts { at, known, incoming: 0, direction });
        id
    }

    fn pool(&mut self, name: &Located<Name>) -> PoolId {
        if let Some(id) = self.pool_ids.get(name.value.as_str()) {
            return *id;
        }
        let mut known: Vec<&str> = self.pool_ids.keys().map(String::as_str).collect();
        known.sort_unstable();
        let near = self.problems.suggestions.nearest(&name.value, known.iter().copied());
        let help = did_you_mean(near).unwrap_or_else(|| match known.len() {
            1 => format!("add [pools.{}], or remove this line to use the default pool", name.value),
            _ => format!("known pools: {}", list(known)),
        });
        self.problems.error(name.at, format!("there is no pool {}", quoted(&name.value))).label("unknown").help(help);
        PoolId(0)
    }

    /// Joins without `arrivals` wait for one payload per incoming link.
    fn count_arrivals(&mut self) {
        for (actor, facts) in self.graph.actors.iter_mut().zip(&self.graph.facts) {
            if let Kind::Join { arrivals: arrivals @ 0 } = &mut actor.kind {
                *arrivals = facts.incoming;
            }
        }
    }
}
