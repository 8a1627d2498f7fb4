//! pypushflow's own test workflows, converted from where pypushflow has them.

use serde_json::json;

use crate::case::graph_with;
use crate::compare::{Ends, same, same_and_ends};

#[test]
fn workflow_1_one_task() {
    same(graph_with("pypushflow.tests.test_workflow1:Workflow1", json!({"name": "Jerry"})));
}

#[test]
fn workflow_2_an_error() {
    same(graph_with("pypushflow.tests.test_workflow2:Workflow2", json!({"name": "Tom"})));
}

#[test]
fn workflow_3_a_submodel() {
    same(graph_with("pypushflow.tests.test_workflow3:Workflow3", json!({"name": "Cat"})));
}

#[test]
fn workflow_4_an_error_in_a_submodel() {
    same(graph_with("pypushflow.tests.test_workflow4:Workflow4", json!({"name": "Dog"})));
}

#[test]
fn workflow_5_a_long_task_and_a_timeout() {
    let workflow = "pypushflow.tests.test_workflow5:Workflow5";
    same_and_ends(graph_with(workflow, json!({"name": "Dog", "sleep": 3})).timeout(1.0), Ends::AtTheTimeout);
    same(graph_with(workflow, json!({"name": "Dog", "sleep": 1})).timeout(30.0));
}

#[test]
fn workflow_6_tasks_around_a_submodel() {
    same(graph_with("pypushflow.tests.test_workflow6:Workflow6", json!({"value": 1})));
}

#[test]
fn workflow_10_a_cycle() {
    same(graph_with("pypushflow.tests.test_workflow10:Workflow10", json!({"value": 1, "limit": 10})));
}

#[test]
fn workflow_11_twenty_triggers_of_one_actor() {
    // Its last task counts in a variable that pypushflow's test makes: outside of that test all twenty fail.
    same_and_ends(graph_with("pypushflow.tests.test_workflow11:Workflow11", json!({"value": 1})), Ends::InError);
}

#[test]
fn workflow_sleep_three_tasks() {
    same(graph_with("pypushflow.tests.test_stop_workflow:WorkflowSleep", json!({"sleep_time": 0, "counter": 0})));
}
