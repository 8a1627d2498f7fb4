//! pypushflow's side: one Python process that runs every graph it is asked for.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::case::Case;
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

struct Process {
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

fn ask<T: serde::de::DeserializeOwned>(request: &Value) -> T {
    static PROCESS: Mutex<Option<Process>> = Mutex::new(None);
    // A test that failed while it held the lock has read its answer, or the process has ended.
    let mut process = PROCESS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let answer = process.get_or_insert_with(Process::start).answer(request).unwrap_or_default();
    if answer.is_empty() {
        *process = None;
        panic!("pypushflow hangs or dies of {request}");
    }
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("pypushflow's answer to {request}: {error}: {answer}"))
}

impl Process {
    fn answer(&mut self, request: &Value) -> std::io::Result<String> {
        let mut answer = String::new();
        writeln!(self.requests, "{request}")?;
        self.answers.read_line(&mut answer)?;
        Ok(answer)
    }

    #[expect(clippy::zombie_processes, reason = "it ends with its standard input, when the tests end")]
    fn start() -> Self {
        let mut process = Command::new(python())
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity/reference.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        Process {
            requests: process.stdin.take().expect("a pipe"),
            answers: BufReader::new(process.stdout.take().expect("a pipe")),
        }
    }
}
