//! Resolving the ends of links, and what is wrong with a link.

use rustc_hash::FxHashMap;

use super::build::{Builder, Frame, Named};
use super::draft::DraftLink;
use super::names::Name;
use super::source::{At, Place};
use super::suggest::{did_you_mean, list, quoted};
use super::table::PortWord;
use crate::graph::{ActorId, Kind, Link, Port, Route, Router, ScopeId};

/// What is known of the links beside the graph.
#[derive(Default)]
pub(super) struct Joined {
    seen: FxHashMap<(Origin, ActorId), Place>,
    routes: FxHashMap<(ActorId, Port), usize>,
    /// Links that were probably meant: so that one wrong name is one mistake, and not also an actor that nothing reaches.
    pub meant: Vec<(ActorId, ActorId)>,
    /// Actors that a link from an unknown one leads to.
    pub seeds: Vec<ActorId>,
    /// Where a scope first says where its errors go.
    pub scope_errors: FxHashMap<ScopeId, Place>,
    /// Some links lead to where nobody knows: whether `stop` is reached cannot be told.
    pub astray: bool,
    /// Some links could not be read at all: nothing of that kind can be told.
    pub lost: bool,
}

/// Which way a port is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Into the submodel (or the workflow: start).
    In,
    /// Out of it.
    Out,
}

/// Where a link begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    Success(ActorId),
    Error(ActorId),
    /// One of a router's routes.
    Route(ActorId, usize),
    /// A router's port for everything else.
    Other(ActorId),
    Scope(ScopeId),
}

/// What an end of a link stands for.
#[derive(Debug, Clone, Copy)]
enum End {
    Actor(ActorId),
    /// A submodel as a whole.
    Scope(ScopeId),
    /// Nothing, which was reported; perhaps this was meant.
    Wrong(Option<ActorId>),
}

/// Which end it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    From { on_error: bool },
    To,
}

