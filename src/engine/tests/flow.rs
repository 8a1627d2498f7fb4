//! Payloads: links, joins, routers, the stop actor.

use super::bench::{Bench, payload, raised, with_x};
use super::graph::Graph;
use crate::engine::Outcome;
use crate::graph::{Kind, Port};
use crate::payload::{Chunk, Plain, Value};

#[test]
fn inputs_go_from_start_to_every_link() {
    let mut graph = Graph::new();
    graph.tasks(&["a", "b"]).chain(&["start", "a"]).chain(&["start", "b"]);
    let (_, said) = Bench::started(&graph, r#"{"x": 1}"#);
    assert_eq!(said, ["start a {x=1}", "start b {x=1}"]);
}

#[test]
fn a_run_without_tasks_ends_at_once() {
    let mut graph = Graph::new();
    graph.chain(&["start", "stop"]);
    let (mut bench, said) = Bench::started(&graph, r#"{"x": 1}"#);
    assert_eq!(said, ["ended finished with {x=1}"]);
    assert_eq!(bench.next(), None);
    assert!(bench.stop().is_empty() && bench.abort().is_empty() && bench.start("{}").is_empty());
}

#[test]
fn a_run_that_never_reaches_stop_has_no_output() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).chain(&["start", "a"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    assert_eq!(bench.finish("a", "{}"), ["ended finished with nothing"]);
}

#[test]
fn a_result_is_merged_over_the_input_in_its_place() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).chain(&["start", "a", "stop"]);
    let (mut bench, _) = Bench::started(&graph, r#"{"x": 1, "y": 2}"#);
    assert_eq!(bench.finish("a", r#"{"z": 3, "x": 4}"#), ["ended finished with {x=4 y=2 z=3}"]);
}

#[test]
fn triggers_and_tasks_are_told_to_those_who_look_on_but_ports_are_not() {
    let mut graph = Graph::new();
    graph.add("In", Kind::Boundary).add("f", Kind::Fork).tasks(&["a"]).chain(&["start", "In", "f", "a"]);
    let mut bench = Bench::new(&graph);
    let said = bench.start_loudly("{}");
    assert_eq!(
        said,
        ["(start started)", "(start finished)", "(f started)", "(f finished)", "(a started)", "start a {}"]
    );
    bench.begin("a");
    assert_eq!(bench.end("a", Outcome::Returned(payload("{}"))), ["ended finished with nothing"]);
}

#[test]
fn a_second_trigger_of_a_running_actor_is_another_task() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).chain(&["start", "a", "stop"]).chain(&["start", "a"]);
    let (mut bench, said) = Bench::started(&graph, "{}");
    assert_eq!(said, ["start a {}", "start a2 {}"]);
    assert!(bench.finish("a2", r#"{"x": 2}"#).is_empty());
    assert_eq!(bench.finish("a", r#"{"x": 1}"#), ["ended finished with {x=1}"]);
}

#[test]
fn a_join_merges_in_order_of_arrival() {
    let mut graph = Graph::new();
    graph.tasks(&["a", "b"]).join("j", 2).chain(&["start", "a", "j", "stop"]).chain(&["start", "b", "j"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    assert!(bench.finish("b", r#"{"x": "b", "b": 1}"#).is_empty());
    assert_eq!(bench.finish("a", r#"{"x": "a", "a": 1}"#), [r#"ended finished with {x="a" b=1 a=1}"#]);
}

#[test]
fn a_join_in_a_cycle_fires_again() {
    let mut graph = Graph::new();
    graph
        .tasks(&["a", "b", "c"])
        .join("j", 2)
        .chain(&["start", "a", "j", "c"])
        .chain(&["start", "b", "j"])
        .chain(&["c", "a"])
        .chain(&["c", "b"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    for (a, b, c) in [("a", "b", "c"), ("a2", "b2", "c2"), ("a3", "b3", "c3")] {
        assert!(bench.finish(a, r#"{"a": 1}"#).is_empty());
        assert_eq!(bench.finish(b, r#"{"b": 1}"#).len(), 1);
        assert_eq!(bench.finish(c, "{}").len(), 2);
    }
}

#[test]
fn what_a_join_still_waits_for_does_not_keep_the_run() {
    let mut graph = Graph::new();
    graph.join("j", 2).chain(&["start", "j", "stop"]);
    let (bench, said) = Bench::started(&graph, "{}");
    assert_eq!(said, ["ended finished with nothing"]);
    assert_eq!(bench.run.size(), 0);
}

fn routed(value: Option<Plain>) -> String {
    let mut graph = Graph::new();
    let names = ["null", "true", "false", "int", "text", "other"];
    let ports = [Port::Null, Port::Bool(true), Port::Bool(false), Port::Int(1), Port::Text("text".into())];
    graph.tasks(&["a"]).tasks(&names);
    let routes: Vec<_> = ports.into_iter().zip(names).collect();
    graph.router("r", &routes, Some("other")).chain(&["start", "a", "r"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    let said = bench.end("a", Outcome::Returned(value.map(with_x).unwrap_or_default()));
    assert_eq!(said.len(), 1, "{said:?}");
    said[0].split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn a_router_compares_as_python_does() {
    let text = |text: &str| Some(Plain::Text(text.into()));
    for (value, to) in [
        (Some(Plain::None), "null"),
        (text("None"), "null"),
        (text("null"), "null"),
        (Some(Plain::Bool(true)), "true"),
        (Some(Plain::Bool(false)), "false"),
        (text("true"), "true"),
        (Some(Plain::Int(1)), "int"),
        (Some(Plain::Float(1.0)), "int"),
        (text("text"), "text"),
        (text("1"), "other"),
        (text("True"), "other"),
        (text("other"), "other"),
        (Some(Plain::Int(2)), "other"),
        (Some(Plain::Float(1.5)), "other"),
        (Some(Plain::List(vec![])), "other"),
        (None, "other"),
    ] {
        assert_eq!(routed(value.clone()), to, "{value:?}");
    }
}

#[test]
fn a_router_reads_the_pickle_of_a_value_that_came_without_a_look() {
    let mut graph = Graph::new();
    graph.tasks(&["yes"]).router("r", &[(Port::Text("a".into()), "yes")], None).chain(&["start", "r"]);
    let mut bench = Bench::new(&graph);
    let text = Plain::Text("a".into()).to_value();
    let Chunk::Inline(stream) = text.stream() else { panic!("a short text is shared") };
    let value = Value::from_pickle(stream.to_vec(), None);
    assert_eq!(bench.start_with([("x".into(), value)].into_iter().collect()), [r#"start yes {x="a"}"#]);
}

#[test]
fn no_route_is_an_error_of_the_router() {
    let mut graph = Graph::new();
    graph.router("r", &[(Port::Int(1), "stop")], None).chain(&["start", "r"]).on_error("r", "stop");
    let (_, said) = Bench::started(&graph, r#"{"x": 2}"#);
    let message = "x is 2, but the router only has the ports 1 and no port 'other'";
    assert_eq!(said, [format!("r handled NoRoute: {message}"), format!("ended finished with {{x=2 !{message}}}")]);
}

#[test]
fn the_stop_actor_prefers_results_then_the_last_result_then_the_first_error() {
    let output = |arrivals: &[(&str, bool)]| {
        let mut graph = Graph::new();
        for (name, _) in arrivals {
            graph.tasks(&[name]).chain(&["start", name, "stop"]).on_error(name, "stop");
        }
        let (mut bench, _) = Bench::started(&graph, "{}");
        let mut said = Vec::new();
        for (name, good) in arrivals {
            bench.begin(name);
            let result = payload(&format!(r#"{{"x": "{name}"}}"#));
            said = bench.end(name, if *good { Outcome::Returned(result) } else { raised(name) });
        }
        said.pop().unwrap()
    };
    assert_eq!(output(&[("a", true), ("b", true)]), r#"ended finished with {x="b"}"#);
    assert_eq!(output(&[("a", false), ("b", false)]), "ended finished with {!a}");
    assert_eq!(output(&[("a", true), ("b", false)]), r#"ended finished with {x="a"}"#);
    assert_eq!(output(&[("a", false), ("b", true), ("c", false)]), r#"ended finished with {x="b"}"#);
}

#[test]
fn a_status_actor_gives_its_word_and_the_last_word_counts() {
    let mut graph = Graph::new();
    graph.add("s", Kind::Status("one".into())).add("t", Kind::Status("two".into()));
    graph.chain(&["start", "s", "t", "stop"]);
    assert_eq!(Bench::started(&graph, r#"{"x": 1}"#).1, ["ended two with {x=1}"]);
}

#[test]
fn runs_of_one_workflow_share_nothing() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).join("j", 2).chain(&["start", "j", "stop"]).chain(&["start", "a", "j"]);
    let workflow = graph.build();
    let (mut one, mut two) = (Bench::of(workflow.clone(), None), Bench::of(workflow, None));
    one.start(r#"{"x": 1}"#);
    two.start(r#"{"x": 2}"#);
    assert_eq!(two.finish("a", "{}"), ["ended finished with {x=2}"]);
    assert_eq!(one.finish("a", "{}"), ["ended finished with {x=1}"]);
}
