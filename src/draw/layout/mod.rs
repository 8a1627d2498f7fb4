//! The layout of an SVG picture, in pixels from the top left corner.
//!
//! dagre lays out workflows of usual size. Very large ones are laid out in rows, because dagre would take minutes.

mod clearance;
mod curve;
mod nested;
mod rows;

pub(super) use clearance::Clearance;
pub(super) use curve::pieces;

use super::picture::Picture;

/// Above it, a picture is laid out in rows. The unit is about one node or one row that a line passes; dagre takes one
/// or two seconds for so many.
const MOST_FOR_DAGRE: usize = 2500;

/// Pictures up to this size are laid out several times, and the best one is taken; larger ones less often.
const MOST_FOR_TRIES: usize = 1200;
const MOST_TRIES: usize = 8;

/// Maximum depth of boxes. Deeper ones would consist of borders only.
const DEEPEST_FOR_DAGRE: usize = 20;

/// The layout.
#[derive(Default)]
pub(super) struct Layout {
    /// Where each node of the picture stands.
    pub(super) nodes: Vec<Area>,
    /// The way of each line, from border to border.
    pub(super) lines: Vec<Way>,
    /// The boxes, from the outside in, with the group that each is for.
    pub(super) boxes: Vec<(usize, Area)>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    pub(super) fn around(x: f64, y: f64, (width, height): (f64, f64)) -> Self {
        Area { left: x - width / 2.0, top: y - height / 2.0, width, height }
    }

    pub(super) fn centre(&self) -> Point {
        (self.left + self.width / 2.0, self.top + self.height / 2.0)
    }

    /// The same with so much more on each side.
    fn grown(&self, by: f64) -> Self {
        Area {
            left: self.left - by,
            top: self.top - by,
            width: (self.width + 2.0 * by).max(0.0),
            height: (self.height + 2.0 * by).max(0.0),
        }
    }

    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

pub(super) type Point = (f64, f64);

/// The way of a line, and where its label is.
#[derive(Debug, Clone, Default)]
pub(super) struct Way {
    pub(super) points: Vec<Point>,
    pub(super) label: Option<Area>,
}

/// The sizes of texts.
pub(super) struct Sizes {
    /// Width and height of each node.
    pub(super) nodes: Vec<(f64, f64)>,
    /// Width and height of each line's label; zero without one.
    pub(super) labels: Vec<(f64, f64)>,
}

/// Lays out a picture.
pub(super) fn layout(picture: &Picture, sizes: &Sizes) -> Layout {
    let ranks = rows::ranks(picture);
    let effort = effort(picture, &ranks);
    if effort <= MOST_FOR_DAGRE && depth(picture) <= DEEPEST_FOR_DAGRE {
        let tries = (MOST_FOR_TRIES / effort.max(1)).clamp(1, MOST_TRIES);
        let mut layout = nested::layout(picture, sizes, tries);
        make_room_for_labels(&mut layout);
        layout
    } else {
        rows::layout(picture, sizes, &ranks)
    }
}

/// Moves labels along their lines to where no other line is in their way.
fn make_room_for_labels(layout: &mut Layout) {
    for line in 0..layout.lines.len() {
        if layout.lines[line].label.is_some()
            && let Some(place) = Clearance::of(layout).place_for_label(line)
        {
            layout.lines[line].label = Some(place);
        }
    }
}

/// What dagre has to do: it puts a point wherever a line or a box passes a row.
fn effort(picture: &Picture, ranks: &[usize]) -> usize {
    let lines: usize = picture.lines.iter().map(|line| ranks[line.from].abs_diff(ranks[line.to]).max(1)).sum();
    let boxes = picture.groups.len() - 1;
    picture.nodes.len() + lines + 4 * boxes
}

fn depth(picture: &Picture) -> usize {
    // A scope stands after the one around it.
    let mut depths = vec![0; picture.groups.len()];
    for (index, group) in picture.groups.iter().enumerate() {
        depths[index] = group.parent.map_or(0, |parent| depths[parent] + 1);
    }
    depths.into_iter().max().unwrap_or(0)
}
