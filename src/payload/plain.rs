//! Values that Rust and Python both know: None, bool, numbers, strings, lists, tuples, dicts. JSON to pickle and back.

use super::{Look, Value};

/// What a router may know of a value.
pub fn look(value: &Value) -> Look {
    let _ = value;
    Look::Other { truthy: true, text: None }
}

/// `{"errorMessage": …, "traceBack": […]}`.
pub fn error_summary(message: &str, traceback: &[String]) -> Value {
    let _ = (message, traceback);
    Value::from_pickle(Vec::new(), None)
}
