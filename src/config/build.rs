//! From the draft to the flat graph: ids, paths, scopes, pools.

use std::path::PathBuf;

use rustc_hash::{FxHashMap, FxHashSet};

use super::diagnostics::Problems;
use super::draft::{Draft, DraftActor, DraftSubmodel, Surroundings};
use super::files::DraftFile;
use super::links::{Joined, Way};
use super::names::Name;
use super::reach;
use super::source::{At, Place};
use super::suggest::{did_you_mean, list, quoted};
use crate::graph::{Actor, ActorId, Kind, PoolId, PoolSpec, Scope, ScopeId, Workers, Workflow};

/// The graph so far.
pub(super) struct Builder<'b> {
    pub problems: &'b mut Problems,
    pub actors: Vec<Actor>,
    /// What is known of each actor beside the graph.
    pub facts: Vec<Facts>,
    pub scopes: Vec<Scope>,
    /// Where each submodel is written; the workflow first.
    pub scope_places: Vec<Place>,
    pub joined: Joined,
    pool_ids: FxHashMap<String, PoolId>,
    full: bool,
}

/// What is known of an actor beside the graph.
pub(super) struct Facts {
    /// Where its name is written.
    pub at: Place,
    /// Whether its kind could be read.
    pub known: bool,
    /// Links that lead to it.
    pub incoming: usize,
    /// Which way a submodel's port (or start, or stop) is passed.
    pub way: Option<Way>,
}

/// A workflow or submodel, while its links are read.
pub(super) struct Frame<'d> {
    pub scope: ScopeId,
    pub names: FxHashMap<&'d str, Named>,
    pub submodels: Vec<Submodel<'d>>,
    /// Names of both an actor and a submodel: nothing more is said about links to them.
    pub doubled: FxHashSet<&'d str>,
    /// A submodel's own ports; `start` and `stop` stand for `In` and `Out`.
    pub ports: FxHashMap<&'d str, ActorId>,
}

impl Frame<'_> {
    fn new(scope: ScopeId) -> Self {
        Frame {
            scope,
            names: FxHashMap::default(),
            submodels: Vec::new(),
            doubled: FxHashSet::default(),
            ports: FxHashMap::default(),
        }
    }
}

/// What a name stands for.
#[derive(Clone, Copy)]
pub(super) enum Named {
    Actor(ActorId),
    Submodel(usize),
}

/// A submodel, seen from outside.
pub(super) struct Submodel<'d> {
    pub name: &'d str,
    pub scope: ScopeId,
    pub ports: FxHashMap<&'d str, ActorId>,
    /// The names that its errors go to and that do not stand inside it.
    errors_around: Vec<&'d At<Name>>,
}

/// More than anyone wrote: files that use each other twice at each level grow without end.
const MOST_ACTORS: usize = 1_000_000;

