//! Tests of the pictures: what they say in the text formats, and what stands where in SVG.

use std::time::{Duration, Instant};

use insta::assert_snapshot;
use proptest::prelude::*;
use roxmltree::Document;

use super::layout::{Area, Clearance};
use super::samples::{self, START, STOP, Sample};
use super::svg::laid_out;
use super::{dot, mermaid, svg, text};
use crate::graph::{Kind, Port, ScopeId, Workflow};

fn all() -> Vec<Workflow> {
    vec![
        samples::hello(),
        samples::looping(),
        samples::fork_join(),
        samples::nested(),
        samples::data_reduction(),
        samples::many(60),
        long_names(),
    ]
}

/// Names as long as they are shown in full.
fn long_names() -> Workflow {
    let long = |what: &str| format!("{what:x<48}");
    let mut sample = Sample::new(&long("workflow"));
    let (scope, way_in, out) = sample.submodel(ScopeId(0), "a submodel of some length");
    let inner = sample.add_in(scope, &long("inside"), samples::python("inside"));
    let outer = sample.python(&long("outside"));
    let ports = [(Port::Text(long("here").replace("xxxxxxxxxxxx", "")), STOP), (Port::Null, outer)];
    let router = sample.add(&long("router"), samples::router("item", &ports, Some(way_in)));
    sample.chain(&[START, way_in, inner, out, outer, router]);
    sample.0
}

#[test]
fn dot_shows_ports_loops_and_details() {
    assert_snapshot!(dot(&samples::looping()));
}

#[test]
fn dot_shows_submodels_and_where_errors_bubble_to() {
    assert_snapshot!(dot(&samples::nested()));
}

#[test]
fn mermaid_shows_ports_loops_and_details() {
    assert_snapshot!(mermaid(&samples::looping()));
}

#[test]
fn mermaid_shows_submodels_and_where_errors_bubble_to() {
    assert_snapshot!(mermaid(&samples::nested()));
}

#[test]
fn mermaid_shows_forks_and_joins() {
    assert_snapshot!(mermaid(&samples::fork_join()));
}

/// The texts of an SVG picture that must not cover each other, with the room they take.
fn texts(document: &Document<'_>) -> Vec<(String, Area)> {
    let texts = document.descendants().filter(|node| node.has_tag_name("text") && node.has_attribute("class"));
    texts.map(|node| placed(&node)).collect()
}

fn number(node: &roxmltree::Node<'_, '_>, attribute: &str) -> f64 {
    node.attribute(attribute).and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{attribute} of {node:?}"))
}

fn placed(node: &roxmltree::Node<'_, '_>) -> (String, Area) {
    let (text, size) = (node.text().unwrap_or_default().to_owned(), number(node, "font-size"));
    let (x, y) = (number(node, "x"), number(node, "y"));
    let width = text::width(&text) * size;
    let left = if node.attribute("text-anchor") == Some("middle") { x - width / 2.0 } else { x };
    (text, Area { left, top: y - size * 0.8, width, height: size })
}

/// The areas of the nodes, around their names: each is a group with a title.
fn node_areas(document: &Document<'_>) -> Vec<Area> {
    let groups = document
        .descendants()
        .filter(|node| node.has_tag_name("g") && node.children().any(|c| c.has_tag_name("title")));
    groups.map(|group| outline(&group)).collect()
}

fn outline(group: &roxmltree::Node<'_, '_>) -> Area {
    let shape =
        group.children().find(|node| node.has_tag_name("rect") || node.has_tag_name("polygon")).expect("a shape");
    if shape.has_tag_name("rect") {
        let [left, top, width, height] = ["x", "y", "width", "height"].map(|attribute| number(&shape, attribute));
        return Area { left, top, width, height };
    }
    let points =
        shape.attribute("points").expect("points").split([' ', ',']).map(|part| part.parse().expect("a number"));
    let points: Vec<f64> = points.collect();
    let range = |offset: usize| {
        let values = points.iter().skip(offset).step_by(2);
        values.fold((f64::MAX, f64::MIN), |(least, most), &value| (least.min(value), most.max(value)))
    };
    let ((left, right), (top, bottom)) = (range(0), range(1));
    Area { left, top, width: right - left, height: bottom - top }
}

fn overlap(one: &Area, other: &Area) -> bool {
    one.left < other.right() && other.left < one.right() && one.top < other.bottom() && other.top < one.bottom()
}

#[test]
fn svg_names_every_actor_submodel_and_port() {
    for workflow in all() {
        let picture = svg(&workflow);
        let document = Document::parse(&picture).expect("well-formed XML");
        let texts = texts(&document);
        let shown = |wanted: &str| texts.iter().filter(|(text, _)| text == wanted).count();
        for actor in &workflow.actors {
            let namesakes = workflow.actors.iter().filter(|other| other.name == actor.name).count();
            assert_eq!(shown(&actor.name), namesakes, "{}", actor.path);
        }
        for scope in &workflow.scopes[1..] {
            assert_eq!(shown(&scope.name), 1, "{}", scope.path);
        }
    }
    let looping = svg(&samples::looping());
    for label in ["true", "false, nearly", "lost, null", "other"] {
        assert!(looping.contains(&format!(">{label}</text>")), "{label}");
    }
}

