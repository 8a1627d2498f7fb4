//! dagre's layout: layers, few crossings, boxes around submodels, room for the labels of lines.

use dagre::graph::{Graph, GraphOptions};
use dagre::layout::types::LabelPos;
use dagre::{EdgeLabel, GraphLabel, LayoutOptions, NodeLabel};

use super::super::picture::Picture;
use super::{Area, Layout, Point, Sizes, Way};

const MARGIN: f64 = 16.0;
/// For so long a line keeps its direction at its ends.
const UPRIGHT: f64 = 10.0;

pub(super) fn layout(picture: &Picture, sizes: &Sizes) -> Layout {
    let mut graph = graph(picture, sizes);
    let options = LayoutOptions {
        nodesep: 36.0,
        edgesep: 18.0,
        ranksep: 44.0,
        marginx: MARGIN,
        marginy: MARGIN,
        ..LayoutOptions::default()
    };
    dagre::layout(&mut graph, Some(options));
    read(picture, sizes, &graph)
}

fn node_name(index: usize) -> String {
    format!("n{index}")
}

fn group_name(index: usize) -> String {
    format!("g{index}")
}

fn graph(picture: &Picture, sizes: &Sizes) -> Graph<NodeLabel, EdgeLabel> {
    let mut graph = Graph::with_options(GraphOptions { directed: true, multigraph: true, compound: true });
    // In the order of the actors: cycles are broken where a walk from the first node comes back.
    for (index, &(width, height)) in sizes.nodes.iter().enumerate() {
        graph.set_node(node_name(index), Some(NodeLabel { width, height, ..NodeLabel::default() }));
    }
    let boxes: Vec<usize> = picture.boxes().collect();
    for &group in &boxes {
        graph.set_node(group_name(group), Some(NodeLabel::default()));
    }
    for &group in &boxes {
        if let Some(parent) = picture.groups[group].parent.filter(|&parent| parent != 0) {
            graph.set_parent(&group_name(group), Some(&group_name(parent)));
        }
    }
    for (index, node) in picture.nodes.iter().enumerate().filter(|(_, node)| node.group != 0) {
        graph.set_parent(&node_name(index), Some(&group_name(node.group)));
    }
    for (index, line) in picture.lines.iter().enumerate() {
        let (width, height) = sizes.labels[index];
        // Error links give way: the normal course of things is what should be straight.
        let weight = if line.error { 1 } else { 3 };
        let label = EdgeLabel { width, height, weight, labelpos: LabelPos::Center, ..EdgeLabel::default() };
        graph.set_edge(node_name(line.from), node_name(line.to), Some(label), Some(&index.to_string()));
    }
    graph
}

fn read(picture: &Picture, sizes: &Sizes, graph: &Graph<NodeLabel, EdgeLabel>) -> Layout {
    let area = |name: &str| {
        let node = graph.node(name).map(|node| (node.x, node.y, node.width, node.height));
        let (x, y, width, height) = node.unwrap_or_default();
        Area::around(x.unwrap_or_default(), y.unwrap_or_default(), (width, height))
    };
    let ways = picture.lines.iter().enumerate().map(|(index, line)| {
        let edge = graph.edge(&node_name(line.from), &node_name(line.to), Some(&index.to_string()));
        let (from, to) = (area(&node_name(line.from)), area(&node_name(line.to)));
        edge.map_or_else(Way::default, |edge| Way {
            points: docked(edge.points.iter().map(|point| (point.x, point.y)).collect(), &from, &to),
            label: edge
                .x
                .zip(edge.y)
                .filter(|_| line.label.is_some())
                .map(|(x, y)| Area::around(x, y, sizes.labels[index])),
        })
    });
    let size = graph.graph_label::<GraphLabel>().map(|label| (label.width, label.height));
    let (width, height) = size.unwrap_or_default();
    Layout {
        nodes: (0..picture.nodes.len()).map(|index| area(&node_name(index))).collect(),
        lines: ways.collect(),
        boxes: picture.boxes().map(|group| (group, area(&group_name(group)))).collect(),
        width,
        height,
    }
}

/// Lets a line leave and arrive at the upper and lower border of its nodes, and upright: from their sides its way would
/// lead through the neighbours in the same row.
fn docked(points: Vec<Point>, from: &Area, to: &Area) -> Vec<Point> {
    let [_, inner @ .., _] = points.as_slice() else { return points };
    let (Some(&second), Some(&last_but_one)) = (inner.first(), inner.last()) else { return points };
    match (dock(from, second), dock(to, last_but_one)) {
        (Some([from, off]), Some([to, before])) => [&[from, off], inner, &[before, to]].concat(),
        // A line from a node to itself.
        _ => points,
    }
}

/// Where a line from there meets the upper or lower border, and a point just off it.
fn dock(area: &Area, outside: Point) -> Option<[Point; 2]> {
    let inset = area.width / 5.0;
    let x = outside.0.clamp(area.left + inset, area.right() - inset);
    if outside.1 > area.bottom() {
        Some([(x, area.bottom()), (x, area.bottom() + UPRIGHT)])
    } else if outside.1 < area.top {
        Some([(x, area.top), (x, area.top - UPRIGHT)])
    } else {
        None
    }
}