/// The workflow of a file in its folder; with errors, something to be thrown away.
pub(super) fn workflow(
    mut draft: DraftFile,
    (file, directory): (PathBuf, PathBuf),
    around: &mut Surroundings,
) -> Workflow {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = draft.name.take().unwrap_or(stem);
    let pool_ids = draft.pools.iter().enumerate().map(|(id, pool)| (pool.spec.name.clone(), PoolId::from(id)));
    let mut builder = Builder {
        pool_ids: pool_ids.collect(),
        problems: &mut around.problems,
        actors: Vec::new(),
        facts: Vec::new(),
        scopes: Vec::new(),
        scope_places: Vec::new(),
        joined: Joined::default(),
        full: false,
    };
    builder.root(&name, &draft.graph);
    builder.count_arrivals();
    reach::check(&mut builder);
    let Builder { actors, scopes, .. } = builder;
    let pools = count_workers(draft.pools, &actors);
    Workflow {
        name,
        description: draft.description,
        directory,
        file,
        python: draft.python,
        paths: std::mem::take(&mut around.paths),
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

/// `max_workers = -1` is one worker for each python actor of the pool.
fn count_workers(pools: Vec<super::settings::DraftPool>, actors: &[Actor]) -> Vec<PoolSpec> {
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
        let top = graph.at.unwrap_or(Place::new(0, 0..0));
        let scope = self.scope(name, format!("/{name}"), None, top);
        for (word, kind, way) in [("start", Kind::Start, Way::In), ("stop", Kind::Stop, Way::Out)] {
            let written = graph.actors.iter().find(|actor| actor.name.value == word);
            let at = written.map_or(top, |actor| actor.name.at);
            self.implicit(word, kind, scope, at, way);
        }
        let mut frame = Frame::new(scope);
        frame.names.extend([("start", Named::Actor(START)), ("stop", Named::Actor(STOP))]);
        self.fill(graph, &[], frame);
    }

    fn scope(&mut self, name: &str, path: String, parent: Option<ScopeId>, at: Place) -> ScopeId {
        let id = ScopeId::from(self.scopes.len());
        self.scopes.push(Scope { name: name.to_owned(), path, parent, on_error: Vec::new() });
        self.scope_places.push(at);
        id
    }

    /// Puts the actors, submodels and links of a graph into its scope. Of the names that errors of the scope go to, those
    /// that stand inside it are linked; the others are returned, for the scope around.
    fn fill<'d>(&mut self, graph: &'d Draft, on_error: &'d [At<Name>], mut frame: Frame<'d>) -> Vec<&'d At<Name>> {
        let size = graph.actors.len() + graph.submodels.len();
        if self.full || self.actors.len() + size > MOST_ACTORS {
            self.refuse_more(frame.scope);
            return Vec::new();
        }
        self.actors.reserve(size);
        self.facts.reserve(size);
        frame.names.reserve(size);
        let inside = self.scopes[frame.scope.index()].parent.is_some();
        for actor in &graph.actors {
            let start_or_stop = matches!(actor.kind, Some(Kind::Start | Kind::Stop));
            if start_or_stop || ["start", "stop"].contains(&actor.name.value.as_str()) {
                continue;
            }
            if inside && self.is_port(&actor.name, &frame) {
                continue;
            }
            let id = self.actor(actor, frame.scope);
            frame.names.insert(&actor.name.value, Named::Actor(id));
        }
        for submodel in &graph.submodels {
            let name = &submodel.name;
            if let Some(Named::Actor(id)) = frame.names.get(name.value.as_str()) {
                let other = self.facts[id.index()].at;
                let wrong = self.problems.error(name.at, format!("{} is an actor and a submodel", quoted(&name.value)));
                wrong.label("the submodel").help("give one of the two another name");
                if other.source == name.at.source && other.end > 0 {
                    wrong.also(other, "the actor");
                }
                frame.doubled.insert(&name.value);
                continue;
            }
            if inside && self.is_port(name, &frame) {
                continue;
            }
            let built = self.submodel(submodel, frame.scope);
            frame.names.insert(&name.value, Named::Submodel(frame.submodels.len()));
            frame.submodels.push(built);
        }
        self.joined.lost |= graph.lost_links;
        for link in &graph.links {
            self.link(link, &frame);
        }
        self.scope_errors(frame.scope, &graph.on_error, &frame);
        for submodel in &frame.submodels {
            self.scope_errors(submodel.scope, submodel.errors_around.iter().copied(), &frame);
        }
        let is_inside = |name: &&At<Name>| {
            let first = name.value.split_once('.').map_or(name.value.as_str(), |(first, _)| first);
            frame.names.contains_key(first) || frame.ports.contains_key(first)
        };
        let (inside, around) = on_error.iter().partition::<Vec<_>, _>(is_inside);
        self.scope_errors(frame.scope, inside, &frame);
        around
    }

    fn refuse_more(&mut self, scope: ScopeId) {
        if !self.full {
            let at = self.scope_places[scope.index()];
            self.problems.error(at, format!("with this the workflow has more than {MOST_ACTORS} actors"));
        }
        self.full = true;
        self.joined.lost = true;
    }

    fn is_port(&mut self, name: &At<Name>, frame: &Frame<'_>) -> bool {
        let taken = frame.ports.contains_key(name.value.as_str());
        if taken {
            self.problems
                .error(name.at, format!("{} is a port of the submodel", quoted(&name.value)))
                .label("this name is taken")
                .help("choose another name");
        }
        taken
    }

    fn submodel<'d>(&mut self, draft: &'d DraftSubmodel, parent: ScopeId) -> Submodel<'d> {
        let path = format!("{}/{}", self.scopes[parent.index()].path, draft.name.value);
        let scope = self.scope(&draft.name.value, path, Some(parent), draft.name.at);
        let mut ports = FxHashMap::default();
        for (name, way) in [("In", Way::In), ("Out", Way::Out)] {
            let id = self.implicit(name, Kind::Boundary, scope, draft.name.at, way);
            ports.insert(name, id);
        }
        for port in &draft.ports {
            let id = ActorId::from(self.actors.len());
            if ports.insert(port.value.as_str(), id).is_some() {
                self.problems.error(port.at, format!("the port {} is there twice", quoted(&port.value)));
            }
            self.push(
                Actor::new(&port.value, scope, &self.scopes[scope.index()].path, Kind::Boundary),
                port.at,
                true,
                None,
            );
        }
        let mut frame = Frame::new(scope);
        frame.ports = ports.clone();
        frame.ports.extend([("start", ports["In"]), ("stop", ports["Out"])]);
        let errors_around = self.fill(&draft.body, &draft.on_error, frame);
        Submodel { name: &draft.name.value, scope, ports, errors_around }
    }

    fn implicit(&mut self, name: &str, kind: Kind, scope: ScopeId, at: Place, way: Way) -> ActorId {
        self.push(Actor::new(name, scope, &self.scopes[scope.index()].path, kind), at, true, Some(way))
    }

    fn actor(&mut self, draft: &DraftActor, scope: ScopeId) -> ActorId {
        // An actor whose kind could not be read only keeps its name; the file is refused anyway.
        let kind = draft.kind.clone().unwrap_or(Kind::Fork);
        let pool = draft.pool.as_ref().map_or(PoolId(0), |name| self.pool(name));
        let actor = Actor {
            bubble_errors: draft.bubble_errors,
            retry: draft.retry,
            timeout: draft.timeout,
            leave_children: draft.leave_children,
            pool,
            ..Actor::new(&draft.name.value, scope, &self.scopes[scope.index()].path, kind)
        };
        let id = self.push(actor, draft.name.at, draft.kind.is_some(), None);
        if draft.kind.is_none() {
            self.joined.seeds.push(id);
        }
        id
    }

    fn push(&mut self, actor: Actor, at: Place, known: bool, way: Option<Way>) -> ActorId {
        let id = ActorId::from(self.actors.len());
        self.actors.push(actor);
        self.facts.push(Facts { at, known, incoming: 0, way });
        id
    }

    fn pool(&mut self, name: &At<Name>) -> PoolId {
        if let Some(id) = self.pool_ids.get(name.value.as_str()) {
            return *id;
        }
        let mut known: Vec<&str> = self.pool_ids.keys().map(String::as_str).collect();
        known.sort_unstable();
        let near = self.problems.guesses.nearest(&name.value, known.iter().copied());
        let help = did_you_mean(near).unwrap_or_else(|| match known.len() {
            1 => format!("add [pools.{}], or take this line out to use the default pool", name.value),
            _ => format!("there are {}", list(known)),
        });
        self.problems.error(name.at, format!("there is no pool {}", quoted(&name.value))).label("unknown").help(help);
        PoolId(0)
    }

    /// Joins wait for one payload per incoming link, unless the file says otherwise.
    fn count_arrivals(&mut self) {
        for (actor, facts) in self.actors.iter_mut().zip(&self.facts) {
            if let Kind::Join { arrivals: arrivals @ 0 } = &mut actor.kind {
                *arrivals = facts.incoming;
            }
        }
    }
}
