//! pypushflow's side: one Python process that runs every graph it is asked for.

use std::io::Write;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Mutex;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::case::Case;
use crate::process::Process;
use crate::python::python;

/// What pypushflow made of a case.
#[derive(Debug, Clone, Deserialize)]
pub struct Reference {
    /// What `Workflow.run` returned, by key; none where it returned `None`.
    #[serde(default)]
    pub output: Option<Map<String, Value>>,
    /// What `Workflow.run` raised.
    #[serde(default)]
    pub raised: Option<String>,
}

impl Reference {
    /// An output value that JSON can say.
    pub fn json(&self, key: &str) -> Option<&Value> {
        self.output.as_ref()?.get(key)?.get("json")
    }

    /// What the graph's last task has seen.
    pub fn described(&self) -> &str {
        self.json("described").and_then(Value::as_str).unwrap_or_else(|| panic!("nothing described: {self:?}"))
    }

    /// The message of the error in the output.
    pub fn error(&self) -> &str {
        self.json("WorkflowException")
            .and_then(|error| error["errorMessage"].as_str())
            .unwrap_or_else(|| panic!("no error in the output: {self:?}"))
    }
}

/// Runs a case in pypushflow.
pub fn reference(case: &Case) -> Reference {
    let (module, class) = case.module_and_class();
    ask(&json!({
        "module": module, "class": class, "inputs": case.inputs, "args": case.args,
        "timeout": case.timeout.unwrap_or(60.0), "pool": case.pool,
    }))
}

/// The names of a dictionary of the tasks, such as `tasks.values:PLAIN`.
pub fn names(dictionary: &str) -> Vec<String> {
    ask(&json!({"names": dictionary}))
}

struct Pypushflow {
    requests: ChildStdin,
    process: Process,
}

fn ask<T: serde::de::DeserializeOwned>(request: &Value) -> T {
    static PROCESS: Mutex<Option<Pypushflow>> = Mutex::new(None);
    let mut kept = PROCESS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // Where a test fails in between there is none, and the next one starts another.
    let mut pypushflow = kept.take().unwrap_or_else(Pypushflow::start);
    let answer = pypushflow.answer(request);
    *kept = Some(pypushflow);
    drop(kept);
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("pypushflow's answer to {request}: {error}: {answer}"))
}

impl Pypushflow {
    fn answer(&mut self, request: &Value) -> String {
        writeln!(self.requests, "{request}")
            .unwrap_or_else(|error| panic!("pypushflow is gone before {request}: {error}"));
        self.process.line()
    }

    /// It ends with its standard input, when the tests end.
    fn start() -> Self {
        let mut command = Command::new(python());
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity/reference.py")).stdin(Stdio::piped());
        let mut process = Process::start(&mut command);
        Pypushflow { requests: process.stdin().expect("a pipe"), process }
    }
}
