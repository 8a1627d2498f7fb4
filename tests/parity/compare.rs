//! Runs a case in both and says where they differ.

use serde_json::Value;

use crate::case::Case;
use crate::here::{Here, here};
use crate::reference::{Reference, reference};

/// How the run is to end here: pypushflow has no such word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Finished.
    Well,
    /// In error: an error handler was reached, or nobody handled an error.
    InError,
    /// At its timeout.
    AtTheTimeout,
}

impl Ends {
    fn exit(self) -> i32 {
        match self {
            Ends::Well => 0,
            Ends::InError => 1,
            Ends::AtTheTimeout => 124,
        }
    }
}

/// The outputs are the same, value by value, and the run finishes here.
pub fn same(case: Case) {
    same_and_ends(case, Ends::Well);
}

/// The outputs are the same, value by value, and the run ends so here.
pub fn same_and_ends(case: Case, ends: Ends) {
    let differences = differences(&case, ends);
    assert!(differences.is_empty(), "{differences}");
}

/// The outputs of many cases are the same; all those that differ are named.
pub fn all_same(cases: impl IntoIterator<Item = Case>) {
    let found: Vec<String> =
        cases.into_iter().map(|case| differences(&case, Ends::Well)).filter(|found| !found.is_empty()).collect();
    assert!(found.is_empty(), "{} differ:\n{}", found.len(), found.join("\n"));
}

/// Where the two differ; empty if they do not.
fn differences(case: &Case, ends: Ends) -> String {
    let (there, here) = (reference(case), here(case));
    let mut found = output_differences(&there, &here.output);
    if here.exit != ends.exit() {
        found.push(format!("exit status {} where {ends:?} was expected", here.exit));
    }
    if found.is_empty() {
        return String::new();
    }
    format!("{} {:?} {:?}\n  {}\nit said:\n{}", case.graph, case.inputs, case.args, found.join("\n  "), here.said)
}

fn output_differences(there: &Reference, here: &Value) -> Vec<String> {
    if let Some(raised) = &there.raised {
        return vec![format!("pypushflow raised {raised}")];
    }
    let (there, here) = match (&there.output, here) {
        (None, Value::Null) => return Vec::new(),
        (Some(there), Value::Object(here)) => (there, here),
        (there, here) => return vec![format!("the output is {here}, in pypushflow {there:?}")],
    };
    let mut found = Vec::new();
    for key in there.keys().filter(|key| !here.contains_key(*key)) {
        found.push(format!("{key} is missing"));
    }
    for key in here.keys().filter(|key| !there.contains_key(*key)) {
        found.push(format!("{key} is not in pypushflow's output"));
    }
    for (key, value) in here.iter().filter(|(key, _)| there.contains_key(*key)) {
        // What JSON cannot say is compared in what the last task described.
        match there.get(key).and_then(|said| said.get("json")) {
            Some(expected) if key == "described" => found.extend(line_differences(expected, value)),
            Some(expected) if key == "WorkflowException" => {
                let (expected, value) = (error_essence(expected), error_essence(value));
                if expected != value {
                    found.push(format!("the error is {value:?}, in pypushflow {expected:?}"));
                }
            }
            Some(expected) if expected != value => found.push(format!("{key} is {value}, in pypushflow {expected}")),
            Some(_) => {}
            None => found.extend(wrong_type(key, &there[key]["type"], value)),
        }
    }
    found
}

/// What JSON has no form for says its Python type.
fn wrong_type(key: &str, expected: &Value, here: &Value) -> Option<String> {
    let expected = expected.as_str().unwrap_or_default();
    let said = here.get("$type")?.as_str()?;
    let is_right = said == expected.strip_prefix("builtins.").unwrap_or(expected);
    (!is_right).then(|| format!("{key} is written as {here}, in pypushflow it is a {expected}"))
}

/// An error without the frames of whoever ran the task.
fn error_essence(error: &Value) -> Option<(&Value, Option<&str>)> {
    let lines = error.get("traceBack")?.as_array()?;
    Some((error.get("errorMessage")?, lines.last().and_then(Value::as_str).map(str::trim_end)))
}

fn line_differences(there: &Value, here: &Value) -> Vec<String> {
    let lines = |value: &Value| -> Vec<String> { value.as_str().unwrap_or("").lines().map(String::from).collect() };
    let (there, here) = (lines(there), lines(here));
    let missing = there.iter().filter(|line| !here.contains(line)).map(|line| format!("pypushflow: {line}"));
    let added = here.iter().filter(|line| !there.contains(line)).map(|line| format!("      here: {line}"));
    missing.chain(added).collect()
}

/// Runs a case in both, for tests of what differs on purpose.
pub fn both(case: Case) -> (Reference, Here) {
    (reference(&case), here(&case))
}
