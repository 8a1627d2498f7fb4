//! Every kind of actor, and how payloads become arguments.

use serde_json::json;

use crate::case::{graph, graph_with};
use crate::compare::{Ends, same, same_and_ends};

#[test]
fn the_inputs_go_straight_from_start_to_stop() {
    same(graph_with("actors:StraightThrough", json!({"a": null, "b": [1, {"c": 2.5}], "ünï 🎉": "text"})));
}

#[test]
fn a_task_is_called_with_its_inputs_as_keywords() {
    same(graph_with("actors:OneTask", json!({"name": "World", "greeting": "Good day,"})));
}

#[test]
fn a_positional_input_is_a_positional_argument() {
    same(graph_with("actors:OneTask", json!({})).args(json!(["World"])));
}

#[test]
fn positional_and_named_inputs_go_together() {
    same(graph_with("actors:Positional", json!({"named": true})).args(json!(["a", null, {"x": 1}, [2]])));
}

#[test]
fn a_gap_between_positions_is_filled_with_none() {
    same(graph_with("actors:PositionsFromATask", json!({})));
}

#[test]
fn ten_tasks_follow_each_other() {
    same(graph("actors:TenInARow"));
}

#[test]
fn results_replace_inputs_of_the_same_name() {
    same(graph_with("actors:ResultsReplaceInputs", json!({"who": "nobody", "first": [], "kept": 1})));
}

#[test]
fn a_task_without_arguments_gets_none() {
    same(graph_with("actors:NoArguments", json!({})));
}

#[test]
fn every_kind_of_actor_in_one_graph() {
    same_and_ends(graph("actors:EveryKind"), Ends::InError);
}

#[test]
fn a_status_without_a_word_passes_on() {
    same(graph("actors:StatusWithoutAWord"));
}

#[test]
fn names_are_any_text() {
    same(graph("actors:UnicodeNames"));
}

#[test]
fn names_that_the_format_forbids_are_replaced() {
    same(graph("actors:NamesThatTheFormatForbids"));
}

#[test]
fn several_actors_may_have_one_name() {
    same(graph("actors:SameNames"));
}

#[test]
fn keys_are_any_text() {
    same(graph("actors:OddKeys"));
}

#[test]
fn keys_keep_their_order() {
    same(graph_with("actors:OrderOfKeys", json!({"z": 1, "a": 2, "m": 3})));
}

#[test]
fn actors_without_a_parent_work_as_well() {
    same(graph("actors:WithoutParents"));
}

#[test]
fn a_link_that_was_made_twice_triggers_twice() {
    same(graph("actors:LinkedTwice"));
}

#[test]
fn a_fork_to_twenty_and_a_join_of_them() {
    same(graph("actors:ForkOfTwenty"));
}

#[test]
fn a_script_without_an_ending_is_the_package() {
    same(graph("actors:ScriptWithoutAnEnding"));
}

#[test]
fn subclasses_of_actors_are_what_they_derive_from() {
    same(graph("actors:Subclassed"));
}

#[test]
fn further_start_actors_pass_on_and_further_stop_actors_swallow() {
    same(graph("actors:SeveralStartsAndStops"));
}

#[test]
fn without_an_arrival_at_stop_there_is_no_output() {
    same(graph("actors:NobodyStops"));
}

#[test]
fn the_default_pool_may_be_named() {
    same(graph_with("actors:OneTask", json!({"name": "World"})).pool("process"));
}