#[test]
fn svg_texts_do_not_cover_each_other() {
    for workflow in all() {
        let picture = svg(&workflow);
        let document = Document::parse(&picture).expect("well-formed XML");
        let texts = texts(&document);
        for (at, (one, one_area)) in texts.iter().enumerate() {
            for (other, other_area) in &texts[at + 1..] {
                assert!(!overlap(one_area, other_area), "{one} and {other} in {}", workflow.name);
            }
        }
    }
}

#[test]
fn svg_nodes_stand_apart_and_inside_the_picture() {
    for workflow in all() {
        let picture = svg(&workflow);
        let document = Document::parse(&picture).expect("well-formed XML");
        let (width, height) = (number(&document.root_element(), "width"), number(&document.root_element(), "height"));
        let nodes: Vec<Area> = node_areas(&document);
        for (at, one) in nodes.iter().enumerate() {
            assert!(one.left >= 0.0 && one.top >= 0.0 && one.right() <= width && one.bottom() <= height, "{one:?}");
            assert!(nodes[at + 1..].iter().all(|other| !overlap(one, other)), "{one:?} in {}", workflow.name);
        }
    }
}

/// Names that mean something to one of the formats.
const HOSTILE: [&str; 12] = [
    "a \"quoted\" name",
    "<b>&amp;</b>",
    "back\\slash\\",
    "]]> --> <!--",
    "two\nlines",
    "end",
    "a;b #35; %% {x} |y| `z`",
    "\u{0}\u{1b}[31m",
    "\u{202e}override",
    "日本語のアクター",
    "",
    "'",
];

fn hostile() -> Workflow {
    let mut sample = Sample::new("evil \"name\" <x>");
    sample.0.description = Some("a & b < c".to_owned());
    let mut last = START;
    for name in HOSTILE {
        let (scope, way_in, out) = sample.submodel(ScopeId(0), name);
        let actor = sample.add_in(scope, name, Kind::Status(name.to_owned()));
        sample.chain(&[last, way_in, actor, out]);
        let ports = [(Port::Text(name.to_owned()), STOP)];
        last = sample.add(name, samples::router(name, &ports, None));
        sample.link(out, last);
    }
    sample.0
}

#[test]
fn svg_escapes_any_text() {
    let picture = svg(&hostile());
    let document = Document::parse(&picture).expect("well-formed XML");
    let shown: Vec<String> = texts(&document).into_iter().map(|(text, _)| text).collect();
    for name in [
        "a \"quoted\" name",
        "<b>&amp;</b>",
        "back\\slash\\",
        "]]> --> <!--",
        "two lines",
        "  [31m",
        "日本語のアクター",
    ] {
        assert!(shown.iter().any(|text| text == name), "{name}: {shown:?}");
    }
}

