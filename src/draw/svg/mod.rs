//! Pictures in SVG.

mod shapes;

use std::fmt::Write;

use super::layout::{Area, Clearance, Layout, Point, Sizes, layout, pieces};
use super::picture::{ERROR_COLOUR, Line, Node, Picture, Shape};
use super::text;
use crate::graph::Workflow;

const NAME: f64 = 13.0;
const DETAIL: f64 = 10.5;
const LABEL: f64 = 11.0;
const TITLE: f64 = 16.0;
const BOX_NAME: f64 = 12.0;
const LINE_COLOUR: &str = "#546e7a";
const MARGIN: f64 = 16.0;

/// The workflow as an SVG document.
pub fn svg(workflow: &Workflow) -> String {
    let (picture, layout) = laid_out(workflow);
    Drawing::new(&picture, &layout).finish()
}

/// A picture and its layout.
pub(super) fn laid_out(workflow: &Workflow) -> (Picture, Layout) {
    let picture = Picture::of(workflow);
    let sizes = Sizes {
        nodes: picture.nodes.iter().map(shapes::size).collect(),
        labels: picture.lines.iter().map(label_size).collect(),
    };
    let layout = layout(&picture, &sizes);
    (picture, layout)
}

fn label_size(line: &Line) -> (f64, f64) {
    line.label.as_ref().map_or((0.0, 0.0), |label| (text::width(label) * LABEL + 8.0, LABEL + 6.0))
}

/// The document.
struct Drawing {
    body: String,
}

impl Drawing {
    fn new(picture: &Picture, layout: &Layout) -> Self {
        let head = head_height(picture);
        let legend = legend(picture);
        let foot = if legend.is_empty() { 0.0 } else { 24.0 };
        let texts = [text::width(&picture.title) * TITLE, description_width(picture), legend_width(&legend)];
        let width = texts.into_iter().fold(layout.width, |width, text| width.max(text + 2.0 * MARGIN));
        let height = head + layout.height + foot;
        let mut drawing = Drawing { body: String::new() };
        drawing.open(&picture.title, width, height);
        drawing.heading(picture);
        // A narrow picture is centred below its title.
        let left = (width - layout.width) / 2.0;
        drawing.add(format_args!("<g transform=\"translate({left:.1} {head:.1})\">"));
        drawing.boxes(layout);
        for (line, way) in picture.lines.iter().zip(&layout.lines) {
            drawing.line(line, &way.points);
        }
        drawing.box_names(picture, layout);
        for (line, way) in picture.lines.iter().zip(&layout.lines) {
            if let (Some(label), Some(area)) = (&line.label, &way.label) {
                drawing.label(label, area, line.error);
            }
        }
        for (node, area) in picture.nodes.iter().zip(&layout.nodes) {
            drawing.node(node, area);
        }
        drawing.add(format_args!("</g>"));
        drawing.legend(&legend, height - 12.0);
        drawing.add(format_args!("</svg>"));
        drawing
    }

    fn finish(self) -> String {
        self.body
    }

