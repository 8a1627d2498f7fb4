//! Workflows to draw in tests, built by hand.

use std::path::PathBuf;

use crate::graph::{
    Actor, ActorId, Exec, Kind, Limits, Link, OnTimeout, Port, Route, Router, Scope, ScopeId, Script, Service, Stdin,
    Stdout, Workflow,
};
use crate::payload::{Key, Payload};

/// A workflow that grows by actors and links; it has start and stop.
pub(super) struct Sample(pub(super) Workflow);

pub(super) const START: ActorId = ActorId(0);
pub(super) const STOP: ActorId = ActorId(1);

impl Sample {
    pub(super) fn new(name: &str) -> Self {
        let mut sample = Sample(Workflow {
            name: name.to_owned(),
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
            scopes: vec![scope(name, format!("/{name}"), None)],
            start: START,
            stop: STOP,
        });
        sample.add("start", Kind::Start);
        sample.add("stop", Kind::Stop);
        sample
    }

    pub(super) fn add(&mut self, name: &str, kind: Kind) -> ActorId {
        self.add_in(ScopeId(0), name, kind)
    }

    pub(super) fn add_in(&mut self, scope: ScopeId, name: &str, kind: Kind) -> ActorId {
        let actor = Actor::new(name, scope, &self.0.scope(scope).path, kind);
        self.0.actors.push(actor);
        ActorId::from(self.0.actors.len() - 1)
    }

    pub(super) fn python(&mut self, name: &str) -> ActorId {
        self.add(name, python(name))
    }

    /// A python actor whose errors bubble.
    pub(super) fn bubbling(&mut self, scope: ScopeId, name: &str) -> ActorId {
        let id = self.add_in(scope, name, python(name));
        self.0.actors[id.index()].bubble_errors = true;
        id
    }

    pub(super) fn link(&mut self, from: ActorId, to: ActorId) {
        self.0.actors[from.index()].links.push(Link { to });
    }

    pub(super) fn chain(&mut self, actors: &[ActorId]) {
        for pair in actors.windows(2) {
            self.link(pair[0], pair[1]);
        }
    }

    pub(super) fn on_error(&mut self, from: ActorId, to: ActorId) {
        self.0.actors[from.index()].on_error.push(Link { to });
    }

    pub(super) fn bubbles_to(&mut self, scope: ScopeId, to: ActorId) {
        self.0.scopes[scope.index()].on_error.push(Link { to });
    }

    pub(super) fn submodel(&mut self, parent: ScopeId, name: &str) -> (ScopeId, ActorId, ActorId) {
        let path = format!("{}/{name}", self.0.scope(parent).path);
        self.0.scopes.push(scope(name, path, Some(parent)));
        let id = ScopeId::from(self.0.scopes.len() - 1);
        (id, self.add_in(id, "In", Kind::Boundary), self.add_in(id, "Out", Kind::Boundary))
    }
}

fn scope(name: &str, path: String, parent: Option<ScopeId>) -> Scope {
    Scope { name: name.to_owned(), path, parent, on_error: Vec::new() }
}

pub(super) fn python(name: &str) -> Kind {
    let module = name.replace(' ', "_");
    Kind::Python(Script::File { path: PathBuf::from(format!("/w/tasks/{module}.py")).into(), module: module.into() })
}

pub(super) fn exec(command: &[&str]) -> Kind {
    Kind::Exec(Box::new(Exec {
        command: command.iter().map(|&word| word.to_owned()).collect(),
        env: [].into(),
        directory: PathBuf::new(),
        stdin: Stdin::Null,
        stdout: Stdout::Log,
        returncode_key: None,
        success_codes: vec![0],
        limits: Limits::default(),
    }))
}

pub(super) fn router(item: &str, routes: &[(Port, ActorId)], other: Option<ActorId>) -> Kind {
    let route = |(port, to): &(Port, ActorId)| Route { port: port.clone(), links: vec![Link { to: *to }] };
    Kind::Router(Router {
        item: Key::text(item),
        routes: routes.iter().map(route).collect(),
        other: other.map(|to| vec![Link { to }]),
    })
}

pub(super) fn hello() -> Workflow {
    let mut sample = Sample::new("hello");
    let greet = sample.python("greet");
    sample.chain(&[START, greet, STOP]);
    sample.0.description = Some("Says hello".to_owned());
    sample.0
}

/// A loop, a router with several ports that lead the same way, and an actor that leads to itself.
pub(super) fn looping() -> Workflow {
    let mut sample = Sample::new("centre");
    let (measure, shift) = (sample.python("measure"), sample.python("move"));
    let failed = sample.add("no sample", Kind::Status("skipped".to_owned()));
    let text = |text: &str| Port::Text(text.to_owned());
    let ports = [
        (Port::Bool(true), STOP),
        (Port::Bool(false), shift),
        (text("nearly"), shift),
        (text("lost"), failed),
        (Port::Null, failed),
    ];
    let decide = sample.add("decide", router("centred", &ports, Some(measure)));
    sample.chain(&[START, measure, decide]);
    sample.chain(&[shift, measure]);
    sample.chain(&[failed, STOP]);
    sample.link(shift, shift);
    sample.0
}

