//! Pictures in Graphviz dot.

use std::fmt::Write;

use super::picture::{ERROR_COLOUR, Line, Node, Part, Picture, Shape};
use super::text;
use crate::graph::Workflow;

/// The workflow in Graphviz dot: `pushflow graph FILE --format dot | dot -Tpdf -o picture.pdf`.
pub fn dot(workflow: &Workflow) -> String {
    let picture = Picture::of(workflow);
    let mut out = Lines { text: String::new(), depth: 0 };
    out.add(format_args!("digraph \"{}\" {{", text::dot(&picture.title)));
    out.depth = 1;
    out.add(format_args!("rankdir=TB; ranksep=0.4; nodesep=0.35;"));
    out.add(format_args!("node [fontname=\"Helvetica\", fontsize=12, style=filled, penwidth=1.2];"));
    out.add(format_args!("edge [fontname=\"Helvetica\", fontsize=10, color=\"#455a64\", arrowsize=0.8];"));
    for part in picture.outline() {
        match part {
            Part::Open(group) => {
                out.add(format_args!("subgraph cluster_{group} {{"));
                out.depth += 1;
                let name = text::dot(&picture.groups[group].name);
                out.add(format_args!("label=\"{name}\"; labeljust=l; fontname=\"Helvetica\"; fontsize=12;"));
                out.add(format_args!("style=\"rounded,filled\"; color=\"#9e9e9e\"; fillcolor=\"#fafafa\";"));
            }
            Part::Node(index) => out.add(format_args!("n{index} [{}];", attributes(&picture.nodes[index]))),
            Part::Close => {
                out.depth -= 1;
                out.add(format_args!("}}"));
            }
        }
    }
    for line in &picture.lines {
        out.add(format_args!("n{} -> n{}{};", line.from, line.to, line_attributes(line)));
    }
    out.depth = 0;
    out.add(format_args!("}}"));
    out.text
}

/// Text with indented lines.
struct Lines {
    text: String,
    depth: usize,
}

impl Lines {
    fn add(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:1$}{line}", "", self.depth.min(20) * 2);
    }
}

fn attributes(node: &Node) -> String {
    let (fill, border) = node.shape.colours();
    let label = match &node.detail {
        None => format!("\"{}\"", text::dot(&node.name)),
        Some(detail) => {
            let (name, detail) = (text::xml(&node.name), text::xml(detail));
            format!("<{name}<br/><font point-size=\"9\" color=\"#616161\">{detail}</font>>")
        }
    };
    let shape = match node.shape {
        Shape::Start => "shape=ellipse",
        Shape::Stop => "shape=ellipse, peripheries=2",
        Shape::Python | Shape::Status => "shape=box, style=\"rounded,filled\"",
        Shape::Exec => "shape=box",
        Shape::Fork => "shape=trapezium, margin=\"0.02,0.05\"",
        Shape::Join => "shape=invtrapezium, margin=\"0.02,0.05\"",
        Shape::Router => "shape=hexagon, margin=\"0.02,0.05\"",
        Shape::ErrorHandler => "shape=octagon, margin=\"0.02,0.05\"",
        Shape::Port => "shape=ellipse, fontsize=9, width=0.3, height=0.2, margin=\"0.02,0.01\"",
        Shape::Errors => {
            "shape=ellipse, fontsize=9, width=0.3, height=0.2, margin=\"0.02,0.01\", style=\"filled,dashed\""
        }
    };
    let border = if node.bubbles { ERROR_COLOUR } else { border };
    let bubbles = if node.bubbles { ", penwidth=2, tooltip=\"errors bubble\"" } else { "" };
    format!("label={label}, {shape}, fillcolor=\"{fill}\", color=\"{border}\"{bubbles}")
}

fn line_attributes(line: &Line) -> String {
    let mut attributes = Vec::new();
    if let Some(label) = &line.label {
        attributes.push(format!("label=\" {} \"", text::dot(label)));
    }
    if line.error {
        attributes.push(format!("style=dashed, color=\"{ERROR_COLOUR}\""));
    }
    if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) }
}