impl Builder<'_> {
    /// Adds a link of this frame's graph.
    pub fn link(&mut self, link: &DraftLink, frame: &Frame<'_>) {
        let side = Side::From { on_error: link.on_error };
        let from = link.from.as_ref().map_or(End::Wrong(None), |from| self.end(from, side, frame));
        let to = link.to.as_ref().map_or(End::Wrong(None), |to| self.end(to, Side::To, frame));
        match (from, to) {
            (End::Actor(from), End::Actor(to)) => self.join(from, to, link),
            (End::Scope(scope), End::Actor(to)) => self.bubble(scope, to, link.at),
            (End::Wrong(Some(from)), End::Actor(to) | End::Wrong(Some(to))) => self.joined.meant.push((from, to)),
            (End::Actor(from), End::Wrong(Some(to))) => self.joined.meant.push((from, to)),
            (End::Wrong(None), End::Actor(to) | End::Wrong(Some(to))) => self.joined.seeds.push(to),
            (End::Scope(_), End::Wrong(Some(to))) => self.joined.seeds.push(to),
            (_, End::Wrong(None) | End::Scope(_)) => self.joined.astray = true,
        }
    }

    /// The actors that bubbling errors of a scope go to, named in this frame.
    pub fn scope_errors<'n>(
        &mut self,
        scope: ScopeId,
        names: impl IntoIterator<Item = &'n At<Name>>,
        frame: &Frame<'_>,
    ) {
        for name in names {
            match self.end(name, Side::To, frame) {
                End::Actor(to) => self.bubble(scope, to, name.at),
                End::Wrong(Some(to)) => self.joined.seeds.push(to),
                _ => self.joined.astray = true,
            }
        }
    }

    fn bubble(&mut self, scope: ScopeId, to: ActorId, at: Place) {
        if self.is_new(Origin::Scope(scope), to, at) {
            self.joined.scope_errors.entry(scope).or_insert(at);
            self.facts[to.index()].incoming += 1;
            self.scopes[scope.index()].on_error.push(Link { to });
        }
    }

    fn join(&mut self, from: ActorId, to: ActorId, link: &DraftLink) {
        if !self.facts[from.index()].known {
            self.joined.meant.push((from, to));
            return;
        }
        let kind = &self.actors[from.index()].kind;
        let is_router = matches!(kind, Kind::Router(_));
        if link.on_error && !can_fail(kind) {
            self.report_cannot_fail(from, link);
            self.joined.meant.push((from, to));
            return;
        }
        let origin = match &link.port {
            _ if link.on_error => Origin::Error(from),
            Some(At { value: PortWord::Value(port), .. }) if is_router => Origin::Route(from, self.route(from, port)),
            Some(At { value: PortWord::Other, .. }) if is_router => Origin::Other(from),
            // pypushflow's default for `expectedValue`.
            None if is_router => Origin::Other(from),
            Some(port) => {
                self.report_no_ports(from, port.at);
                self.joined.meant.push((from, to));
                return;
            }
            None => Origin::Success(from),
        };
        if !self.is_new(origin, to, link.at) {
            return;
        }
        self.facts[to.index()].incoming += 1;
        let actor = &mut self.actors[from.index()];
        match (origin, &mut actor.kind) {
            (Origin::Error(_), _) => actor.on_error.push(Link { to }),
            (Origin::Other(_), Kind::Router(router)) => router.other.get_or_insert_default().push(Link { to }),
            (Origin::Route(_, route), Kind::Router(router)) => router.routes[route].links.push(Link { to }),
            _ => actor.links.push(Link { to }),
        }
    }

    /// Which of a router's routes a port is; a new one where no link had it.
    fn route(&mut self, router: ActorId, port: &Port) -> usize {
        let Kind::Router(Router { routes, .. }) = &mut self.actors[router.index()].kind else { return 0 };
        *self.joined.routes.entry((router, port.clone())).or_insert_with(|| {
            routes.push(Route { port: port.clone(), links: Vec::new() });
            routes.len() - 1
        })
    }

    fn is_new(&mut self, origin: Origin, to: ActorId, at: Place) -> bool {
        use std::collections::hash_map::Entry;
        match self.joined.seen.entry((origin, to)) {
            Entry::Vacant(entry) => {
                entry.insert(at);
                true
            }
            Entry::Occupied(entry) => {
                let first = *entry.get();
                let to = quoted(&self.actors[to.index()].name);
                let message = match &origin {
                    Origin::Scope(scope) => {
                        let scope = quoted(&self.scopes[scope.index()].name);
                        format!("errors of {scope} go to {to} twice")
                    }
                    Origin::Success(from) | Origin::Error(from) | Origin::Route(from, _) | Origin::Other(from) => {
                        let from = quoted(&self.actors[from.index()].name);
                        format!("the link from {from} to {to} is there twice")
                    }
                };
                let wrong = self.problems.error(at, message);
                wrong.label("the second one").help("take one of the two out");
                if first.source == at.source && first != at {
                    wrong.also(first, "the first one");
                }
                false
            }
        }
    }

    fn report_cannot_fail(&mut self, from: ActorId, link: &DraftLink) {
        let actor = &self.actors[from.index()];
        let (name, title) = (quoted(&actor.name), actor.kind.word());
        let at = link.from.as_ref().map_or(link.at, |from| from.at);
        self.problems
            .error(at, format!("{name} cannot fail, so no link leaves it on error"))
            .label(format!("its kind is `{title}`"))
            .help("python, exec and router actors and submodels can fail; take `on_error` out for a link on success");
    }

    fn report_no_ports(&mut self, from: ActorId, at: Place) {
        let actor = &self.actors[from.index()];
        let (name, title) = (quoted(&actor.name), actor.kind.word());
        self.problems
            .error(at, format!("{name} is no router, so its links have no port"))
            .label(format!("its kind is `{title}`"))
            .help("take `port` out, or put a router between the two");
    }

    /// Resolves an end, and reports what is wrong with it.
    fn end(&mut self, name: &At<Name>, side: Side, frame: &Frame<'_>) -> End {
        let text = name.value.as_str();
        let first = text.split_once('.').map_or(text, |(submodel, _)| submodel);
        if frame.doubled.contains(first) {
            self.joined.lost = true;
            return End::Wrong(None);
        }
        if let Some(id) = frame.ports.get(text) {
            // Inside, a link that leaves the port In goes on from what came in.
            let way = if side == Side::To { Way::Out } else { Way::In };
            return self.pass(*id, way, name, frame);
        }
        match frame.names.get(text) {
            Some(Named::Actor(id)) if self.facts[id.index()].way.is_some() => {
                let way = if side == Side::To { Way::Out } else { Way::In };
                self.pass(*id, way, name, frame)
            }
            Some(Named::Actor(id)) => End::Actor(*id),
            Some(Named::Submodel(index)) if side == (Side::From { on_error: true }) => {
                End::Scope(frame.submodels[*index].scope)
            }
            Some(Named::Submodel(index)) => self.report_portless(*index, side, name, frame),
            None => match text.split_once('.') {
                Some((submodel, port)) => self.port(submodel, port, side, name, frame),
                None => self.report_unknown(name, side, frame),
            },
        }
    }

    /// `SUBMODEL.PORT`.
    fn port(&mut self, submodel: &str, port: &str, side: Side, name: &At<Name>, frame: &Frame<'_>) -> End {
        let Some(Named::Submodel(index)) = frame.names.get(submodel) else {
            return self.report_unknown(name, side, frame);
        };
        let submodel = &frame.submodels[*index];
        let Some(id) = submodel.ports.get(port) else {
            let mut ports: Vec<&str> = submodel.ports.keys().copied().collect();
            ports.sort_unstable();
            let near = self.problems.guesses.nearest(port, ports.iter().copied());
            let meant = near.and_then(|near| submodel.ports.get(near)).copied();
            let help = did_you_mean(near.map(|near| format!("{}.{near}", submodel.name)).as_deref())
                .unwrap_or_else(|| format!("it has {}; others are listed in its `ports`", list(ports)));
            self.problems
                .error(name.at, format!("the submodel {} has no port {}", quoted(submodel.name), quoted(port)))
                .label("unknown port")
                .help(help);
            return End::Wrong(meant);
        };
        if side == (Side::From { on_error: true }) {
            self.problems
                .error(name.at, "errors leave a submodel as a whole, not through a port")
                .label("a port")
                .help(format!("write from = \"{}\"", submodel.name));
            return End::Wrong(Some(*id));
        }
        let way = if side == Side::To { Way::In } else { Way::Out };
        self.pass(*id, way, name, frame)
    }

    /// An end at a port, at start or at stop: each is passed one way only.
    fn pass(&mut self, id: ActorId, way: Way, name: &At<Name>, frame: &Frame<'_>) -> End {
        let fixed = *self.facts[id.index()].way.get_or_insert(way);
        if fixed == way {
            return End::Actor(id);
        }
        let inside = frame.ports.contains_key(name.value.as_str());
        let (message, help) = match (&self.actors[id.index()].kind, fixed) {
            (Kind::Start, _) => ("no link leads into `start`".to_owned(), "the inputs enter there, once per run"),
            (Kind::Stop, _) => ("no link leaves `stop`".to_owned(), "it takes the output of the run"),
            (_, Way::In) if inside => {
                (format!("inside, links leave {}, and none leads to it", quoted(&name.value)), "`Out` is the way out")
            }
            (_, Way::Out) if inside => {
                (format!("inside, links lead to {}, and none leaves it", quoted(&name.value)), "`In` is the way in")
            }
            (_, Way::In) => {
                (format!("outside, links lead to {}, and none leaves it", quoted(&name.value)), "`Out` is the way out")
            }
            (_, Way::Out) => {
                (format!("outside, links leave {}, and none leads to it", quoted(&name.value)), "`In` is the way in")
            }
        };
        self.problems.error(name.at, message).label("the wrong way").help(help);
        End::Wrong(None)
    }

    fn report_portless(&mut self, index: usize, side: Side, name: &At<Name>, frame: &Frame<'_>) -> End {
        let submodel = &frame.submodels[index];
        let port = if side == Side::To { "In" } else { "Out" };
        self.problems
            .error(name.at, format!("{} is a submodel, and a link names one of its ports", quoted(submodel.name)))
            .label("which port?")
            .help(format!("did you mean {}?", quoted(&format!("{}.{port}", submodel.name))));
        End::Wrong(submodel.ports.get(port).copied())
    }

    fn report_unknown(&mut self, name: &At<Name>, side: Side, frame: &Frame<'_>) -> End {
        let text = name.value.as_str();
        let mut known: Vec<&str> = Vec::new();
        let mut ports: FxHashMap<String, ActorId> = FxHashMap::default();
        // Thousands of unknown names get no suggestions: gathering the known ones takes its time.
        if !self.problems.guesses.exhausted() {
            known.extend(frame.names.keys().chain(frame.ports.keys()));
            for submodel in frame.submodels.iter().filter(|_| text.contains('.')) {
                ports.extend(submodel.ports.iter().map(|(port, id)| (format!("{}.{port}", submodel.name), *id)));
            }
        }
        known.extend(ports.keys().map(String::as_str));
        known.sort_unstable();
        let near = self.problems.guesses.nearest(text, known);
        let meant = near.and_then(|near| match (frame.names.get(near), frame.ports.get(near), ports.get(near)) {
            (Some(Named::Actor(id)), ..) | (_, Some(id), _) | (.., Some(id)) => Some(*id),
            (Some(Named::Submodel(index)), ..) => {
                let port = if side == Side::To { "In" } else { "Out" };
                frame.submodels[*index].ports.get(port).copied()
            }
            (None, None, None) => None,
        });
        let help = match text {
            "In" | "Out" if frame.ports.is_empty() => {
                "ports are a submodel's; a workflow has `start` and `stop`".to_owned()
            }
            _ => did_you_mean(near).unwrap_or_else(|| match text.split_once('.') {
                Some((actor, _)) if frame.names.contains_key(actor) => {
                    format!("{} is an actor; only submodels have ports", quoted(actor))
                }
                Some((submodel, _)) => format!("add [submodels.{submodel}], or link something that is there"),
                None => format!("add [actors.{text}], or link an actor that is there"),
            }),
        };
        let what = if text.contains('.') { "submodel port" } else { "actor" };
        self.problems.error(name.at, format!("there is no {what} {}", quoted(text))).label("unknown").help(help);
        End::Wrong(meant)
    }
}

fn can_fail(kind: &Kind) -> bool {
    kind.is_task() || matches!(kind, Kind::Router(_))
}
