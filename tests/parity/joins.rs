//! Joins: how many arrivals they take, and in which order they merge.

use serde_json::json;

use crate::case::{graph, graph_with};
use crate::compare::{Ends, same, same_and_ends};

#[test]
fn a_join_of_two() {
    same(graph("joins:OfTwo"));
}

#[test]
fn a_join_of_three() {
    same(graph("joins:OfThree"));
}

#[test]
fn a_join_of_one_passes_on() {
    same(graph("joins:OfOne"));
}

#[test]
fn what_arrives_later_wins_and_keys_keep_the_place_of_the_first() {
    same(graph("joins:InOrderOfArrival"));
}

#[test]
fn a_loop_makes_the_arrivals_of_one_link() {
    same(graph_with("joins:OfALoop", json!({"value": 0, "limit": 2})));
}

#[test]
fn a_join_that_never_gets_enough_never_fires() {
    same(graph("joins:NeverFull"));
}

#[test]
fn router_ports_and_error_links_count_as_links() {
    same(graph("joins:OnRoutersAndErrors"));
}

#[test]
fn joins_follow_each_other() {
    same(graph("joins:OneAfterAnother"));
}

#[test]
fn a_join_behind_two_ports_of_a_submodel() {
    same_and_ends(graph("joins:InASubmodel"), Ends::Well);
}
