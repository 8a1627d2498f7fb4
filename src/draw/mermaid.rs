//! Pictures in Mermaid, which GitLab, GitHub and many wikis render in text.

use std::fmt::Write;

use super::picture::{ERROR_COLOUR, Line, Node, Part, Picture, Shape};
use super::text;
use crate::graph::Workflow;

/// The workflow as a Mermaid flowchart.
pub fn mermaid(workflow: &Workflow) -> String {
    let picture = Picture::of(workflow);
    let mut lines = vec!["flowchart TD".to_owned()];
    let mut depth = 1;
    for part in picture.outline() {
        if part == Part::Close {
            depth -= 1;
        }
        let text = match part {
            Part::Open(group) => format!("subgraph g{group}[\"{}\"]", text::mermaid(&picture.groups[group].name)),
            Part::Node(index) => node(index, &picture.nodes[index]),
            Part::Close => "end".to_owned(),
        };
        lines.push(format!("{:1$}{text}", "", depth.min(20) * 2));
        if matches!(part, Part::Open(_)) {
            depth += 1;
        }
    }
    lines.extend(picture.lines.iter().map(|line| format!("  {}", link(line))));
    lines.extend(styles(&picture));
    lines.join("\n") + "\n"
}

fn node(index: usize, node: &Node) -> String {
    let mut label = text::mermaid(&node.name);
    if let Some(detail) = &node.detail {
        // Writing to a string cannot fail.
        let _ = write!(label, "<br/><small>{}</small>", text::mermaid(detail));
    }
    let (open, close) = match node.shape {
        Shape::Start | Shape::Port | Shape::Errors => ("([", "])"),
        Shape::Stop => ("(((", ")))"),
        Shape::Python | Shape::Status => ("(", ")"),
        Shape::Exec => ("[", "]"),
        Shape::Fork => ("[/", "\\]"),
        Shape::Join => ("[\\", "/]"),
        Shape::Router => ("{{", "}}"),
        Shape::ErrorHandler => ("[[", "]]"),
    };
    format!("n{index}{open}\"{label}\"{close}")
}

fn link(line: &Line) -> String {
    let arrow = if line.error { "-.->" } else { "-->" };
    match &line.label {
        Some(label) => format!("n{} {arrow}|\"{}\"| n{}", line.from, text::mermaid(label), line.to),
        None => format!("n{} {arrow} n{}", line.from, line.to),
    }
}

/// Colours: a class for each shape that occurs, a class for bubbling, and error links by number.
fn styles(picture: &Picture) -> Vec<String> {
    let mut styles = Vec::new();
    let list = |wanted: &dyn Fn(&Node) -> bool| {
        let found = picture.nodes.iter().enumerate().filter(|(_, node)| wanted(node));
        found.map(|(index, _)| format!("n{index}")).collect::<Vec<_>>().join(",")
    };
    for shape in Shape::ALL {
        let nodes = list(&|node| node.shape == shape);
        if !nodes.is_empty() {
            let (fill, border) = shape.colours();
            let class = format!("{shape:?}").to_lowercase();
            styles.push(format!("  classDef {class} fill:{fill},stroke:{border},color:#000"));
            styles.push(format!("  class {nodes} {class}"));
        }
    }
    let bubbling = list(&|node| node.bubbles);
    if !bubbling.is_empty() {
        styles.push(format!("  classDef bubbles stroke:{ERROR_COLOUR},stroke-width:2px"));
        styles.push(format!("  class {bubbling} bubbles"));
    }
    let errors = picture.lines.iter().enumerate().filter(|(_, line)| line.error);
    let errors = errors.map(|(index, _)| index.to_string()).collect::<Vec<_>>().join(",");
    if !errors.is_empty() {
        styles.push(format!("  linkStyle {errors} stroke:{ERROR_COLOUR},color:{ERROR_COLOUR}"));
    }
    styles
}
