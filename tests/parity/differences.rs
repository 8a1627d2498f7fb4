//! What differs from pypushflow on purpose. Each test has a line in `README.md`.

use serde_json::{Value, json};

use crate::case::{graph, graph_with};
use crate::compare::both;

#[test]
fn an_error_that_nobody_handles_fails_the_run() {
    let (there, here) = both(graph("errors:Unhandled"));
    assert_eq!(there.output, None);
    assert_eq!((&here.output, here.exit), (&Value::Null, 1), "{}", here.said);
    assert!(here.said.contains("it failed, as it should"), "{}", here.said);
}

#[test]
fn an_error_that_nobody_handles_in_one_branch_does_not_take_the_others_output() {
    let (there, here) = both(graph("errors:UnhandledBranch"));
    assert_eq!(here.described(), there.described());
    assert_eq!(here.exit, 1, "{}", here.said);
    let (there, here) = both(graph("errors:NotBubbling"));
    assert_eq!(here.described(), there.described());
    assert_eq!(here.exit, 1, "{}", here.said);
}

#[test]
fn a_join_in_a_cycle_fires_again() {
    let (there, here) = both(graph_with("joins:InACycle", json!({"value": 0, "limit": 3})));
    assert_eq!(there.output, None);
    assert_eq!(here.described(), "'go_on': False\n'limit': 3\n'value': 3");
    assert_eq!(here.exit, 0, "{}", here.said);
}

#[test]
fn an_error_of_a_router_is_its_own_and_goes_where_the_errors_of_the_task_before_it_go() {
    let (there, here) = both(graph_with("routers:WithoutOther", json!({"make": "text"})));
    assert!(there.error().contains("No 'other' port for router actor 'router'"), "{}", there.error());
    assert!(!there.described().contains("'value'"), "pypushflow's error has the input of the task before");
    assert!(here.error().contains("router"), "{}", here.error());
    assert!(here.described().contains("'value': 'text with"), "{}", here.described());
    assert_eq!(here.exit, 0, "{}", here.said);
}

#[test]
fn a_router_takes_every_value_that_it_has_no_port_for_to_other() {
    for value in ["list", "set", "array_0d", "array_1", "array_float"] {
        let (there, here) = both(graph_with("routers:OnATasksValue", json!({"make": value})));
        assert_eq!(there.output, None, "{value}");
        assert!(here.described().contains("'took': builtins.tuple('other')"), "{value}: {here:?}");
    }
    let (there, here) = both(graph_with("routers:OnAnInput", json!({"value": [1]})));
    assert_eq!(there.raised.as_deref(), Some("TypeError: unhashable type: 'list'"));
    assert!(here.described().contains("'took': builtins.tuple('other')"), "{here:?}");
}

#[test]
fn a_script_without_a_run_function_is_an_error_of_its_actor() {
    let (there, here) = both(graph("errors:NoRun"));
    assert_eq!(there.raised.as_deref(), Some("AttributeError: module 'tasks.no_run' has no attribute 'run'"));
    assert!(here.error().contains("module 'tasks.no_run' has no function 'run'"), "{here:?}");
    assert_eq!(here.exit, 0, "{}", here.said);
}

#[test]
fn an_exception_that_cannot_be_pickled_keeps_its_message() {
    let errors = [
        ("unpicklable", "it holds a lock", "cannot pickle '_thread.lock' object"),
        ("local", "a class that nobody can import", "Can't pickle local object 'raise_local.<locals>.Local'"),
    ];
    for (error, here_says, there_says) in errors {
        let (there, here) = both(graph_with("errors:RaisedByName", json!({"error": error})));
        assert_eq!(there.error(), there_says);
        assert_eq!(here.error(), here_says, "{}", here.said);
        assert_eq!(here.exit, 0, "{}", here.said);
    }
}

#[test]
fn an_exception_that_cannot_be_unpickled_does_not_end_the_run() {
    let (there, here) = both(graph_with("errors:RaisedByName", json!({"error": "pickled_one_way"})));
    assert_eq!(there.output, None);
    assert_eq!(here.error(), "one and two", "{}", here.said);
}

#[test]
fn a_worker_that_dies_is_an_error_of_its_task() {
    let (there, here) = both(graph_with("errors:RaisedByName", json!({"error": "exit"})));
    assert_eq!(there.output, None);
    assert!(here.error().contains("exit"), "{}", here.error());
    assert_eq!(here.exit, 0, "{}", here.said);
}

#[test]
fn sys_exit_in_a_task_is_an_error_of_the_task() {
    let (there, here) = both(graph_with("errors:RaisedByName", json!({"error": "system_exit"})).timeout(3.0));
    assert_eq!(there.output, None);
    assert!(here.described().contains("SystemExit"), "{here:?}");
    assert_eq!(here.exit, 0, "{}", here.said);
}

#[test]
fn a_keyboard_interrupt_raised_by_a_task_is_an_error_with_its_message() {
    let (there, here) = both(graph_with("errors:RaisedByName", json!({"error": "keyboard_interrupt"})));
    assert_eq!(there.error(), "by the task itself");
    assert_eq!(here.error(), "by the task itself", "{}", here.said);
}

