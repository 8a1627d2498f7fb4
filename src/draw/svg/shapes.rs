//! The outlines of nodes, and the space for their texts.

use super::super::layout::Area;
use super::super::picture::{Node, Shape};
use super::super::text;
use super::{DETAIL, NAME};

/// How far the sloping sides of hexagons and trapezia reach inwards.
const SLOPE: f64 = 14.0;

/// Width and height of a node.
pub(super) fn size(node: &Node) -> (f64, f64) {
    let name = text::width(&node.name) * name_size(node.shape);
    let detail = node.detail.as_ref().map_or(0.0, |detail| text::width(detail) * DETAIL);
    let around = match node.shape {
        Shape::Port | Shape::Errors => 14.0,
        Shape::Fork | Shape::Join | Shape::Router => 2.0 * SLOPE + 8.0,
        _ => 20.0,
    };
    let height = match (node.shape, &node.detail) {
        (Shape::Port | Shape::Errors, _) => 18.0,
        (_, None) => 28.0,
        (_, Some(_)) => 40.0,
    };
    (name.max(detail) + around, height)
}

/// The font size of the name.
pub(super) fn name_size(shape: Shape) -> f64 {
    match shape {
        Shape::Port | Shape::Errors => 10.0,
        _ => NAME,
    }
}

/// The outline as an SVG element.
pub(super) fn outline(shape: Shape, area: &Area, style: &str) -> String {
    match shape {
        Shape::Start | Shape::Port | Shape::Errors => rounded(area, area.height / 2.0, style),
        Shape::Stop => {
            let inner =
                Area { left: area.left + 3.0, top: area.top + 3.0, width: area.width - 6.0, height: area.height - 6.0 };
            rounded(area, area.height / 2.0, style) + &rounded(&inner, inner.height / 2.0, style)
        }
        Shape::Python => rounded(area, 8.0, style),
        Shape::Status => rounded(area, area.height / 2.0, style),
        Shape::Exec => rounded(area, 0.0, style),
        Shape::Fork => polygon(area, [SLOPE, SLOPE / 2.0, 0.0], style),
        Shape::Join => polygon(area, [0.0, SLOPE / 2.0, SLOPE], style),
        Shape::Router => polygon(area, [SLOPE, 0.0, SLOPE], style),
        Shape::ErrorHandler => octagon(area, style),
    }
}

/// A polygon whose sides are that far inside at its top, its middle and its bottom.
fn polygon(area: &Area, inside: [f64; 3], style: &str) -> String {
    let [top, middle, bottom] = inside;
    let (left, right) = (area.left, area.right());
    let y = area.centre().1;
    points(
        &[
            (left + top, area.top),
            (right - top, area.top),
            (right - middle, y),
            (right - bottom, area.bottom()),
            (left + bottom, area.bottom()),
            (left + middle, y),
        ],
        style,
    )
}

fn octagon(area: &Area, style: &str) -> String {
    let cut = 8.0;
    let (left, right, top, bottom) = (area.left, area.right(), area.top, area.bottom());
    points(
        &[
            (left + cut, top),
            (right - cut, top),
            (right, top + cut),
            (right, bottom - cut),
            (right - cut, bottom),
            (left + cut, bottom),
            (left, bottom - cut),
            (left, top + cut),
        ],
        style,
    )
}

fn points(points: &[(f64, f64)], style: &str) -> String {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    format!("<polygon points=\"{}\" {style}/>", points.join(" "))
}

fn rounded(area: &Area, radius: f64, style: &str) -> String {
    let Area { left, top, width, height } = area;
    format!(
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius:.1}\" {style}/>"
    )
}
