//! Submodels: ports, nesting, and links that do not care for borders.

use serde_json::json;

use crate::case::{graph, graph_with};
use crate::compare::same;

#[test]
fn a_submodel_between_start_and_stop() {
    same(graph("submodels:One"));
}

#[test]
fn two_submodels_of_one_class_and_one_name() {
    same(graph("submodels:Twice"));
}

#[test]
fn a_submodel_with_nothing_inside_passes_on() {
    same(graph("submodels:Empty"));
}

#[test]
fn three_submodels_deep_left_by_either_port() {
    same(graph("submodels:ThreeDeep"));
    same(graph_with("submodels:ThreeDeep", json!({"value": -1})));
}

#[test]
fn nine_submodels_deep() {
    same(graph("submodels:NineInOne"));
}

#[test]
fn several_entries_and_a_port_with_two_sources() {
    same(graph_with("submodels:EntriesAndAPortWithTwoSources", json!({"value": 1})));
    same(graph_with("submodels:EntriesAndAPortWithTwoSources", json!({"value": 5})));
}

#[test]
fn ports_connected_by_name_and_by_trigger() {
    same(graph("submodels:ConnectedByName"));
}

#[test]
fn a_stop_actor_in_a_submodel_stops_the_workflow() {
    same(graph_with("submodels:StopInside", json!({"value": 1})));
    same(graph_with("submodels:StopInside", json!({"value": 7})));
}

#[test]
fn a_stop_actor_that_belongs_to_nothing_swallows() {
    same(graph("submodels:LostInside"));
}

#[test]
fn links_past_the_ports() {
    same(graph("submodels:PastThePorts"));
}

#[test]
fn names_of_submodels_and_ports_that_the_format_forbids() {
    same(graph("submodels:OddNames"));
}
