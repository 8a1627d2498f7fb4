//! Resolves the ends of links, adds the links to the graph, and reports wrong ones.

use rustc_hash::FxHashMap;

use super::graph::{Frame, Graph, NameTarget, PortDirection};
use crate::config::diagnostics::problems::Problems;
use crate::config::diagnostics::suggest::{did_you_mean, list, quoted};
use crate::config::read::draft::DraftLink;
use crate::config::read::names::Name;
use crate::config::read::table::PortWord;
use crate::config::toml::source::{Located, Location};
use crate::graph::{ActorId, Kind, Link, Port, Route, Router, ScopeId};

/// The links that exist so far, to find duplicates.
#[derive(Default)]
pub(super) struct LinkTable {
    seen: FxHashMap<(Origin, ActorId), Location>,
    routes: FxHashMap<(ActorId, Port), usize>,
}

/// Adds the links of one frame to the graph.
pub(super) struct Linker<'l, 'd> {
    pub table: &'l mut LinkTable,
    pub graph: &'l mut Graph,
    pub problems: &'l mut Problems,
    pub frame: &'l Frame<'d>,
}

/// What a link leaves from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    Success(ActorId),
    Error(ActorId),
    /// One of a router's routes.
    Route(ActorId, usize),
    /// The router's port for all other values.
    Other(ActorId),
    Scope(ScopeId),
}

/// What an end of a link refers to.
#[derive(Debug, Clone, Copy)]
enum Endpoint {
    Actor(ActorId),
    /// A submodel as a whole.
    Scope(ScopeId),
    /// Nothing. This was reported, with the actor that was probably intended.
    Wrong(Option<ActorId>),
}

/// Which end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    From { on_error: bool },
    To,
}

impl Linker<'_, '_> {
    /// Adds a link.
    pub fn link(&mut self, link: &DraftLink) {
        let side = Side::From { on_error: link.on_error };
        let from = link.from.as_ref().map_or(Endpoint::Wrong(None), |from| self.end(from, side));
        let to = link.to.as_ref().map_or(Endpoint::Wrong(None), |to| self.end(to, Side::To));
        match (from, to) {
            (Endpoint::Actor(from), Endpoint::Actor(to)) => self.join(from, to, link),
            (Endpoint::Scope(scope), Endpoint::Actor(to)) => self.bubble(scope, to, link.at),
            (Endpoint::Wrong(Some(from)), Endpoint::Actor(to) | Endpoint::Wrong(Some(to))) => {
                self.graph.links.intended.push((from, to))
            }
            (Endpoint::Actor(from), Endpoint::Wrong(Some(to))) => self.graph.links.intended.push((from, to)),
            (Endpoint::Wrong(None), Endpoint::Actor(to) | Endpoint::Wrong(Some(to))) => self.graph.links.seeds.push(to),
            (Endpoint::Scope(_), Endpoint::Wrong(Some(to))) => self.graph.links.seeds.push(to),
            (_, Endpoint::Wrong(None) | Endpoint::Scope(_)) => self.graph.links.has_unknown_target = true,
        }
    }

