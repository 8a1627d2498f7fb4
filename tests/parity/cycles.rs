//! Cycles.

use serde_json::json;

use crate::case::graph_with;
use crate::compare::same;

#[test]
fn a_cycle_goes_on_until_its_router_says_so() {
    same(graph_with("cycles:Counting", json!({"value": 0, "limit": 25})));
}

#[test]
fn a_cycle_that_ends_at_once() {
    same(graph_with("cycles:Counting", json!({"value": 5, "limit": 1})));
}

#[test]
fn a_cycle_in_a_cycle() {
    same(graph_with("cycles:Nested", json!({"value": 0, "limit": 3, "inner_limit": 4})));
}

#[test]
fn a_cycle_through_a_submodel() {
    same(graph_with("cycles:ThroughASubmodel", json!({"value": 0, "limit": 5})));
}

#[test]
fn an_error_link_may_close_a_cycle() {
    same(graph_with("cycles:ByErrors", json!({"value": 0, "limit": 3})));
}

#[test]
fn a_cycle_through_the_start_actor() {
    same(graph_with("cycles:BackToStart", json!({"value": 0, "limit": 3})));
}