    fn add(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.body, "{line}");
    }

    fn open(&mut self, title: &str, width: f64, height: f64) {
        self.add(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"Helvetica, Arial, sans-serif\">"
        ));
        self.add(format_args!("<title>{}</title>", text::xml(title)));
        self.add(format_args!("<defs>"));
        for (id, colour) in [("arrow", LINE_COLOUR), ("error-arrow", ERROR_COLOUR)] {
            self.add(format_args!(
                "<marker id=\"{id}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" \
                 markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 1L10 5L0 9z\" fill=\"{colour}\"/></marker>"
            ));
        }
        self.add(format_args!("</defs>"));
        self.add(format_args!("<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>"));
    }

    fn heading(&mut self, picture: &Picture) {
        let title = text::xml(&picture.title);
        self.add(format_args!(
            "<text x=\"{MARGIN}\" y=\"26\" font-size=\"{TITLE}\" font-weight=\"bold\">{title}</text>"
        ));
        if let Some(description) = &picture.description {
            let description = text::xml(description);
            self.add(format_args!(
                "<text x=\"{MARGIN}\" y=\"45\" font-size=\"12\" fill=\"#616161\">{description}</text>"
            ));
        }
    }

    fn boxes(&mut self, layout: &Layout) {
        for (_, Area { left, top, width, height }) in &layout.boxes {
            self.add(format_args!(
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"8\" \
                 fill=\"#607d8b\" fill-opacity=\"0.06\" stroke=\"#9e9e9e\"/>"
            ));
        }
    }

    /// The names of the boxes, where no line comes in.
    fn box_names(&mut self, picture: &Picture, layout: &Layout) {
        if layout.boxes.is_empty() {
            return;
        }
        let clearance = Clearance::of(layout);
        for (group, area) in &layout.boxes {
            let name = text::fitted(&picture.groups[*group].name, (area.width - 16.0) / BOX_NAME);
            let Area { left: x, top: back, width: room, .. } =
                place_for_name(area, text::width(&name) * BOX_NAME, &clearance);
            let (y, name) = (back + BOX_NAME, text::xml(&name));
            self.add(format_args!(
                "<rect x=\"{x:.1}\" y=\"{back:.1}\" width=\"{room:.1}\" height=\"16\" fill=\"#f5f7f8\" fill-opacity=\"0.9\"/>"
            ));
            self.add(format_args!(
                "<text class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{BOX_NAME}\" font-style=\"italic\" fill=\"#455a64\">{name}</text>"
            ));
        }
    }

    fn line(&mut self, line: &Line, points: &[Point]) {
        let (colour, dashes, arrow) = if line.error {
            (ERROR_COLOUR, " stroke-dasharray=\"5 3\"", "error-arrow")
        } else {
            (LINE_COLOUR, "", "arrow")
        };
        let path = curve(points);
        self.add(format_args!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\"{dashes} marker-end=\"url(#{arrow})\"/>"
        ));
    }

    fn label(&mut self, label: &str, area: &Area, error: bool) {
        let Area { left, top, width, height } = area;
        self.add(format_args!(
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"3\" fill=\"#ffffff\" fill-opacity=\"0.9\"/>"
        ));
        let (x, y) = area.centre();
        let (y, colour) = (y + LABEL * 0.35, if error { ERROR_COLOUR } else { "#37474f" });
        let label = text::xml(label);
        self.add(format_args!(
            "<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{LABEL}\" text-anchor=\"middle\" fill=\"{colour}\">{label}</text>"
        ));
    }

    fn node(&mut self, node: &Node, area: &Area) {
        let (fill, border) = node.shape.colours();
        let (border, width) = if node.bubbles { (ERROR_COLOUR, 2.0) } else { (border, 1.2) };
        let dashes = if node.shape == Shape::Errors { " stroke-dasharray=\"3 2\"" } else { "" };
        let style = format!("fill=\"{fill}\" stroke=\"{border}\" stroke-width=\"{width}\"{dashes}");
        self.add(format_args!("<g><title>{}</title>", text::xml(&node.path)));
        self.add(format_args!("{}", shapes::outline(node.shape, area, &style)));
        let (x, y) = area.centre();
        let size = shapes::name_size(node.shape);
        let name_y = if node.detail.is_some() { y - 2.0 } else { y + size * 0.35 };
        let name = text::xml(&node.name);
        self.add(format_args!(
            "<text class=\"name\" x=\"{x:.1}\" y=\"{name_y:.1}\" font-size=\"{size}\" text-anchor=\"middle\">{name}</text>"
        ));
        if let Some(detail) = &node.detail {
            let (y, detail) = (y + DETAIL + 2.0, text::xml(detail));
            self.add(format_args!(
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{DETAIL}\" text-anchor=\"middle\" fill=\"#616161\">{detail}</text>"
            ));
        }
        self.add(format_args!("</g>"));
    }

    fn legend(&mut self, entries: &[(Sign, &'static str)], y: f64) {
        let mut x = MARGIN;
        for (sign, meaning) in entries {
            let (middle, top) = (y - 3.5, y - 9.0);
            match sign {
                Sign::ErrorLink => self.add(format_args!(
                    "<path d=\"M{x:.1} {middle:.1}h24\" stroke=\"{ERROR_COLOUR}\" stroke-width=\"1.3\" \
                     stroke-dasharray=\"5 3\" marker-end=\"url(#error-arrow)\"/>"
                )),
                Sign::Bubbles => self.add(format_args!(
                    "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"24\" height=\"11\" rx=\"3\" fill=\"none\" \
                     stroke=\"{ERROR_COLOUR}\" stroke-width=\"2\"/>"
                )),
            }
            let at = x + 30.0;
            self.add(format_args!(
                "<text x=\"{at:.1}\" y=\"{y:.1}\" font-size=\"{DETAIL}\" fill=\"#616161\">{meaning}</text>"
            ));
            x += entry_width(meaning);
        }
    }
}

/// Where the name of a box stands: in its upper left corner, or else where nothing is in the way along its upper edge or
/// its lower one.
fn place_for_name(area: &Area, width: f64, clearance: &Clearance<'_>) -> Area {
    let usual = Area { left: area.left + 8.0, top: area.top + 4.0, width, height: 16.0 };
    let steps = ((area.width - 16.0 - width) / BOX_NAME).max(0.0) as u32;
    let along =
        |top: f64| (0..=steps).map(move |step| Area { top, left: usual.left + f64::from(step) * BOX_NAME, ..usual });
    let mut places = along(usual.top).chain(along(area.bottom() - 20.0));
    places.find(|place| clearance.is_free(place, None)).unwrap_or(usual)
}

/// An entry of the legend.
enum Sign {
    ErrorLink,
    Bubbles,
}

/// The symbols that occur and need an explanation.
fn legend(picture: &Picture) -> Vec<(Sign, &'static str)> {
    let mut entries = Vec::new();
    if picture.lines.iter().any(|line| line.error) {
        entries.push((Sign::ErrorLink, "taken on an error"));
    }
    if picture.nodes.iter().any(|node| node.bubbles) {
        entries.push((Sign::Bubbles, "its errors bubble to “errors”, here and further out"));
    }
    entries
}

fn entry_width(meaning: &str) -> f64 {
    54.0 + text::width(meaning) * DETAIL
}

fn legend_width(entries: &[(Sign, &'static str)]) -> f64 {
    entries.iter().map(|(_, meaning)| entry_width(meaning)).sum()
}

fn head_height(picture: &Picture) -> f64 {
    if picture.description.is_some() { 52.0 } else { 34.0 }
}

fn description_width(picture: &Picture) -> f64 {
    picture.description.as_ref().map_or(0.0, |description| text::width(description) * 12.0)
}

/// A smooth way along the points.
fn curve(points: &[Point]) -> String {
    let mut path = String::new();
    let Some((&first, rest)) = points.split_first() else { return path };
    // Writing to a string cannot fail, here and below.
    let _ = write!(path, "M{:.1} {:.1}", first.0, first.1);
    let [.., last] = rest else { return path };
    let (begin, pieces) = pieces(points);
    if let Some(begin) = begin {
        let _ = write!(path, "L{:.1} {:.1}", begin.0, begin.1);
    }
    for [p, q, r] in pieces {
        let _ = write!(path, "C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}", p.0, p.1, q.0, q.1, r.0, r.1);
    }
    let _ = write!(path, "L{:.1} {:.1}", last.0, last.1);
    path
}
