//! Errors: which links they follow, retries, timeouts of tasks.

use super::bench::{Bench, failure, interrupted, payload, seconds};
use super::graph::Graph;
use crate::engine::{FailureKind, Outcome};
use crate::graph::Kind;
use crate::payload::{ERROR_INSTANCE_KEY, Key};

#[test]
fn an_error_goes_to_the_error_links_with_the_input() {
    let mut graph = Graph::new();
    graph.tasks(&["a", "b", "c"]).chain(&["start", "a", "stop"]).on_error("a", "b").on_error("a", "c");
    let (mut bench, _) = Bench::started(&graph, r#"{"x": 1}"#);
    assert_eq!(bench.raise("a", "bad"), ["a handled Raised: bad", "start b {x=1 !bad}", "start c {x=1 !bad}"]);
}

#[test]
fn the_error_payload_holds_the_exception_itself() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).chain(&["start", "a"]).on_error("a", "stop");
    let (mut bench, _) = Bench::started(&graph, "{}");
    bench.begin("a");
    let error = failure(FailureKind::Raised, "bad").error;
    let input = payload(r#"{"x": 1}"#);
    assert!(error.payload(&input).get(&Key::text(ERROR_INSTANCE_KEY)).is_some());
    assert_eq!(bench.raise("a", "bad"), ["a handled Raised: bad", "ended finished with {!bad}"]);
}