pub(super) fn fork_join() -> Workflow {
    let mut sample = Sample::new("screening");
    let (read, fork) = (sample.python("read"), sample.add("analyse", Kind::Fork));
    let join = sample.add("all three", Kind::Join { arrivals: 3 });
    for name in ["count", "resolution", "ice"] {
        let analysis = sample.python(name);
        sample.chain(&[fork, analysis, join]);
    }
    let summary = sample.python("summary");
    sample.chain(&[START, read, fork]);
    sample.chain(&[join, summary, STOP]);
    sample.0
}

/// Submodels in submodels, with errors that bubble out of both.
pub(super) fn nested() -> Workflow {
    let mut sample = Sample::new("collect and process");
    let (outer, outer_in, outer_out) = sample.submodel(ScopeId(0), "data collection");
    let (inner, inner_in, inner_out) = sample.submodel(outer, "exposure");
    let (mount, unmount) = (sample.python("mount"), sample.python("unmount"));
    let open = sample.bubbling(inner, "open shutter");
    let expose = sample.bubbling(inner, "expose");
    let close = sample.add_in(inner, "close shutter", python("close shutter"));
    let align = sample.bubbling(outer, "align");
    let park = sample.add_in(outer, "park motors", exec(&["/usr/bin/python3", "-B", "programs/park.py", "--all"]));
    let failed = sample.add("failed", Kind::ErrorHandler);
    let put_back = sample.python("put back");
    sample.chain(&[START, mount, outer_in, align, inner_in, open, expose, inner_out, outer_out, unmount, STOP]);
    sample.chain(&[failed, put_back, STOP]);
    sample.on_error(mount, failed);
    sample.bubbles_to(ScopeId(0), failed);
    sample.bubbles_to(outer, park);
    sample.bubbles_to(inner, close);
    sample.0
}

/// The pipeline of `conf/workflows/data-reduction.toml`.
pub(super) fn data_reduction() -> Workflow {
    let mut sample = Sample::new("data-reduction");
    sample.0.description = Some("Index, integrate to the best resolution, merge, report".to_owned());
    let prepare = sample.bubbling(ScopeId(0), "prepare");
    let program = |name: &str| exec(&["python3", "-B", &format!("data-reduction/programs/{name}.py")]);
    let index = sample.add("index", program("index"));
    let integrate = sample.add("integrate", program("integrate"));
    let check = sample.bubbling(ScopeId(0), "check");
    let merge = sample.add("merge", program("merge"));
    let report = sample.bubbling(ScopeId(0), "report");
    let failed = sample.add("failed", Kind::ErrorHandler);
    let ports = [(Port::Bool(false), integrate), (Port::Bool(true), merge)];
    let enough = sample.add("good enough?", router("good_enough", &ports, None));
    for exec in [index, integrate, merge] {
        sample.0.actors[exec.index()].bubble_errors = true;
    }
    sample.chain(&[START, prepare, index, integrate, check, enough]);
    sample.chain(&[merge, report, STOP]);
    sample.chain(&[failed, STOP]);
    sample.bubbles_to(ScopeId(0), failed);
    sample.0
}

/// Many actors in branches of unlike length, with links across, back and on errors, some in submodels.
pub(super) fn many(actors: usize) -> Workflow {
    let mut sample = Sample::new("many");
    let failed = sample.add("failed", Kind::ErrorHandler);
    sample.chain(&[failed, STOP]);
    let mut ids = vec![START];
    let mut scope = ScopeId(0);
    let mut out = START;
    for number in 0..actors {
        if number % 16 == 8 {
            let way_in;
            (scope, way_in, out) = sample.submodel(ScopeId(0), &format!("submodel {number}"));
            sample.link(ids[ids.len() - 1], way_in);
            ids = vec![way_in];
        } else if number % 16 == 0 && number > 0 {
            scope = ScopeId(0);
            sample.link(ids[ids.len() - 1], out);
            ids.push(out);
        }
        let name = format!("actor {number}");
        let id = sample.add_in(scope, &name, python(&name));
        // A fixed pattern that looks like none.
        sample.link(ids[ids.len() - 1 - (number * 7) % 5 % ids.len()], id);
        if number % 11 == 10 {
            let fork = ids[ids.len().saturating_sub(3)];
            sample.link(fork, id);
        }
        if number % 17 == 16 {
            sample.link(id, ids[ids.len().saturating_sub(6)]);
        }
        if number % 9 == 4 {
            sample.on_error(id, failed);
        }
        ids.push(id);
    }
    let leaves: Vec<ActorId> =
        (2..sample.0.actors.len()).map(ActorId::from).filter(|id| sample.0.actor(*id).links.is_empty()).collect();
    for leaf in leaves {
        sample.link(leaf, STOP);
    }
    sample.0
}
