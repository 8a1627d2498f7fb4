//! Errors: who takes them, and what they carry.

use serde_json::json;

use crate::case::{graph, graph_with};
use crate::compare::{Ends, all_same, same, same_and_ends};
use crate::reference::names;

/// Exceptions that carry something else here: see `differences.rs`.
const RAISED_OTHERWISE: &[&str] =
    &["unpicklable", "pickled_one_way", "local", "keyboard_interrupt", "system_exit", "exit"];

/// Results that are errors in both, in words of their own, and keys that are none here: see `differences.rs`.
const RETURNED_OTHERWISE: &[&str] = &[
    "keyed",
    "none",
    "list",
    "pairs",
    "text",
    "number",
    "true",
    "set",
    "empty_list",
    "instance",
    "generator",
    "function",
    "unpicklable_value",
    "proxy",
    "tuple_key",
    "none_key",
    "true_key",
    "float_key",
    "bytes_key",
    "enum_key",
];

#[test]
fn an_error_link_gets_the_input_and_the_error() {
    same(graph_with("errors:Caught", json!({"value": 1, "kept": [1, 2]})));
}

#[test]
fn exceptions_keep_their_class_their_arguments_and_their_attributes() {
    let errors = names("tasks.raise_by_name:ERRORS");
    assert!(errors.len() > 15, "{errors:?}");
    let errors = errors.iter().filter(|name| !RAISED_OTHERWISE.contains(&name.as_str()));
    all_same(errors.map(|name| graph_with("errors:RaisedByName", json!({"error": name}))));
}

#[test]
fn an_exception_travels_from_task_to_task() {
    same(graph_with("errors:CarriedThroughTasks", json!({"error": "attributes"})));
    same(graph_with("errors:CarriedThroughTasks", json!({"error": "noted"})));
}

#[test]
fn every_mapping_is_a_result() {
    let results = names("tasks.return_by_name:RESULTS");
    let results = results.iter().filter(|name| !RETURNED_OTHERWISE.contains(&name.as_str()));
    all_same(results.map(|name| graph_with("errors:ReturnedByName", json!({"result": name}))));
}

#[test]
fn a_script_that_cannot_be_imported_is_an_error_of_its_actor() {
    same(graph("errors:BrokenSyntax"));
    same(graph("errors:BrokenImport"));
    same(graph("errors:BrokenConstant"));
    same(graph("errors:NoSuchModule"));
}

#[test]
fn an_error_handler_passes_the_error_on() {
    same_and_ends(graph("errors:ByTheErrorHandler"), Ends::InError);
}

#[test]
fn several_error_links_all_get_the_error() {
    same(graph("errors:SeveralErrorLinks"));
}

#[test]
fn a_task_may_take_an_error_back() {
    same(graph("errors:Recovered"));
}

#[test]
fn an_error_in_the_error_branch_is_an_error_like_any_other() {
    same(graph("errors:ErrorInTheErrorBranch"));
}

#[test]
fn errors_bubble_to_the_workflow() {
    same(graph("errors:ToTheWorkflow"));
    same(graph("errors:StraightToStop"));
}

#[test]
fn an_error_link_does_not_keep_an_error_from_bubbling() {
    same(graph("errors:ErrorLinkAndWorkflow"));
}

#[test]
fn errors_bubble_through_three_submodels() {
    same(graph("errors:BubblingToEveryLevel"));
    same(graph("errors:BubblingToTheTop"));
    same(graph("errors:BubblingToTheMiddle"));
    same(graph("errors:BubblingToTheOutermost"));
}

#[test]
fn errors_may_bubble_past_the_models_around_an_actor() {
    same(graph("errors:Skipping"));
    same(graph("errors:SkippingAScope"));
}

#[test]
fn the_error_actor_of_a_submodel_may_stand_outside() {
    same(graph("errors:OutsideErrorActor"));
}

#[test]
fn an_error_may_leave_a_submodel_by_a_port() {
    same_and_ends(graph("errors:LeavingByAPort"), Ends::InError);
}
