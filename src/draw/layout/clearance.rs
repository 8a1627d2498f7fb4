//! Collisions in a picture: crossings, and lines through labels, nodes and titles.

use super::curve::flattened;
use super::{Area, Layout, Point};

/// Minimum distance between a line and other items.
const DISTANCE: f64 = 2.0;

/// Properties that make a picture hard to read, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(in crate::draw) struct Faults {
    /// Number of crossings, and of lines through nodes and labels of others.
    pub(in crate::draw) count: usize,
    /// Total length of all lines.
    length: f64,
}

/// The drawn lines, and the items that they should not touch.
pub(in crate::draw) struct Clearance<'l> {
    layout: &'l Layout,
    ways: Vec<Vec<Point>>,
    /// The rectangle around each way.
    around: Vec<Area>,
}

impl<'l> Clearance<'l> {
    pub(in crate::draw) fn of(layout: &'l Layout) -> Self {
        let ways: Vec<Vec<Point>> = layout.lines.iter().map(|way| flattened(&way.points)).collect();
        let around = ways.iter().map(|way| bounds(way)).collect();
        Clearance { layout, ways, around }
    }

    pub(in crate::draw) fn faults(&self) -> Faults {
        let length = self.ways.iter().flat_map(|way| way.windows(2)).map(|pair| distance(pair[0], pair[1])).sum();
        Faults { count: self.crossings() + self.cut_labels() + self.lines_through_nodes(), length }
    }

    /// How many times lines cross.
    pub(in crate::draw) fn crossings(&self) -> usize {
        let mut count = 0;
        for one in 0..self.ways.len() {
            for other in one + 1..self.ways.len() {
                if overlap(&self.around[one], &self.around[other]) {
                    count += crossings(&self.ways[one], &self.ways[other]);
                }
            }
        }
        count
    }

    /// How many times a line leads through another's label.
    pub(in crate::draw) fn cut_labels(&self) -> usize {
        let labels = self.layout.lines.iter().enumerate().filter_map(|(line, way)| Some((line, way.label?)));
        labels.map(|(own, label)| self.lines_through(&label).filter(|line| *line != own).count()).sum()
    }

    fn lines_through_nodes(&self) -> usize {
        // A line begins and ends at the border of a node.
        let inner = self.layout.nodes.iter().map(|node| node.grown(-2.0 * DISTANCE));
        inner.map(|area| self.lines_through(&area).count()).sum()
    }

    /// The lines that lead through an area.
    pub(in crate::draw) fn lines_through(&self, area: &Area) -> impl Iterator<Item = usize> {
        let ways = self.ways.iter().zip(&self.around).enumerate();
        ways.filter(move |(_, (way, around))| {
            overlap(around, area) && way.windows(2).any(|pair| leads_through(pair[0], pair[1], area))
        })
        .map(|(line, _)| line)
    }

    /// Whether a text can stand there: no line but its own, no node and no label but its own is in its way.
    pub(in crate::draw) fn is_free(&self, area: &Area, own: Option<usize>) -> bool {
        let area = area.grown(DISTANCE);
        let is_foreign = |line: &usize| Some(*line) != own;
        let mut labels = self.layout.lines.iter().enumerate().filter_map(|(line, way)| Some((line, way.label?)));
        self.lines_through(&area).all(|line| !is_foreign(&line))
            && !self.layout.nodes.iter().any(|node| overlap(node, &area))
            && !labels.any(|(line, label)| is_foreign(&line) && overlap(&label, &area))
    }

    /// A place for a line's label where nothing is in its way, as near to its present one as there is.
    pub(super) fn place_for_label(&self, line: usize) -> Option<Area> {
        let label = self.layout.lines[line].label?;
        // A bow can be so flat that the place that was kept for its label is beside it.
        if self.is_free(&label, Some(line)) && self.lines_through(&label).any(|through| through == line) {
            return None;
        }
        let (centre, size) = (label.centre(), (label.width, label.height));
        let mut places: Vec<Area> = self.ways[line].iter().map(|&(x, y)| Area::around(x, y, size)).collect();
        places.sort_by(|one, other| distance(one.centre(), centre).total_cmp(&distance(other.centre(), centre)));
        places.into_iter().find(|place| self.is_free(place, Some(line)))
    }
}

fn distance(one: Point, other: Point) -> f64 {
    let (x, y) = (one.0 - other.0, one.1 - other.1);
    (x * x + y * y).sqrt()
}

fn bounds(way: &[Point]) -> Area {
    let start = (f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY);
    let (left, top, right, bottom) = way
        .iter()
        .fold(start, |(left, top, right, bottom), &(x, y)| (left.min(x), top.min(y), right.max(x), bottom.max(y)));
    Area { left, top, width: right - left, height: bottom - top }
}

fn overlap(one: &Area, other: &Area) -> bool {
    one.left <= other.right() && other.left <= one.right() && one.top <= other.bottom() && other.top <= one.bottom()
}

/// How many times two ways cross. That they touch, where they leave the same point, is no crossing.
fn crossings(one: &[Point], other: &[Point]) -> usize {
    let pairs = one.windows(2).flat_map(|a| other.windows(2).map(move |b| (a, b)));
    pairs.filter(|(a, b)| cross((a[0], a[1]), (b[0], b[1]))).count()
}

fn cross((a, b): (Point, Point), (c, d): (Point, Point)) -> bool {
    let side = |p: Point, q: Point, r: Point| (q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0);
    let (c_side, d_side) = (side(a, b, c), side(a, b, d));
    let (a_side, b_side) = (side(c, d, a), side(c, d, b));
    c_side * d_side < 0.0 && a_side * b_side < 0.0
}

/// Whether a straight line leads through an area (Liang and Barsky's clipping).
fn leads_through(from: Point, to: Point, area: &Area) -> bool {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut enters, mut leaves) = (0.0_f64, 1.0_f64);
    for (step, room) in
        [(-dx, from.0 - area.left), (dx, area.right() - from.0), (-dy, from.1 - area.top), (dy, area.bottom() - from.1)]
    {
        if step == 0.0 {
            if room < 0.0 {
                return false;
            }
        } else if step < 0.0 {
            enters = enters.max(room / step);
        } else {
            leaves = leaves.min(room / step);
        }
    }
    enters <= leaves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_and_what_a_line_leads_through_are_seen() {
        let layout = Layout {
            lines: [vec![(0.0, 0.0), (10.0, 10.0)], vec![(0.0, 10.0), (10.0, 0.0)], vec![(0.0, 0.0), (10.0, 2.0)]]
                .into_iter()
                .map(|points| super::super::Way { points, label: None })
                .collect(),
            ..Layout::default()
        };
        let clearance = Clearance::of(&layout);
        // The first two, and the last two: the first and the last only leave the same point.
        assert_eq!(clearance.crossings(), 2);
        let through = |x: f64, y: f64| clearance.lines_through(&Area::around(x, y, (1.0, 1.0))).collect::<Vec<_>>();
        assert_eq!(through(5.0, 5.0), [0, 1]);
        assert_eq!(through(9.0, 5.0), [0; 0]);
        assert!(clearance.is_free(&Area::around(20.0, 5.0, (4.0, 4.0)), None));
    }
}