#[test]
fn dot_escapes_any_text() {
    let text = dot(&hostile());
    for line in text.lines() {
        assert_eq!(line.replace("\\\\", "").replace("\\\"", "").matches('"').count() % 2, 0, "open quote: {line}");
        assert!(!line.contains(char::is_control), "{line}");
    }
    assert!(text.contains(r#"label="back\\slash\\""#) && text.contains(r#"label=" <b>&amp;amp;</b> ""#), "{text}");
    assert!(text.contains("<&lt;b&gt;&amp;amp;&lt;/b&gt;<br/>"), "{text}");
}

#[test]
fn mermaid_escapes_any_text() {
    let text = mermaid(&hostile());
    for line in text.lines().filter(|line| line.contains('"')) {
        let (_, rest) = line.split_once('"').expect("a quote");
        let (quoted, _) = rest.rsplit_once('"').expect("a second quote");
        let quoted = quoted.replace("<br/><small>", "").replace("</small>", "");
        assert!(!quoted.contains(['"', '<', '>', '`', '{', '|', '%', '\\', '[']), "{line}");
    }
    assert!(text.contains("subgraph g2[\"#60;b#62;#38;amp#59;#60;/b#62;\"]"), "{text}");
}

#[test]
fn ten_thousand_actors_are_drawn_in_seconds() {
    let chain = {
        let mut sample = Sample::new("chain");
        let mut actors: Vec<_> = (0..10_000).map(|number| sample.python(&format!("actor {number}"))).collect();
        actors.insert(0, START);
        actors.push(STOP);
        sample.chain(&actors);
        sample.0
    };
    let deep = {
        let mut sample = Sample::new("deep");
        let mut scope = ScopeId(0);
        for _ in 0..3000 {
            scope = sample.submodel(scope, "sub").0;
        }
        sample.0
    };
    for workflow in [samples::many(10_000), chain, deep] {
        let begin = Instant::now();
        for picture in [dot(&workflow), mermaid(&workflow), svg(&workflow)] {
            assert!(picture.lines().count() > workflow.actors.len(), "{}", workflow.name);
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{}: {:?}", workflow.name, begin.elapsed());
    }
}

#[test]
fn pictures_of_ordinary_size_do_not_take_long() {
    // Just below the size at which dagre is not asked any more, or about there.
    for actors in [100, 130, 160] {
        let (workflow, begin) = (samples::many(actors), Instant::now());
        svg(&workflow);
        assert!(begin.elapsed() < Duration::from_secs(20), "{actors}: {:?}", begin.elapsed());
    }
}

proptest! {
    #![proptest_config(crate::test_seed::property_test(48))]

    #[test]
    fn any_graph_can_be_drawn(
        scopes in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        actors in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
        links in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 0..40),
        bubbling in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
    ) {
        let mut sample = Sample::new("any");
        for parent in scopes {
            let parent = ScopeId::from(parent.index(sample.0.scopes.len()));
            sample.submodel(parent, "sub");
        }
        let mut ids: Vec<_> = (0..sample.0.actors.len()).map(Into::into).collect();
        for scope in actors {
            let scope = ScopeId::from(scope.index(sample.0.scopes.len()));
            ids.push(sample.add_in(scope, "actor", Kind::Fork));
        }
        for (from, to, error) in links {
            let (from, to) = (*from.get(&ids), *to.get(&ids));
            if error { sample.on_error(from, to) } else { sample.link(from, to) }
        }
        for (scope, to) in bubbling {
            let scope = ScopeId::from(scope.index(sample.0.scopes.len()));
            sample.bubbles_to(scope, *to.get(&ids));
        }
        let picture = svg(&sample.0);
        let document = Document::parse(&picture).expect("well-formed XML");
        prop_assert!(texts(&document).len() >= sample.0.actors.len());
        prop_assert!(!picture.contains("NaN") && !picture.contains("inf"));
        dot(&sample.0);
        mermaid(&sample.0);
    }
}

/// The workflows of `conf/workflows`.
fn examples() -> Vec<Workflow> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/workflows");
    let files = std::fs::read_dir(folder).expect("the examples").map(|entry| entry.expect("a file").path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
    assert!(files.len() > 5, "{files:?}");
    files.iter().map(|file| crate::config::load(file, None).expect("a good file").workflow).collect()
}

/// A long workflow: actors on the way have handlers of their errors, and a submodel near the end leads back.
fn long_with_handlers() -> Workflow {
    let mut sample = Sample::new("long");
    let mut last = START;
    for number in 0..24 {
        let id = sample.python(&format!("step {number}"));
        sample.link(last, id);
        if [4, 9, 15].contains(&number) {
            let handler = sample.python(&format!("{number} failed"));
            sample.on_error(id, handler);
            sample.link(handler, STOP);
        }
        last = id;
    }
    let (scope, way_in, out) = sample.submodel(ScopeId(0), "rebuild");
    let trim = sample.add_in(scope, "trim", samples::python("trim"));
    let refine = sample.python("refine");
    let back = sample.0.actors.iter().position(|actor| actor.name == "step 20").expect("a step").into();
    let ports = [(Port::Bool(false), refine), (Port::Null, way_in), (Port::Bool(true), STOP)];
    let converged = sample.add("converged?", samples::router("converged", &ports, None));
    sample.chain(&[last, refine, converged]);
    sample.chain(&[way_in, trim, out, back]);
    sample.0
}

#[test]
fn no_line_leads_through_the_label_of_another() {
    let workflows = examples().into_iter().chain([samples::looping(), samples::data_reduction(), long_with_handlers()]);
    for workflow in workflows {
        let (_, layout) = laid_out(&workflow);
        assert_eq!(Clearance::of(&layout).cut_labels(), 0, "{}", workflow.name);
    }
}

#[test]
fn no_line_leads_through_the_name_of_a_box() {
    let workflows = examples().into_iter().chain([samples::nested(), samples::many(60), long_with_handlers()]);
    for workflow in workflows {
        let (_, layout) = laid_out(&workflow);
        let clearance = Clearance::of(&layout);
        let picture = svg(&workflow);
        let document = Document::parse(&picture).expect("well-formed XML");
        for name in document.descendants().filter(|node| node.attribute("class") == Some("box")) {
            let (text, area) = placed(&name);
            assert_eq!(clearance.lines_through(&area).count(), 0, "{}: {text}", workflow.name);
        }
    }
}

#[test]
fn lines_that_need_not_cross_do_not() {
    for workflow in examples() {
        let (_, layout) = laid_out(&workflow);
        assert_eq!(Clearance::of(&layout).crossings(), 0, "{}", workflow.name);
    }
}

#[test]
fn what_handles_an_error_stands_near_to_what_it_is_for() {
    let workflow = long_with_handlers();
    let (picture, layout) = laid_out(&workflow);
    for line in picture.lines.iter().filter(|line| line.error) {
        let (from, to) = (layout.nodes[line.from], layout.nodes[line.to]);
        let (down, across) = (to.top - from.bottom(), (to.centre().0 - from.centre().0).abs());
        assert!((0.0..100.0).contains(&down) && across < 300.0, "{}: {down} {across}", picture.nodes[line.to].name);
    }
}
