//! Runs that end early: time limit, stop, abort.

use super::bench::{Bench, interrupted, payload, seconds};
use super::graph::Graph;
use crate::engine::Outcome;
use crate::graph::{Kind, OnTimeout};

/// `running` runs, `queued` waits for a worker, `waiting` for its retry; `late` follows each; errors reach `stop`.
fn busy(graph: &mut Graph) -> Bench {
    let names = ["running", "queued", "waiting"];
    graph.tasks(&names).tasks(&["late"]).retry("waiting", 3, seconds(60)).chain(&["late", "stop"]);
    for name in names {
        graph.chain(&["start", name, "late"]).on_error(name, "stop");
    }
    let (mut bench, _) = Bench::started(graph, r#"{"x": 1}"#);
    bench.raise("waiting", "bad");
    bench.begin("running");
    bench
}

fn timed(then: OnTimeout) -> Graph {
    let mut graph = Graph::new();
    graph.run_timeout(seconds(30), then);
    graph
}

#[test]
fn at_the_timeout_nothing_waits_any_more_and_running_tasks_are_interrupted() {
    let mut bench = busy(&mut timed(OnTimeout::Interrupt));
    assert_eq!(bench.next(), Some(seconds(30)));
    assert_eq!(bench.later(seconds(30)), ["withdraw queued", "interrupt running"]);
    assert_eq!(bench.next(), None);
    let said = bench.end("running", interrupted());
    assert_eq!(said, ["running unhandled Interrupted: interrupted", "ended timeout with nothing"]);
}

#[test]
fn a_run_can_wait_for_its_running_tasks_at_the_timeout() {
    let mut bench = busy(&mut timed(OnTimeout::Wait));
    assert_eq!(bench.later(seconds(31)), ["withdraw queued"]);
    assert_eq!(bench.end("running", Outcome::Returned(payload("{}"))), ["ended timeout with nothing"]);
}

#[test]
fn a_run_without_running_tasks_ends_at_its_timeout_with_what_stop_holds() {
    let mut graph = timed(OnTimeout::Interrupt);
    graph.tasks(&["a"]).chain(&["start", "a"]).chain(&["start", "stop"]);
    let (mut bench, _) = Bench::started(&graph, r#"{"x": 1}"#);
    assert_eq!(bench.later(seconds(30)), ["withdraw a", "ended timeout with {x=1}"]);
}

#[test]
fn withdrawn_tasks_are_over_for_those_who_look_on() {
    let mut graph = timed(OnTimeout::Interrupt);
    graph.tasks(&["a"]).chain(&["start", "a"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    bench.now += seconds(30);
    let mut effects = Vec::new();
    bench.run.on_time(bench.now, &mut effects);
    assert!(format!("{:?}", effects[1]).starts_with("ActorFinished"), "{effects:?}");
    assert_eq!(effects.len(), 3);
}

#[test]
fn the_timeout_given_for_a_run_replaces_the_workflow_s() {
    let graph = busy_once();
    let mut bench = Bench::of(graph.build(), Some(seconds(5)));
    bench.start("{}");
    assert_eq!(bench.next(), Some(seconds(5)));
}

fn busy_once() -> Graph {
    let mut graph = timed(OnTimeout::Interrupt);
    graph.tasks(&["a"]).chain(&["start", "a", "stop"]).on_error("a", "stop");
    graph
}

#[test]
fn a_timeout_beyond_the_clock_is_none() {
    let graph = busy_once();
    let mut bench = Bench::of(graph.build(), Some(std::time::Duration::MAX));
    bench.start("{}");
    assert_eq!(bench.next(), None);
}

#[test]
fn a_task_is_not_retried_after_the_timeout_of_its_run() {
    let mut graph = timed(OnTimeout::Wait);
    graph.tasks(&["a"]).retry("a", 3, seconds(1)).chain(&["start", "a"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    bench.begin("a");
    bench.later(seconds(30));
    assert_eq!(bench.raise("a", "bad"), ["a unhandled Raised: bad", "ended timeout with nothing"]);
}

#[test]
fn a_task_s_own_timeout_still_counts_while_its_run_waits() {
    let mut graph = timed(OnTimeout::Wait);
    graph.tasks(&["a"]).task_timeout("a", seconds(40)).chain(&["start", "a"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    bench.begin("a");
    assert!(bench.later(seconds(30)).is_empty());
    assert_eq!(bench.next(), Some(seconds(10)));
    assert_eq!(bench.later(seconds(10)), ["interrupt a"]);
}

#[test]
fn stop_ends_what_waits_with_errors_that_flow_and_lets_running_tasks_finish() {
    let mut bench = busy(&mut Graph::new());
    assert_eq!(
        bench.stop(),
        ["withdraw queued", "queued handled Stopped: stopped", "waiting handled Stopped: stopped"]
    );
    assert_eq!(bench.next(), None);
    let said = bench.end("running", Outcome::Returned(payload(r#"{"y": 2}"#)));
    assert_eq!(said, ["late unhandled Stopped: stopped", "ended stopped with {x=1 !stopped}"]);
}

#[test]
fn while_stopping_only_tasks_are_refused() {
    let mut graph = Graph::new();
    graph.tasks(&["a", "b"]).add("f", Kind::Fork).chain(&["start", "a", "f", "stop"]).chain(&["f", "b"]);
    graph.on_error("b", "stop");
    let (mut bench, _) = Bench::started(&graph, "{}");
    bench.begin("a");
    assert!(bench.stop().is_empty());
    let said = bench.end("a", Outcome::Returned(payload(r#"{"x": 1}"#)));
    assert_eq!(said, ["b handled Stopped: stopped", "ended stopped with {x=1}"]);
}

#[test]
fn a_task_that_has_not_begun_after_all_waits_again_and_its_time_begins_with_it() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).task_timeout("a", seconds(40)).chain(&["start", "a", "stop"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    bench.begin("a");
    bench.put_back("a");
    assert_eq!(bench.next(), None);
    assert!(bench.later(seconds(30)).is_empty());
    bench.begin("a");
    assert_eq!(bench.next(), Some(seconds(40)));
    bench.put_back("a");
    assert_eq!(bench.stop()[0], "withdraw a");
}

#[test]
fn what_is_interrupted_is_not_put_back() {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).chain(&["start", "a", "stop"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    bench.begin("a");
    assert_eq!(bench.abort(), ["interrupt a"]);
    bench.put_back("a");
    assert_eq!(bench.end("a", interrupted()), ["a unhandled Interrupted: interrupted", "ended aborted with nothing"]);
}

#[test]
fn a_failed_task_is_not_retried_while_stopping() {
    let mut graph = busy_once();
    graph.retry("a", 3, seconds(1));
    let (mut bench, _) = Bench::started(&graph, "{}");
    bench.begin("a");
    bench.stop();
    assert_eq!(bench.raise("a", "bad"), ["a handled Raised: bad", "ended stopped with {!bad}"]);
}

#[test]
fn abort_interrupts_running_tasks_and_their_errors_flow() {
    let mut bench = busy(&mut Graph::new());
    assert_eq!(
        bench.abort(),
        ["withdraw queued", "queued handled Stopped: aborted", "waiting handled Stopped: aborted", "interrupt running"]
    );
    let said = bench.end("running", interrupted());
    assert_eq!(said, ["running handled Interrupted: interrupted", "ended aborted with {x=1 !aborted}"]);
}

#[test]
fn a_result_that_comes_despite_an_abort_flows() {
    let (mut bench, _) = Bench::started(&busy_once(), "{}");
    bench.begin("a");
    assert_eq!(bench.abort(), ["interrupt a"]);
    assert_eq!(bench.end("a", Outcome::Returned(payload(r#"{"x": 1}"#))), ["ended aborted with {x=1}"]);
}

#[test]
fn an_interrupted_task_of_an_aborted_run_is_not_retried() {
    let mut graph = busy_once();
    graph.retry("a", 3, seconds(0)).task_timeout("a", seconds(5));
    let (mut bench, _) = Bench::started(&graph, "{}");
    bench.begin("a");
    bench.abort();
    assert!(bench.later(seconds(5)).is_empty());
    assert_eq!(bench.end("a", interrupted())[0], "a handled Interrupted: interrupted");
}

#[test]
fn an_abort_after_a_stop_escalates_and_again_does_nothing() {
    let mut bench = busy(&mut Graph::new());
    assert_eq!(bench.stop().len(), 3);
    assert!(bench.stop().is_empty());
    assert_eq!(bench.abort(), ["interrupt running"]);
    assert!(bench.abort().is_empty());
    assert!(bench.stop().is_empty());
    assert_eq!(bench.end("running", interrupted())[1], "ended aborted with {x=1 !stopped}");
    assert!(bench.abort().is_empty() && bench.stop().is_empty() && bench.later(seconds(1)).is_empty());
}

#[test]
fn the_timeout_of_a_run_that_is_stopping_interrupts_it() {
    let mut bench = busy(&mut timed(OnTimeout::Interrupt));
    bench.stop();
    assert_eq!(bench.next(), Some(seconds(30)));
    assert_eq!(bench.later(seconds(30)), ["interrupt running"]);
    let said = bench.end("running", interrupted());
    assert_eq!(said, ["running unhandled Interrupted: interrupted", "ended stopped with {x=1 !stopped}"]);
}

#[test]
fn an_abort_interrupts_what_a_timed_out_run_waits_for() {
    let mut bench = busy(&mut timed(OnTimeout::Wait));
    bench.later(seconds(30));
    assert!(bench.stop().is_empty());
    assert_eq!(bench.abort(), ["interrupt running"]);
    assert_eq!(bench.end("running", interrupted())[1], "ended aborted with nothing");
}

#[test]
fn a_task_is_interrupted_once_whatever_the_reasons() {
    let mut graph = timed(OnTimeout::Interrupt);
    graph.tasks(&["a"]).task_timeout("a", seconds(10)).chain(&["start", "a"]).on_error("a", "stop");
    let (mut bench, _) = Bench::started(&graph, "{}");
    bench.begin("a");
    assert_eq!(bench.later(seconds(10)), ["interrupt a"]);
    assert!(bench.abort().is_empty());
    assert!(bench.later(seconds(30)).is_empty());
    assert_eq!(bench.end("a", interrupted()).last().unwrap(), "ended aborted with nothing");
}

#[test]
fn a_stop_error_meets_each_task_actor_on_its_way() {
    let mut graph = Graph::new();
    graph.tasks(&["a", "b", "c"]).chain(&["start", "a"]).on_error("a", "b").on_error("b", "c").on_error("c", "stop");
    let (mut bench, _) = Bench::started(&graph, "{}");
    assert_eq!(
        bench.stop(),
        [
            "withdraw a",
            "a handled Stopped: stopped",
            "b handled Stopped: stopped",
            "c handled Stopped: stopped",
            "ended stopped with {!stopped}"
        ]
    );
}

#[test]
fn every_error_of_its_own_passes_an_actor_while_stopping() {
    let mut graph = Graph::new();
    graph.tasks(&["a", "b"]).join("j", 3).chain(&["a", "b"]).on_error("b", "j").chain(&["j", "stop"]);
    graph.chain(&["start", "a"]).chain(&["start", "a"]).chain(&["start", "a"]);
    let mut said = Vec::new();
    let (mut bench, _) = Bench::started(&graph, "{}");
    for task in ["a", "a2", "a3"] {
        bench.begin(task);
    }
    bench.stop();
    for task in ["a", "a2", "a3"] {
        said = bench.end(task, Outcome::Returned(payload("{}")));
    }
    assert_eq!(said.last().unwrap(), "ended stopped with {!stopped}");
}

#[test]
fn a_stop_ends_although_error_links_go_in_a_circle() {
    let mut graph = Graph::new();
    graph.tasks(&["a", "b"]).chain(&["start", "a"]).on_error("a", "b").on_error("b", "a").on_error("b", "stop");
    let (mut bench, _) = Bench::started(&graph, "{}");
    let said = bench.stop();
    assert_eq!(said.last().unwrap(), "ended stopped with {!stopped}");
}

#[test]
fn a_stop_ends_although_the_actors_that_take_errors_bubble_themselves() {
    let mut graph = Graph::new();
    let error_targets: Vec<String> = (0..20).map(|number| format!("taker{number}")).collect();
    for taker in &error_targets {
        graph.tasks(&[taker]).bubble(taker).scope_on_error("w", taker);
    }
    graph.tasks(&["a"]).bubble("a").chain(&["start", "a"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    let said = bench.stop();
    assert_eq!(said.last().unwrap(), "ended stopped with nothing");
}

#[test]
fn a_stop_ends_although_payloads_go_in_a_circle_without_tasks() {
    let mut graph = Graph::new();
    graph.add("f", Kind::Fork).add("g", Kind::Fork).chain(&["start", "f", "g", "f"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    assert!(bench.later(seconds(1)).is_empty());
    assert_eq!(bench.stop(), ["ended stopped with nothing"]);
}

#[test]
fn errors_that_meet_in_one_actor_while_stopping_all_flow_on() {
    let mut graph = Graph::new();
    graph.tasks(&["a", "b"]).join("j", 3).on_error("a", "b").on_error("b", "j").chain(&["j", "stop"]);
    graph.chain(&["start", "a"]).chain(&["start", "a"]).chain(&["start", "a"]);
    let (mut bench, _) = Bench::started(&graph, "{}");
    assert_eq!(bench.stop().last().unwrap(), "ended stopped with {!stopped}");
}
