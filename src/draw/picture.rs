//! The content of a picture in any format: nodes, lines between them, and boxes around them.

use indexmap::IndexMap;

use super::text::{elided, one_line};
use crate::graph::{Actor, ActorId, Kind, Link, ScopeId, Script, Workflow};

/// Maximum length of names and details.
const LONGEST_NAME: usize = 48;
const LONGEST_DETAIL: usize = 36;
const LONGEST_DESCRIPTION: usize = 100;

/// A workflow, prepared for drawing.
pub(super) struct Picture {
    /// The workflow's name.
    pub(super) title: String,
    pub(super) description: Option<String>,
    /// The actors by [`ActorId`], then a node for each scope with bubbling errors.
    pub(super) nodes: Vec<Node>,
    pub(super) lines: Vec<Line>,
    /// The scopes by id. The first is the workflow, which has no box.
    pub(super) groups: Vec<Group>,
}

pub(super) struct Node {
    /// The full path, shown as a tooltip.
    pub(super) path: String,
    pub(super) name: String,
    /// A second, smaller line: the script, program or settings.
    pub(super) detail: Option<String>,
    pub(super) shape: Shape,
    /// Index of its group in the picture.
    pub(super) group: usize,
    /// Whether errors of this actor bubble.
    pub(super) bubbles: bool,
}

/// The appearance of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    Start,
    Stop,
    Python,
    Exec,
    Fork,
    Join,
    Router,
    Status,
    ErrorHandler,
    Port,
    /// Not an actor: the source of the bubbling errors of a scope.
    Errors,
}

impl Shape {
    pub(super) const ALL: [Shape; 11] = [
        Shape::Start,
        Shape::Stop,
        Shape::Python,
        Shape::Exec,
        Shape::Fork,
        Shape::Join,
        Shape::Router,
        Shape::Status,
        Shape::ErrorHandler,
        Shape::Port,
        Shape::Errors,
    ];

    /// Colours of fill and border.
    pub(super) fn colours(self) -> (&'static str, &'static str) {
        match self {
            Shape::Start => ("#c8e6c9", "#2e7d32"),
            Shape::Stop => ("#cfd8dc", "#37474f"),
            Shape::Python => ("#e3f2fd", "#1565c0"),
            Shape::Exec => ("#fff3e0", "#b26a00"),
            Shape::Fork | Shape::Join => ("#f3f3f3", "#616161"),
            Shape::Router => ("#fff9c4", "#9e8400"),
            Shape::Status => ("#f3e5f5", "#7b1fa2"),
            Shape::ErrorHandler | Shape::Errors => ("#ffebee", ERROR_COLOUR),
            Shape::Port => ("#ffffff", "#757575"),
        }
    }
}

/// The colour of everything about errors.
pub(super) const ERROR_COLOUR: &str = "#c62828";

pub(super) struct Line {
    /// Indices of nodes in the picture.
    pub(super) from: usize,
    pub(super) to: usize,
    /// A router's ports.
    pub(super) label: Option<String>,
    pub(super) error: bool,
}

pub(super) struct Group {
    pub(super) name: String,
    pub(super) parent: Option<usize>,
    /// The nodes directly in it.
    nodes: Vec<usize>,
    /// The groups directly in it that have a box: those with nodes at any depth.
    boxes: Vec<usize>,
}

/// A step of the walk through nested groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A box begins.
    Open(usize),
    Node(usize),
    /// The innermost box ends.
    Close,
}

impl Picture {
    pub(super) fn of(workflow: &Workflow) -> Self {
        let mut nodes: Vec<Node> = workflow.actors.iter().map(node).collect();
        let mut lines = Lines::default();
        for (from, actor) in workflow.actors.iter().enumerate() {
            lines.of_actor(from, actor);
        }
        for (group, scope) in workflow.scopes.iter().enumerate() {
            if !scope.on_error.is_empty() {
                lines.add(nodes.len(), &scope.on_error, None, true);
                nodes.push(errors(group, &scope.path));
            }
        }
        let groups = groups(workflow, &nodes);
        let description = workflow.description.as_ref().map(|text| elided(text, LONGEST_DESCRIPTION));
        Picture { title: elided(&workflow.name, LONGEST_NAME), description, nodes, lines: lines.finish(), groups }
    }

    /// The groups with a box, the outermost first.
    pub(super) fn boxes(&self) -> impl Iterator<Item = usize> {
        self.outline().into_iter().filter_map(|part| match part {
            Part::Open(group) => Some(group),
            Part::Node(_) | Part::Close => None,
        })
    }