#[test]
fn an_unhandled_error_makes_the_run_failed_and_the_rest_goes_on() {
    let mut graph = Graph::new();
    graph.tasks(&["a", "b"]).chain(&["start", "a", "stop"]).chain(&["start", "b", "stop"]);
    let (mut bench, _) = Bench::started(&graph, r#"{"x": 1}"#);
    assert_eq!(bench.raise("a", "bad"), ["a unhandled Raised: bad"]);
    assert_eq!(bench.finish("b", "{}"), ["ended failed with {x=1}"]);
}

#[test]
fn an_error_handler_makes_the_status_error_and_passes_on() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).add("h", Kind::ErrorHandler).add("s", Kind::Status("word".into()));
    graph.chain(&["start", "a"]).on_error("a", "h").chain(&["h", "s", "stop"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    assert_eq!(bench.raise("a", "bad"), ["a handled Raised: bad", "ended error with {!bad}"]);
}

/// `a` stands in `inner` in `outer` in the workflow, each with an error actor.
fn nested() -> Graph {
    let mut graph = Graph::new();
    graph.tasks(&["own", "of_inner", "of_outer", "of_w"]).submodel("outer").submodel("inner").tasks(&["a"]);
    graph.chain(&["start", "a"]);
    graph.scope_on_error("inner", "of_inner").scope_on_error("outer", "of_outer").scope_on_error("w", "of_w");
    graph
}

#[test]
fn a_bubbling_error_goes_to_the_own_links_then_to_each_scope_outwards() {
    let mut graph = nested();
    graph.on_error("a", "own").bubble("a");
    let (mut bench, _) = Bench::started(&graph, "{}");
    assert_eq!(
        bench.raise("a", "bad"),
        [
            "a handled Raised: bad",
            "start own {!bad}",
            "start of_inner {!bad}",
            "start of_outer {!bad}",
            "start of_w {!bad}"
        ]
    );
}

#[test]
fn an_error_that_does_not_bubble_stays() {
    let (mut bench, _) = Bench::started(&nested(), "{}");
    assert_eq!(bench.raise("a", "bad"), ["a unhandled Raised: bad", "ended failed with nothing"]);
}

#[test]
fn an_error_that_bubbles_to_nobody_is_unhandled() {
    let mut graph = Graph::new();
    graph.submodel("inner").tasks(&["a"]).bubble("a").chain(&["start", "a"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    assert_eq!(bench.raise("a", "bad"), ["a unhandled Raised: bad", "ended failed with nothing"]);
}

#[test]
fn errors_of_a_router_bubble_too() {
    let mut graph = Graph::new();
    graph.tasks(&["of_w"]).scope_on_error("w", "of_w").submodel("inner").router("r", &[], None).bubble("r");
    graph.chain(&["start", "r"]);
    let (_, said) = Bench::started(&graph, "{}");
    assert_eq!(said.len(), 2);
    assert!(said[0].starts_with("r handled NoRoute: the payload has no key x"), "{said:?}");
    assert!(said[1].starts_with("start of_w {!the payload"), "{said:?}");
}

#[test]
fn a_failed_task_is_retried_with_a_pause_that_doubles() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).retry("a", 3, seconds(2)).chain(&["start", "a"]).on_error("a", "stop");
    let (mut bench, _) = Bench::started(&graph, r#"{"x": 1}"#);
    for (retry, pause) in [(1, 2), (2, 4), (3, 8)] {
        assert_eq!(bench.raise("a", "bad"), [format!("retry {retry} of a in {pause}s: bad")]);
        assert_eq!(bench.next(), Some(seconds(pause)));
        assert!(bench.later(seconds(pause - 1)).is_empty());
        assert_eq!(bench.later(seconds(1)), ["start a {x=1}"]);
    }
    assert_eq!(bench.raise("a", "worse"), ["a handled Raised: worse", "ended finished with {x=1 !worse}"]);
}

#[test]
fn a_retry_that_succeeds_is_a_success() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).retry("a", 1, seconds(0)).chain(&["start", "a", "stop"]);
    let mut bench = Bench::new(&graph);
    assert_eq!(bench.start_loudly("{}"), ["(start started)", "(start finished)", "(a started)", "start a {}"]);
    assert_eq!(bench.raise("a", "bad"), ["retry 1 of a in 0ns: bad"]);
    assert_eq!(bench.next(), Some(seconds(0)));
    assert_eq!(bench.later(seconds(0)), ["start a {}"]);
    assert_eq!(bench.finish("a", r#"{"x": 1}"#), ["ended finished with {x=1}"]);
}

#[test]
fn the_pause_before_a_retry_stops_growing_at_an_hour() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).retry("a", 40, seconds(1000)).chain(&["start", "a"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    for pause in [1000, 2000].into_iter().chain([3600; 38]) {
        assert_eq!(bench.raise("a", "bad").len(), 1);
        assert_eq!(bench.next(), Some(seconds(pause)));
        bench.later(seconds(pause));
    }
    assert_eq!(bench.raise("a", "bad"), ["a unhandled Raised: bad", "ended failed with nothing"]);
}

#[test]
fn a_pause_beyond_the_clock_is_no_retry() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).retry("a", 5, std::time::Duration::MAX).chain(&["start", "a"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    assert_eq!(bench.raise("a", "bad"), ["a unhandled Raised: bad", "ended failed with nothing"]);
}

#[test]
fn a_lost_worker_is_retried_even_before_the_task_began() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).retry("a", 1, seconds(1)).chain(&["start", "a"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    let lost = || Outcome::Failed(failure(FailureKind::Lost, "lost"));
    assert_eq!(bench.end("a", lost()), ["retry 1 of a in 1s: lost"]);
    bench.later(seconds(1));
    assert_eq!(bench.end("a", lost()), ["a unhandled Lost: lost", "ended failed with nothing"]);
}

fn with_timeout() -> Graph {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).task_timeout("a", seconds(10)).chain(&["start", "a", "stop"]);
    graph
}

#[test]
fn the_timeout_of_a_task_counts_from_its_start_on_a_worker() {
    let (mut bench, _) = Bench::started(&with_timeout(), "{}");
    assert_eq!(bench.next(), None);
    assert!(bench.later(seconds(100)).is_empty());
    bench.begin("a");
    assert_eq!(bench.next(), Some(seconds(10)));
    assert!(bench.later(seconds(9)).is_empty());
    assert_eq!(bench.later(seconds(1)), ["interrupt a"]);
    assert_eq!(bench.next(), None);
    let message = "the task took longer than its timeout of 10s";
    let said = [format!("a unhandled TimedOut: {message}"), "ended failed with nothing".to_owned()];
    assert_eq!(bench.end("a", interrupted()), said);
}

#[test]
fn a_result_that_comes_despite_the_timeout_counts() {
    let (mut bench, _) = Bench::started(&with_timeout(), "{}");
    bench.begin("a");
    bench.later(seconds(11));
    assert_eq!(bench.end("a", Outcome::Returned(payload(r#"{"x": 1}"#))), ["ended finished with {x=1}"]);
}

#[test]
fn a_task_that_raises_its_own_error_at_its_timeout_keeps_it() {
    let (mut bench, _) = Bench::started(&with_timeout(), "{}");
    bench.begin("a");
    bench.later(seconds(11));
    assert_eq!(bench.raise("a", "mine"), ["a unhandled Raised: mine", "ended failed with nothing"]);
}

#[test]
fn a_timeout_is_retried_and_each_attempt_has_the_whole_time() {
    let mut graph = with_timeout();
    graph.retry("a", 1, seconds(5));
    let (mut bench, _) = Bench::started(&graph, "{}");
    bench.begin("a");
    assert_eq!(bench.later(seconds(10)), ["interrupt a"]);
    assert_eq!(bench.end("a", interrupted()).len(), 1);
    assert_eq!(bench.later(seconds(5)), ["start a {}"]);
    bench.begin("a");
    assert_eq!(bench.next(), Some(seconds(10)));
    assert_eq!(bench.later(seconds(10)), ["interrupt a"]);
    assert!(bench.end("a", interrupted())[0].starts_with("a unhandled TimedOut"));
}

#[test]
fn a_task_that_ended_in_time_is_not_interrupted() {
    let mut graph = with_timeout();
    graph.tasks(&["b"]).chain(&["a", "b"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    assert_eq!(bench.finish("a", "{}"), ["start b {}"]);
    assert_eq!(bench.next(), None);
    assert!(bench.later(seconds(100)).is_empty());
}

#[test]
fn words_about_unknown_tasks_and_second_words_are_ignored() {
    let mut graph = with_timeout();
    graph.tasks(&["b"]).retry("a", 1, seconds(5)).chain(&["a", "b", "stop"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    bench.begin("unknown");
    assert!(bench.end("unknown", interrupted()).is_empty());
    bench.begin("a");
    bench.later(seconds(4));
    bench.begin("a");
    assert_eq!(bench.next(), Some(seconds(6)));
    assert_eq!(bench.raise("a", "bad").len(), 1);
    bench.begin("a");
    assert!(bench.raise("a", "again").is_empty());
    assert!(bench.end("a", Outcome::Returned(payload("{}"))).is_empty());
    assert_eq!(bench.later(seconds(5)), ["start a {}"]);
    assert_eq!(bench.finish("a", "{}"), ["start b {}"]);
    assert!(bench.finish("a", "{}").is_empty());
    assert_eq!(bench.finish("b", "{}"), ["ended finished with {}"]);
    assert!(bench.finish("b", "{}").is_empty());
}
