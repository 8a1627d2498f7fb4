//! A small builder of workflows for tests: actors by name, links by two names.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::graph::{
    Actor, ActorId, Kind, Link, OnTimeout, Port, Retry, Route, Router, Scope, ScopeId, Script, Service, Workflow,
};
use crate::payload::Payload;

pub(super) struct Graph {
    pub(super) workflow: Workflow,
    names: BTreeMap<String, ActorId>,
    scopes: BTreeMap<String, ScopeId>,
    /// Where the next actors stand.
    inside: ScopeId,
}

impl Graph {
    /// A workflow with `start` and `stop`.
    pub(super) fn new() -> Self {
        let outermost = Scope { name: "w".into(), path: "/w".into(), parent: None, on_error: Vec::new() };
        let mut graph = Graph {
            workflow: Workflow {
                name: "w".into(),
                description: None,
                file: PathBuf::new(),
                directory: PathBuf::new(),
                python: None,
                paths: Vec::new(),
                timeout: None,
                on_timeout: OnTimeout::Interrupt,
                inputs: Payload::new(),
                gevent: false,
                pools: Vec::new(),
                service: Service::default(),
                history: crate::graph::KeepHistory::default(),
                record: Default::default(),
                actors: Vec::new(),
                scopes: vec![outermost],
                start: ActorId(0),
                stop: ActorId(1),
            },
            names: BTreeMap::new(),
            scopes: BTreeMap::from([("w".to_owned(), ScopeId(0))]),
            inside: ScopeId(0),
        };
        graph.add("start", Kind::Start).add("stop", Kind::Stop);
        graph
    }

    pub(super) fn add(&mut self, name: &str, kind: Kind) -> &mut Self {
        let id = ActorId::from(self.workflow.actors.len());
        self.names.insert(name.to_owned(), id);
        let actor = Actor::new(name, self.inside, &self.workflow.scope(self.inside).path, kind);
        self.workflow.actors.push(actor);
        self
    }

    /// Actors that make tasks.
    pub(super) fn tasks(&mut self, names: &[&str]) -> &mut Self {
        for name in names {
            self.add(name, Kind::Python(Script::Module("m".into())));
        }
        self
    }

    /// A join that waits for so many.
    pub(super) fn join(&mut self, name: &str, arrivals: usize) -> &mut Self {
        self.add(name, Kind::Join { arrivals })
    }

    /// A router on the key `x`.
    pub(super) fn router(&mut self, name: &str, routes: &[(Port, &str)], other: Option<&str>) -> &mut Self {
        let routes = routes
            .iter()
            .map(|(port, to)| Route { port: port.clone(), links: vec![Link { to: self.id(to) }] })
            .collect();
        let other = other.map(|to| vec![Link { to: self.id(to) }]);
        self.add(name, Kind::Router(Router { item: "x".into(), routes, other }))
    }

    /// The actors that follow stand in a submodel; its parent is the scope where the last actors stood.
    pub(super) fn submodel(&mut self, name: &str) -> &mut Self {
        let id = ScopeId::from(self.workflow.scopes.len());
        let path = format!("{}/{name}", self.workflow.scope(self.inside).path);
        self.workflow.scopes.push(Scope {
            name: name.to_owned(),
            path,
            parent: Some(self.inside),
            on_error: Vec::new(),
        });
        self.scopes.insert(name.to_owned(), id);
        self.inside = id;
        self
    }

    /// Links from the first to the second, from that to the third, and so on.
    pub(super) fn chain(&mut self, names: &[&str]) -> &mut Self {
        for pair in names.windows(2) {
            let to = self.id(pair[1]);
            self.actor(pair[0]).links.push(Link { to });
        }
        self
    }

    pub(super) fn on_error(&mut self, from: &str, to: &str) -> &mut Self {
        let to = self.id(to);
        self.actor(from).on_error.push(Link { to });
        self
    }

    pub(super) fn scope_on_error(&mut self, scope: &str, to: &str) -> &mut Self {
        let (scope, to) = (self.scopes[scope], self.id(to));
        self.workflow.scopes[scope.index()].on_error.push(Link { to });
        self
    }

    pub(super) fn bubble(&mut self, name: &str) -> &mut Self {
        self.actor(name).bubble_errors = true;
        self
    }

    pub(super) fn retry(&mut self, name: &str, times: u32, delay: Duration) -> &mut Self {
        self.actor(name).retry = Retry { times, delay };
        self
    }

    pub(super) fn task_timeout(&mut self, name: &str, timeout: Duration) -> &mut Self {
        self.actor(name).timeout = Some(timeout);
        self
    }

    pub(super) fn run_timeout(&mut self, timeout: Duration, then: OnTimeout) -> &mut Self {
        self.workflow.timeout = Some(timeout);
        self.workflow.on_timeout = then;
        self
    }

    pub(super) fn build(&self) -> Arc<Workflow> {
        Arc::new(self.workflow.clone())
    }

    fn id(&self, name: &str) -> ActorId {
        *self.names.get(name).unwrap_or_else(|| panic!("no actor {name}"))
    }

    fn actor(&mut self, name: &str) -> &mut Actor {
        let id = self.id(name);
        &mut self.workflow.actors[id.index()]
    }
}
