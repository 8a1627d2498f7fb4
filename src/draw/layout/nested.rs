//! dagre's layout: layers, few crossings, boxes around submodels, room for the labels of lines.

use dagre::graph::{Graph, GraphOptions};
use dagre::layout::types::LabelPos;
use dagre::{EdgeLabel, GraphLabel, LayoutOptions, NodeLabel};

use super::super::picture::{Line, Picture, Shape};
use super::clearance::{Clearance, Faults};
use super::{Area, Layout, Point, Sizes, Way};

const MARGIN: f64 = 16.0;
/// For so long a line keeps its direction at its ends.
const UPRIGHT: f64 = 10.0;

/// The best of several layouts: how many lines cross depends on the order in which dagre gets to know them.
pub(super) fn layout(picture: &Picture, sizes: &Sizes, tries: usize) -> Layout {
    let aside = aside(picture);
    let mut best: Option<(Faults, Layout)> = None;
    for attempt in 0..tries.max(1) {
        let mut graph = graph(picture, sizes, &aside, &order_of_lines(picture.lines.len(), attempt));
        let options = LayoutOptions {
            nodesep: 36.0,
            edgesep: 18.0,
            ranksep: 44.0,
            marginx: MARGIN,
            marginy: MARGIN,
            tie_keep_first: attempt % 4 >= 2,
            ..LayoutOptions::default()
        };
        dagre::layout(&mut graph, Some(options));
        let layout = read(picture, sizes, &graph);
        if tries == 1 {
            return layout;
        }
        let faults = Clearance::of(&layout).faults();
        if best.as_ref().is_none_or(|(least, _)| faults < *least) {
            best = Some((faults, layout));
        }
        if faults.count == 0 {
            break;
        }
    }
    best.map(|(_, layout)| layout).unwrap_or_default()
}

/// The lines in their own order, backwards, and then in orders that are mixed up, always in the same way.
fn order_of_lines(count: usize, attempt: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    if attempt == 1 {
        order.reverse();
    } else if attempt > 1 {
        let mut number = attempt as u64;
        order.sort_by_cached_key(|_| {
            // Knuth's generator (MMIX).
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            number >> 32
        });
    }
    order
}

/// The nodes that only errors lead to: they handle errors.
fn aside(picture: &Picture) -> Vec<bool> {
    let mut aside = vec![true; picture.nodes.len()];
    let mut todo: Vec<usize> =
        (0..picture.nodes.len()).filter(|&node| picture.nodes[node].shape == Shape::Start).collect();
    let mut next = vec![Vec::new(); picture.nodes.len()];
    for line in picture.lines.iter().filter(|line| !line.error) {
        next[line.from].push(line.to);
    }
    while let Some(node) = todo.pop() {
        if std::mem::replace(&mut aside[node], false) {
            todo.extend(&next[node]);
        }
    }
    aside
}

/// How much a line is to be short and straight. The normal course of things comes first. What handles an error stands near to
/// what it is for: that it leads on to the end counts least.
fn weight(line: &Line, aside: &[bool]) -> i32 {
    match (line.error, aside[line.from], aside[line.to]) {
        (true, ..) => 2,
        (false, true, false) => 1,
        (false, true, true) => 4,
        (false, false, _) => 6,
    }
}

fn node_name(index: usize) -> String {
    format!("n{index}")
}

fn group_name(index: usize) -> String {
    format!("g{index}")
}

fn graph(picture: &Picture, sizes: &Sizes, aside: &[bool], order: &[usize]) -> Graph<NodeLabel, EdgeLabel> {
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
    for &index in order {
        let line = &picture.lines[index];
        let (width, height) = sizes.labels[index];
        let label = EdgeLabel {
            width,
            height,
            weight: weight(line, aside),
            labelpos: LabelPos::Center,
            ..EdgeLabel::default()
        };
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
