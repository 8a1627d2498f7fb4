//! The layout of very large workflows: actors in rows by distance from the start, straight lines, no boxes. Its time is almost linear
//! in the size of the picture.

use super::super::picture::Picture;
use super::{Area, Layout, Point, Sizes, Way};

const MARGIN: f64 = 16.0;
const GAP: f64 = 24.0;
const ROW_GAP: f64 = 60.0;
/// A row that would be wider goes on below.
const WIDEST: f64 = 6000.0;
const SWEEPS: usize = 4;

/// The row of each node: one below the lowest that leads to it, links that close a cycle left aside.
pub(super) fn ranks(picture: &Picture) -> Vec<usize> {
    let next = successors(picture);
    let order = finishing_order(&next);
    let mut place = vec![0; order.len()];
    for (at, &node) in order.iter().enumerate() {
        place[node] = at;
    }
    let mut ranks = vec![0; order.len()];
    // A node finishes after all that it leads to, except around a cycle: from the back, each comes before its successors.
    for &node in order.iter().rev() {
        for &to in next[node].iter().filter(|&&to| place[to] < place[node]) {
            ranks[to] = ranks[to].max(ranks[node] + 1);
        }
    }
    ranks
}

fn successors(picture: &Picture) -> Vec<Vec<usize>> {
    let mut next = vec![Vec::new(); picture.nodes.len()];
    for line in &picture.lines {
        next[line.from].push(line.to);
    }
    next
}

/// The nodes as a depth-first walk leaves them; without recursion, however long the way is.
fn finishing_order(next: &[Vec<usize>]) -> Vec<usize> {
    let mut seen = vec![false; next.len()];
    let mut order = Vec::with_capacity(next.len());
    for first in 0..next.len() {
        let mut way = Vec::new();
        if !std::mem::replace(&mut seen[first], true) {
            way.push((first, 0));
        }
        while let Some((node, taken)) = way.pop() {
            let Some(&to) = next[node].get(taken) else {
                order.push(node);
                continue;
            };
            way.push((node, taken + 1));
            if !std::mem::replace(&mut seen[to], true) {
                way.push((to, 0));
            }
        }
    }
    order
}

pub(super) fn layout(picture: &Picture, sizes: &Sizes, ranks: &[usize]) -> Layout {
    let rows = wrapped(ordered(picture, ranks), sizes);
    let row_width = |row: &[usize]| row.iter().map(|&node| sizes.nodes[node].0 + GAP).sum::<f64>() - GAP;
    let widest = rows.iter().map(|row| row_width(row)).fold(0.0, f64::max);
    let mut nodes = vec![Area::default(); picture.nodes.len()];
    let mut top = MARGIN;
    for row in &rows {
        let height = row.iter().map(|&node| sizes.nodes[node].1).fold(0.0, f64::max);
        let mut left = MARGIN + (widest - row_width(row)) / 2.0;
        for &node in row {
            let size = sizes.nodes[node];
            nodes[node] = Area::around(left + size.0 / 2.0, top + height / 2.0, size);
            left += size.0 + GAP;
        }
        top += height + ROW_GAP;
    }
    let lines = picture.lines.iter().zip(&sizes.labels).map(|(line, &label)| {
        let points = way(&nodes[line.from], &nodes[line.to]);
        let label = line.label.is_some().then(|| {
            let (x, y) = between(points[0], points[1], 0.4);
            Area::around(x, y, label)
        });
        Way { points, label }
    });
    Layout {
        lines: lines.collect(),
        nodes,
        boxes: Vec::new(),
        // Lines that go back up bulge on the right.
        width: widest + 2.0 * MARGIN + 2.0 * GAP,
        height: top - ROW_GAP + MARGIN,
    }
}

/// The rows, each ordered by where its nodes' predecessors and successors stand.
fn ordered(picture: &Picture, ranks: &[usize]) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); ranks.iter().max().map_or(0, |&last| last + 1)];
    for (node, &rank) in ranks.iter().enumerate() {
        rows[rank].push(node);
    }
    let mut neighbours = vec![Vec::new(); ranks.len()];
    for line in &picture.lines {
        neighbours[line.from].push(line.to);
        neighbours[line.to].push(line.from);
    }
    let mut places = vec![0.0; ranks.len()];
    for row in &rows {
        note_places(row, &mut places);
    }
    for sweep in 0..SWEEPS {
        let downwards = sweep % 2 == 0;
        let count = rows.len();
        for at in 0..count {
            let row = &mut rows[if downwards { at } else { count - 1 - at }];
            let mut keyed: Vec<(f64, usize)> = row
                .iter()
                .map(|&node| {
                    let fixed = neighbours[node].iter().filter(|&&other| {
                        if downwards { ranks[other] < ranks[node] } else { ranks[other] > ranks[node] }
                    });
                    let (sum, number) =
                        fixed.fold((0.0, 0.0), |(sum, number), &other| (sum + places[other], number + 1.0));
                    (if number > 0.0 { sum / number } else { places[node] }, node)
                })
                .collect();
            keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
            *row = keyed.into_iter().map(|(_, node)| node).collect();
            note_places(row, &mut places);
        }
    }
    rows
}

/// From 0 at the left end of a row to 1 at its right end.
fn note_places(row: &[usize], places: &mut [f64]) {
    for (at, &node) in row.iter().enumerate() {
        places[node] = (at as f64 + 0.5) / row.len() as f64;
    }
}

fn wrapped(rows: Vec<Vec<usize>>, sizes: &Sizes) -> Vec<Vec<usize>> {
    let mut wrapped = Vec::new();
    for row in rows {
        let mut current = Vec::new();
        let mut width = 0.0;
        for node in row {
            let more = sizes.nodes[node].0 + GAP;
            if width + more > WIDEST && !current.is_empty() {
                wrapped.push(std::mem::take(&mut current));
                width = 0.0;
            }
            width += more;
            current.push(node);
        }
        wrapped.push(current);
    }
    wrapped
}

/// Down from border to border, or in a bow on the right.
fn way(from: &Area, to: &Area) -> Vec<Point> {
    if from.bottom() < to.top {
        return vec![(from.centre().0, from.bottom()), (to.centre().0, to.top)];
    }
    let out = from.right().max(to.right()) + GAP;
    let (from_y, to_y) = (from.centre().1, to.centre().1);
    let to_y = if from == to { to_y - to.height / 4.0 } else { to_y };
    vec![(from.right(), from_y), (out, from_y), (out, to_y), (to.right(), to_y)]
}

fn between(from: Point, to: Point, share: f64) -> Point {
    (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
}