    /// Boxes and nodes in nesting order, without recursion.
    pub(super) fn outline(&self) -> Vec<Part> {
        let mut outline = Vec::new();
        let mut todo = vec![Part::Open(0)];
        while let Some(part) = todo.pop() {
            outline.push(part);
            if let Part::Open(group) = part {
                let group = &self.groups[group];
                todo.push(Part::Close);
                todo.extend(group.boxes.iter().rev().map(|&inner| Part::Open(inner)));
                todo.extend(group.nodes.iter().rev().map(|&node| Part::Node(node)));
            }
        }
        // The workflow has no box.
        outline.pop();
        outline.split_off(1)
    }
}

fn node(actor: &Actor) -> Node {
    let (shape, detail) = match &actor.kind {
        Kind::Start => (Shape::Start, None),
        Kind::Stop => (Shape::Stop, None),
        Kind::Python(Script::File { path, .. }) => {
            (Shape::Python, path.file_name().map(|name| name.to_string_lossy().into_owned()))
        }
        Kind::Python(Script::Module(module)) => (Shape::Python, Some(module.to_string())),
        Kind::Exec(exec) => (Shape::Exec, Some(program(&exec.command))),
        Kind::Fork => (Shape::Fork, None),
        Kind::Join { arrivals } => (Shape::Join, Some(format!("waits for {arrivals}"))),
        Kind::Router(router) => (Shape::Router, Some(router.item.to_string())),
        Kind::Status(word) => (Shape::Status, Some(format!("status: {word}"))),
        Kind::ErrorHandler => (Shape::ErrorHandler, Some("status: error".to_owned())),
        Kind::Boundary => (Shape::Port, None),
    };
    Node {
        path: one_line(&actor.path),
        name: shown_name(&actor.name),
        detail: detail.map(|detail| elided(&detail, LONGEST_DETAIL)).filter(|detail| !detail.trim().is_empty()),
        shape,
        group: actor.scope.index(),
        bubbles: actor.bubble_errors,
    }
}

fn errors(group: usize, scope: &str) -> Node {
    let path = format!("errors that bubble to {}", one_line(scope));
    Node { path, name: "errors".to_owned(), detail: None, shape: Shape::Errors, group, bubbles: false }
}

/// A name that is not empty: dot and Mermaid refuse empty labels.
fn shown_name(name: &str) -> String {
    let name = elided(name, LONGEST_NAME);
    if name.trim().is_empty() { "(no name)".to_owned() } else { name }
}

/// A short form of a command: the program and the first argument that is not an option (`python3 index.py`).
fn program(command: &[String]) -> String {
    let name = |word: &String| word.rsplit('/').find(|part| !part.is_empty()).unwrap_or(word).to_owned();
    let words = command.iter().enumerate().filter(|(at, word)| *at == 0 || !word.starts_with('-'));
    words.take(2).map(|(_, word)| name(word)).collect::<Vec<_>>().join(" ")
}

fn groups(workflow: &Workflow, nodes: &[Node]) -> Vec<Group> {
    let scopes = workflow.scopes.iter();
    let mut groups: Vec<Group> = scopes
        .map(|scope| Group {
            name: shown_name(&scope.name),
            parent: scope.parent.map(ScopeId::index),
            nodes: Vec::new(),
            boxes: Vec::new(),
        })
        .collect();
    let mut filled = vec![false; groups.len()];
    for (index, node) in nodes.iter().enumerate() {
        groups[node.group].nodes.push(index);
        let mut at = Some(node.group);
        while let Some(group) = at.filter(|&group| !filled[group]) {
            filled[group] = true;
            at = groups[group].parent;
        }
    }
    for group in (0..groups.len()).filter(|&group| filled[group]) {
        if let Some(parent) = groups[group].parent {
            groups[parent].boxes.push(group);
        }
    }
    groups
}

/// Lines in order of appearance. Several ports with the same target share a line.
#[derive(Default)]
struct Lines(IndexMap<(usize, ActorId, bool), Vec<String>>);

impl Lines {
    fn of_actor(&mut self, from: usize, actor: &Actor) {
        self.add(from, &actor.links, None, false);
        if let Kind::Router(router) = &actor.kind {
            for route in &router.routes {
                self.add(from, &route.links, Some(route.port.to_string()), false);
            }
            if let Some(links) = &router.other {
                self.add(from, links, Some("other".to_owned()), false);
            }
        }
        self.add(from, &actor.on_error, None, true);
    }

    fn add(&mut self, from: usize, links: &[Link], label: Option<String>, error: bool) {
        for link in links {
            self.0.entry((from, link.to, error)).or_default().extend(label.clone());
        }
    }

    fn finish(self) -> Vec<Line> {
        let line = |((from, to, error), labels): ((usize, ActorId, bool), Vec<String>)| {
            let label = Some(elided(&labels.join(", "), LONGEST_DETAIL)).filter(|label| !label.trim().is_empty());
            Line { from, to: to.index(), label, error }
        };
        self.0.into_iter().map(line).collect()
    }
}
