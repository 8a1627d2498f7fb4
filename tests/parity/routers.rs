//! Which port a value opens.

use serde_json::{Value, json};

use crate::case::graph_with;
use crate::compare::{all_same, same};

fn made_by_a_task(names: &[&str]) {
    all_same(names.iter().map(|name| graph_with("routers:OnATasksValue", json!({"make": name}))));
}

fn inputs(values: Value) {
    let Value::Array(values) = values else { panic!("a list") };
    all_same(values.into_iter().map(|value| graph_with("routers:OnAnInput", json!({"value": value}))));
}

#[test]
fn none_and_its_two_words_open_null() {
    inputs(json!([null, "None", "null", "NULL", "none"]));
    made_by_a_task(&["none", "null_enum"]);
}

#[test]
fn booleans_and_their_words_open_true_and_false() {
    inputs(json!([true, false, "true", "false", "True", "False"]));
    made_by_a_task(&["boolean_true", "boolean_false", "true_enum"]);
}

#[test]
fn a_text_opens_the_port_of_that_text() {
    inputs(json!(["word", "Word", "", " word", "1", "other", "took_null"]));
    made_by_a_task(&["empty_text", "text_subclass", "word_enum", "word_enum_of_another_name", "numpy_text"]);
}

#[test]
fn a_number_opens_the_port_of_an_equal_number() {
    inputs(json!([1, 1.0, 2, 2.0, 2.5, 0, -1, 1e300]));
    made_by_a_task(&["one", "two", "float_one", "float_two", "int_enum", "int_subclass", "beyond_64_bits", "nan"]);
}

#[test]
fn numbers_of_numpy_open_the_port_of_an_equal_number() {
    made_by_a_task(&["numpy_int", "numpy_float", "numpy_uint8"]);
}

#[test]
fn exact_numbers_of_the_library_open_the_port_of_an_equal_number() {
    made_by_a_task(&["decimal_two", "fraction_two", "complex_two", "decimal", "fraction", "complex"]);
}

#[test]
fn everything_else_opens_other() {
    inputs(json!([{}, {"value": "word"}]));
    made_by_a_task(&["tuple", "empty_tuple", "bytes", "datetime", "path", "frozenset", "instance", "class"]);
}

#[test]
fn a_missing_item_opens_other() {
    same(graph_with("routers:OnAnInput", json!({})));
}

#[test]
fn a_position_may_decide() {
    for value in [json!(null), json!(true), json!(1), json!("word"), json!({})] {
        same(graph_with("routers:OnAPosition", json!({})).args(json!([0, value])));
    }
    same(graph_with("routers:OnAPosition", json!({})).args(json!([0])));
}

#[test]
fn without_other_a_known_value_finds_its_port() {
    same(graph_with("routers:WithoutOther", json!({"make": "one"})));
}

#[test]
fn several_actors_on_a_port_are_all_triggered() {
    same(graph_with("routers:SeveralOnAPort", json!({"value": "word"})));
    same(graph_with("routers:SeveralOnAPort", json!({"value": "none of them"})));
}

#[test]
fn routers_follow_each_other() {
    for go_on in [json!(true), json!(false), json!("true")] {
        same(graph_with("routers:OneAfterAnother", json!({"value": "word", "go_on": go_on})));
    }
    same(graph_with("routers:OneAfterAnother", json!({"value": "?", "go_on": 1})));
}

#[test]
fn a_port_that_leads_nowhere_is_no_port() {
    same(graph_with("routers:PortNobodyIsLinkedOn", json!({"value": "word"})));
    same(graph_with("routers:PortNobodyIsLinkedOn", json!({"value": "text"})));
}