    /// Adds the actors that bubbling errors of a scope go to.
    pub fn scope_errors<'n>(&mut self, scope: ScopeId, names: impl IntoIterator<Item = &'n Located<Name>>) {
        for name in names {
            match self.end(name, Side::To) {
                Endpoint::Actor(to) => self.bubble(scope, to, name.at),
                Endpoint::Wrong(Some(to)) => self.graph.links.seeds.push(to),
                _ => self.graph.links.has_unknown_target = true,
            }
        }
    }

    fn bubble(&mut self, scope: ScopeId, to: ActorId, at: Location) {
        if self.is_new(Origin::Scope(scope), to, at) {
            self.graph.links.scope_errors.entry(scope).or_insert(at);
            self.graph.facts[to.index()].incoming += 1;
            self.graph.scopes[scope.index()].on_error.push(Link { to });
        }
    }

    fn join(&mut self, from: ActorId, to: ActorId, link: &DraftLink) {
        if !self.graph.facts[from.index()].known {
            self.graph.links.intended.push((from, to));
            return;
        }
        let kind = &self.graph.actors[from.index()].kind;
        let is_router = matches!(kind, Kind::Router(_));
        if link.on_error && !can_fail(kind) {
            self.report_cannot_fail(from, link);
            self.graph.links.intended.push((from, to));
            return;
        }
        let origin = match &link.port {
            _ if link.on_error => Origin::Error(from),
            Some(Located { value: PortWord::Value(port), .. }) if is_router => {
                Origin::Route(from, self.route(from, port))
            }
            Some(Located { value: PortWord::Other, .. }) if is_router => Origin::Other(from),
            // As in pypushflow: the default of `expectedValue` is "other".
            None if is_router => Origin::Other(from),
            Some(port) => {
                self.report_no_ports(from, port.at);
                self.graph.links.intended.push((from, to));
                return;
            }
            None => Origin::Success(from),
        };
        if !self.is_new(origin, to, link.at) {
            return;
        }
        self.graph.facts[to.index()].incoming += 1;
        let actor = &mut self.graph.actors[from.index()];
        match (origin, &mut actor.kind) {
            (Origin::Error(_), _) => actor.on_error.push(Link { to }),
            (Origin::Other(_), Kind::Router(router)) => router.other.get_or_insert_default().push(Link { to }),
            (Origin::Route(_, route), Kind::Router(router)) => router.routes[route].links.push(Link { to }),
            _ => actor.links.push(Link { to }),
        }
    }

    /// The index of a router's route for a port. A new port adds a route.
    fn route(&mut self, router: ActorId, port: &Port) -> usize {
        let Kind::Router(Router { routes, .. }) = &mut self.graph.actors[router.index()].kind else { return 0 };
        *self.table.routes.entry((router, port.clone())).or_insert_with(|| {
            routes.push(Route { port: port.clone(), links: Vec::new() });
            routes.len() - 1
        })
    }

    fn is_new(&mut self, origin: Origin, to: ActorId, at: Location) -> bool {
        use std::collections::hash_map::Entry;
        match self.table.seen.entry((origin, to)) {
            Entry::Vacant(entry) => {
                entry.insert(at);
                true
            }
            Entry::Occupied(entry) => {
                let first = *entry.get();
                let to = quoted(&self.graph.actors[to.index()].name);
                let message = match &origin {
                    Origin::Scope(scope) => {
                        let scope = quoted(&self.graph.scopes[scope.index()].name);
                        format!("errors of {scope} go to {to} twice")
                    }
                    Origin::Success(from) | Origin::Error(from) | Origin::Route(from, _) | Origin::Other(from) => {
                        let from = quoted(&self.graph.actors[from.index()].name);
                        format!("the link from {from} to {to} is defined twice")
                    }
                };
                let wrong = self.problems.error(at, message);
                wrong.label("second definition").help("remove one of the two");
                if first.source == at.source && first != at {
                    wrong.also(first, "first definition");
                }
                false
            }
        }
    }

    fn report_cannot_fail(&mut self, from: ActorId, link: &DraftLink) {
        let actor = &self.graph.actors[from.index()];
        let (name, title) = (quoted(&actor.name), actor.kind.word());
        let at = link.from.as_ref().map_or(link.at, |from| from.at);
        self.problems
            .error(at, format!("{name} cannot fail, so it cannot have a link with `on_error`"))
            .label(format!("its kind is `{title}`"))
            .help(
                "only python, exec and router actors and submodels can fail; remove `on_error` for a link on success",
            );
    }

    fn report_no_ports(&mut self, from: ActorId, at: Location) {
        let actor = &self.graph.actors[from.index()];
        let (name, title) = (quoted(&actor.name), actor.kind.word());
        self.problems
            .error(at, format!("{name} is not a router, so its links cannot have a port"))
            .label(format!("its kind is `{title}`"))
            .help("remove `port`, or put a router between the two");
    }

    /// Resolves an end, or reports it.
    fn end(&mut self, name: &Located<Name>, side: Side) -> Endpoint {
        let text = name.value.as_str();
        let first = text.split_once('.').map_or(text, |(submodel, _)| submodel);
        if self.frame.ambiguous.contains(first) {
            self.graph.links.incomplete = true;
            return Endpoint::Wrong(None);
        }
        if let Some(id) = self.frame.ports.get(text) {
            // Inside the submodel, links leave the port `In`, and lead to `Out`.
            let direction = if side == Side::To { PortDirection::Out } else { PortDirection::In };
            return self.pass(*id, direction, name);
        }
        match self.frame.names.get(text) {
            Some(NameTarget::Actor(id)) if self.graph.facts[id.index()].direction.is_some() => {
                let direction = if side == Side::To { PortDirection::Out } else { PortDirection::In };
                self.pass(*id, direction, name)
            }
            Some(NameTarget::Actor(id)) => Endpoint::Actor(*id),
            Some(NameTarget::Submodel(index)) if side == (Side::From { on_error: true }) => {
                Endpoint::Scope(self.frame.submodels[*index].scope)
            }
            Some(NameTarget::Submodel(index)) => self.report_portless(*index, side, name),
            None => match text.split_once('.') {
                Some((submodel, port)) => self.port(submodel, port, side, name),
                None => self.report_unknown(name, side),
            },
        }
    }

    /// `SUBMODEL.PORT`.
    fn port(&mut self, submodel: &str, port: &str, side: Side, name: &Located<Name>) -> Endpoint {
        let Some(NameTarget::Submodel(index)) = self.frame.names.get(submodel) else {
            return self.report_unknown(name, side);
        };
        let submodel = &self.frame.submodels[*index];
        let Some(id) = submodel.ports.get(port) else {
            let mut ports: Vec<&str> = submodel.ports.keys().copied().collect();
            ports.sort_unstable();
            let near = self.problems.suggestions.nearest(port, ports.iter().copied());
            let meant = near.and_then(|near| submodel.ports.get(near)).copied();
            let help = did_you_mean(near.map(|near| format!("{}.{near}", submodel.name)).as_deref())
                .unwrap_or_else(|| format!("its ports are {}; `ports` adds more", list(ports)));
            self.problems
                .error(name.at, format!("the submodel {} has no port {}", quoted(submodel.name), quoted(port)))
                .label("unknown port")
                .help(help);
            return Endpoint::Wrong(meant);
        };
        if side == (Side::From { on_error: true }) {
            self.problems
                .error(name.at, "errors leave a submodel as a whole, not through a port")
                .label("a port")
                .help(format!("write from = \"{}\"", submodel.name));
            return Endpoint::Wrong(Some(*id));
        }
        let direction = if side == Side::To { PortDirection::In } else { PortDirection::Out };
        self.pass(*id, direction, name)
    }

    /// An end at a port, `start` or `stop`. Links pass each of them in one direction only.
    fn pass(&mut self, id: ActorId, direction: PortDirection, name: &Located<Name>) -> Endpoint {
        let fixed = *self.graph.facts[id.index()].direction.get_or_insert(direction);
        if fixed == direction {
            return Endpoint::Actor(id);
        }
        let inside = self.frame.ports.contains_key(name.value.as_str());
        let (message, help) = match (&self.graph.actors[id.index()].kind, fixed) {
            (Kind::Start, _) => ("no link can lead to `start`".to_owned(), "`start` only receives the inputs of a run"),
            (Kind::Stop, _) => ("no link can leave `stop`".to_owned(), "`stop` only takes the output of a run"),
            (_, PortDirection::In) if inside => (
                format!("inside the submodel, links can only leave {}", quoted(&name.value)),
                "use `Out` to leave the submodel",
            ),
            (_, PortDirection::Out) if inside => (
                format!("inside the submodel, links can only lead to {}", quoted(&name.value)),
                "use `In` to enter the submodel",
            ),
            (_, PortDirection::In) => (
                format!("outside the submodel, links can only lead to {}", quoted(&name.value)),
                "use `Out` to leave the submodel",
            ),
            (_, PortDirection::Out) => (
                format!("outside the submodel, links can only leave {}", quoted(&name.value)),
                "use `In` to enter the submodel",
            ),
        };
        self.problems.error(name.at, message).label("wrong direction").help(help);
        Endpoint::Wrong(None)
    }

    fn report_portless(&mut self, index: usize, side: Side, name: &Located<Name>) -> Endpoint {
        let submodel = &self.frame.submodels[index];
        let port = if side == Side::To { "In" } else { "Out" };
        self.problems
            .error(name.at, format!("{} is a submodel; a link needs one of its ports", quoted(submodel.name)))
            .label("which port?")
            .help(format!("did you mean {}?", quoted(&format!("{}.{port}", submodel.name))));
        Endpoint::Wrong(submodel.ports.get(port).copied())
    }

    fn report_unknown(&mut self, name: &Located<Name>, side: Side) -> Endpoint {
        let text = name.value.as_str();
        let mut known: Vec<&str> = Vec::new();
        let mut ports: FxHashMap<String, ActorId> = FxHashMap::default();
        // Collecting the known names takes time. Once the budget is used up, there are no suggestions.
        if !self.problems.suggestions.exhausted() {
            known.extend(self.frame.names.keys().chain(self.frame.ports.keys()));
            for submodel in self.frame.submodels.iter().filter(|_| text.contains('.')) {
                ports.extend(submodel.ports.iter().map(|(port, id)| (format!("{}.{port}", submodel.name), *id)));
            }
        }
        known.extend(ports.keys().map(String::as_str));
        known.sort_unstable();
        let near = self.problems.suggestions.nearest(text, known);
        let meant =
            near.and_then(|near| match (self.frame.names.get(near), self.frame.ports.get(near), ports.get(near)) {
                (Some(NameTarget::Actor(id)), ..) | (_, Some(id), _) | (.., Some(id)) => Some(*id),
                (Some(NameTarget::Submodel(index)), ..) => {
                    let port = if side == Side::To { "In" } else { "Out" };
                    self.frame.submodels[*index].ports.get(port).copied()
                }
                (None, None, None) => None,
            });
        let help = match text {
            "In" | "Out" if self.frame.ports.is_empty() => {
                "only submodels have ports; a workflow has `start` and `stop`".to_owned()
            }
            _ => did_you_mean(near).unwrap_or_else(|| match text.split_once('.') {
                Some((actor, _)) if self.frame.names.contains_key(actor) => {
                    format!("{} is an actor; only submodels have ports", quoted(actor))
                }
                Some((submodel, _)) => format!("add [submodels.{submodel}], or link an existing port"),
                None => format!("add [actors.{text}], or link an existing actor"),
            }),
        };
        let what = if text.contains('.') { "submodel port" } else { "actor" };
        self.problems.error(name.at, format!("there is no {what} {}", quoted(text))).label("unknown").help(help);
        Endpoint::Wrong(meant)
    }
}

fn can_fail(kind: &Kind) -> bool {
    kind.is_task() || matches!(kind, Kind::Router(_))
}
