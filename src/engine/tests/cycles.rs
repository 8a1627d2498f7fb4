//! Cycles run in constant memory and do not block the caller.

use std::time::Instant;

use super::bench::{Bench, payload, seconds};
use super::graph::Graph;
use crate::engine::{Effect, Outcome, Run};
use crate::graph::{Kind, OnTimeout, Port};

/// `start` → `r` → `a` → `j` → `r` …, until `x` is true; `a` triggers the join twice, and it waits for both.
fn cycle() -> Graph {
    let mut graph = Graph::new();
    graph.tasks(&["a"]).join("j", 2).router("r", &[(Port::Bool(true), "stop")], Some("a"));
    graph.chain(&["start", "r"]).chain(&["a", "j", "r"]).chain(&["a", "j"]);
    graph
}

/// Goes around so often, and says what the run held at most.
fn go_around(graph: &Graph, times: usize) -> usize {
    let now = Instant::now();
    let mut run = Run::new(graph.build(), None);
    let mut effects = Vec::new();
    run.start(payload(r#"{"x": false}"#), now, &mut effects);
    let (more, done) = (payload(r#"{"x": false}"#), payload(r#"{"x": true}"#));
    let mut most = 0;
    for time in 1..=times {
        let task = effects
            .drain(..)
            .find_map(|effect| if let Effect::Start { task, .. } = effect { Some(task) } else { None });
        let task = task.unwrap();
        run.on_task_started(task, now);
        let result = if time == times { &done } else { &more };
        run.on_task_ended(task, Outcome::Returned(result.clone()), now, &mut effects);
        assert!(effects.len() < 20);
        most = most.max(run.size());
    }
    assert!(matches!(effects.last(), Some(Effect::Ended { output: Some(_), .. })));
    assert_eq!(run.size(), 0);
    most
}

#[test]
fn a_cycle_holds_no_more_after_a_hundred_thousand_times_around_than_after_ten() {
    assert_eq!(go_around(&cycle(), 10), go_around(&cycle(), 100_000));
}

#[test]
fn a_million_times_around_take_seconds() {
    let began = Instant::now();
    go_around(&cycle(), 1_000_000);
    assert!(began.elapsed() < seconds(20), "{:?}", began.elapsed());
}

#[test]
fn one_call_handles_4096_triggers_and_asks_for_the_next() {
    let mut graph = Graph::new();
    graph.add("f", Kind::Fork).chain(&["start", "f", "f"]).run_timeout(seconds(30), OnTimeout::Interrupt);
    let mut bench = Bench::new(&graph);
    let begun = bench.now;
    let triggers = |said: Vec<String>| said.iter().filter(|said| said.ends_with("started)")).count();
    assert_eq!(triggers(bench.start_loudly("{}")), 4096);
    for second in 1..30 {
        assert_eq!(bench.run.next_time(), Some(begun));
        assert_eq!(bench.run.size(), 1);
        let mut effects = Vec::new();
        bench.now = begun + seconds(second);
        bench.run.on_time(bench.now, &mut effects);
        assert_eq!(effects.len(), 2 * 4096);
    }
    assert_eq!(bench.later(seconds(1)), ["ended timeout with nothing"]);
}