#[test]
fn a_result_that_is_no_mapping_is_an_error_that_names_its_type() {
    let results = [
        ("none", "None"),
        ("list", "list"),
        ("pairs", "list"),
        ("text", "str"),
        ("number", "int"),
        ("true", "bool"),
        ("set", "set"),
        ("empty_list", "list"),
        ("instance", "Plain"),
        ("generator", "generator"),
        ("function", "function"),
    ];
    for (result, kind) in results {
        let (there, here) = both(graph_with("errors:ReturnedByName", json!({"result": result})));
        assert!(there.described().contains("WorkflowException"), "{result}");
        assert!(here.error().contains(kind), "{result}: {}", here.error());
        assert_eq!(here.exit, 0, "{}", here.said);
    }
}

#[test]
fn a_result_that_cannot_be_pickled_is_an_error_of_its_actor() {
    let (there, here) = both(graph_with("errors:ReturnedByName", json!({"result": "unpicklable_value"})));
    assert!(there.error().contains("Can't pickle local object"));
    assert!(here.error().contains("Can't pickle local object"), "{}", here.error());
    assert!(here.error().contains("value"), "the key is not named: {}", here.error());
}

#[test]
fn wrong_arguments_are_an_error_that_names_the_script_and_what_the_payload_has() {
    for (errors, script) in [("errors:MissingArgument", "greet.py"), ("errors:UnexpectedArgument", "nothing.py")] {
        let (there, here) = both(graph(errors));
        let message = here.error();
        assert!(message.starts_with(there.error()), "{message}");
        assert!(message.contains(script) && message.contains("the payload has 'value'"), "{message}");
    }
}

#[test]
fn what_has_keys_and_items_is_a_mapping_also_where_it_cannot_be_asked_for_a_key() {
    let (there, here) = both(graph_with("errors:ReturnedByName", json!({"result": "keyed"})));
    assert_eq!(there.error(), "0");
    assert_eq!(here.described(), "'a': 1\n'b': 2\n'result': 'keyed'");
}

#[test]
fn a_boolean_of_numpy_is_a_boolean_to_a_router() {
    for (value, port) in [("numpy_true", "true"), ("numpy_false", "false")] {
        let (there, here) = both(graph_with("routers:OnATasksValue", json!({"make": value})));
        assert!(!there.described().contains(&format!("'took': builtins.tuple('{port}')")), "{value}");
        assert!(here.described().contains(&format!("'took': builtins.tuple('{port}')")), "{value}: {here:?}");
    }
}

#[test]
fn a_mapping_proxy_is_a_mapping() {
    let (there, here) = both(graph_with("errors:ReturnedByName", json!({"result": "proxy"})));
    assert_eq!(there.error(), "cannot pickle 'mappingproxy' object");
    assert_eq!(here.described(), "'a': 1\n'result': 'proxy'");
}

#[test]
fn a_key_that_is_no_text_and_no_position_is_an_error_of_the_task_that_returned_it() {
    for (result, key) in [("tuple_key", "('a', 1)"), ("none_key", "None"), ("bytes_key", "b'a'")] {
        let (there, here) = both(graph_with("errors:ReturnedByName", json!({"result": result})));
        assert!(there.described().contains("WorkflowException"), "{result}");
        assert!(here.error().contains(&format!("returned the key {key}")), "{result}: {}", here.error());
    }
    let (there, here) = both(graph_with("errors:ReturnedByName", json!({"result": "float_key"})));
    assert!(there.described().contains("WorkflowException"));
    assert_eq!(here.described(), "0: 'zero'\n'result': 'float_key'");
}

#[test]
fn true_as_a_key_is_the_position_that_it_equals() {
    let (there, here) = both(graph_with("errors:ReturnedByName", json!({"result": "true_key"})));
    assert_eq!(there.described(), here.described());
    assert!(there.json("True").is_some() && here.output.get("1").is_some(), "{here:?}");
}

#[test]
fn arrays_keep_their_byte_order_and_their_layout() {
    let (there, here) = both(graph_with("values:Carried", json!({"make": "array_big_endian"})));
    assert!(there.described().contains("'value': numpy.ndarray(<f8,"), "{}", there.described());
    assert!(here.described().contains("'value': numpy.ndarray(>f8,"), "{}", here.described());
    let (there, here) = both(graph_with("values:Carried", json!({"make": "array_transposed"})));
    assert!(there.described().contains("strides=(12, 6, 2)"), "{}", there.described());
    assert!(here.described().contains("strides=(2, 24, 8)"), "{}", here.described());
}

#[test]
fn one_object_under_two_keys_is_two_objects_in_the_next_task() {
    let (there, here) = both(graph_with("values:SameObject", json!({})));
    assert_eq!(there.json("same"), Some(&json!(true)));
    assert_eq!(here.output["same"], json!(false));
}

#[test]
fn an_input_may_have_the_name_that_pypushflows_pool_uses() {
    let (there, here) = both(graph_with("values:Inputs", json!({"fn": 1})));
    assert_eq!(there.output, None);
    assert_eq!(here.described(), "'fn': 1");
}

#[test]
fn an_actor_without_a_script_is_an_error_of_the_actor() {
    let (there, here) = both(graph("errors:ScriptIsMissing"));
    assert_eq!(there.error(), "expected str, bytes or os.PathLike object, not NoneType");
    assert!(here.error().contains("None"), "{}", here.error());
}
