//! Values that travel keep their Python type, bit for bit.

use serde_json::json;

use crate::case::graph_with;
use crate::compare::{Ends, all_same, same, same_and_ends};

fn carried(group: &str) {
    same(graph_with("values:GroupCarried", json!({"group": group})));
}

#[test]
fn plain_values() {
    carried("plain");
}

#[test]
fn containers_with_shared_and_cyclic_parts() {
    carried("containers");
}

#[test]
fn values_of_the_standard_library() {
    carried("library");
}

#[test]
fn instances_of_user_classes() {
    carried("classes");
}

#[test]
fn arrays_and_numbers_of_numpy() {
    carried("numpy");
}

#[test]
fn every_group_through_a_join() {
    all_same(
        ["plain", "containers", "library", "classes", "numpy"]
            .map(|group| graph_with("values:GroupThroughAJoin", json!({"group": group}))),
    );
}

#[test]
fn inputs_are_what_python_makes_of_json() {
    let inputs = json!({
        "null": null, "yes": true, "int": -3, "big": 12345678901234567890123u128, "float": 2.0, "tiny": 5e-324,
        "minus_zero": -0.0, "text": "ü 🎉 \u{0} \n", "list": [1, [2, {}]], "dict": {"b": {"a": []}}, "": "empty key",
    });
    same(graph_with("values:Inputs", inputs));
}

#[test]
fn what_a_task_does_to_its_input_stays_with_it() {
    let inputs = json!({"items": [1], "mapping": {}});
    same(graph_with("values:Mutated", inputs.clone()));
    same(graph_with("values:MutatedInOneBranch", inputs.clone()));
    same(graph_with("values:MutatedAndReturned", inputs));
}

#[test]
fn a_task_may_write_into_the_arrays_that_it_gets() {
    let arrays = ["array_float", "array_large", "array_strided", "array_fortran", "array_0d", "array_read_only"];
    all_same(arrays.map(|array| graph_with("values:WrittenArray", json!({"make": array}))));
}

#[test]
fn a_run_that_takes_too_long_has_no_output() {
    same_and_ends(graph_with("values:Sleeping", json!({"seconds": 3})).timeout(1.0), Ends::AtTheTimeout);
}

#[test]
fn what_has_arrived_before_the_timeout_is_the_output() {
    let case = graph_with("values:SleepingAfterAnArrival", json!({"seconds": 4})).timeout(2.0);
    same_and_ends(case, Ends::AtTheTimeout);
}
