//! This side: a graph is converted once, and run by the real `pushflow`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;

use crate::case::Case;
use crate::process::output;
use crate::python::python;

/// What pushflow made of a case.
#[derive(Debug)]
pub struct Here {
    /// What it printed on standard output.
    pub output: Value,
    /// How it exited.
    pub exit: i32,
    /// What it printed on standard error.
    pub said: String,
}

impl Here {
    /// What the graph's last task has seen.
    pub fn described(&self) -> &str {
        self.output["described"].as_str().unwrap_or_else(|| panic!("nothing described: {self:?}"))
    }

    /// The message of the error in the output.
    pub fn error(&self) -> &str {
        self.output["WorkflowException"]["errorMessage"]
            .as_str()
            .unwrap_or_else(|| panic!("no error in the output: {self:?}"))
    }
}

/// Runs a case with pushflow.
pub fn here(case: &Case) -> Here {
    let workflow = converted(case);
    let folder = tempfile::tempdir().expect("a folder");
    let inputs = folder.path().join("inputs.json");
    fs::write(&inputs, Value::from(case.inputs.clone()).to_string()).expect("inputs can be written");
    let mut command = pushflow(folder.path());
    command.arg("run").arg(&workflow).arg("--inputs").arg(&inputs);
    for argument in &case.args {
        command.arg("--arg").arg(argument.to_string());
    }
    if let Some(timeout) = case.timeout {
        command.arg("--timeout").arg(timeout.to_string());
    }
    if let Some(pool) = case.pool {
        command.args(["--pool", pool]);
    }
    let output = output(&mut command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let printed = String::from_utf8_lossy(&output.stdout);
    let exit = output.status.code().unwrap_or_else(|| panic!("{}: {}: {said}", case.graph, output.status));
    let output = serde_json::from_str(&printed)
        .unwrap_or_else(|error| panic!("{}: no JSON on standard output ({error}): {printed}\n{said}", case.graph));
    Here { output, exit, said }
}

/// Graphs that a workflow file cannot say in full: their conversion warns, and no other does.
const WITH_WARNINGS: &[&str] = &[
    "actors:ScriptWithoutAnEnding",
    "actors:SeveralStartsAndStops",
    "errors:Skipping",
    "errors:SkippingAScope",
    "errors:ScriptIsMissing",
    "submodels:ConnectedByName",
    "submodels:LostInside",
];

/// The graphs that were asked for, and the files of those that have been converted.
type Converted = HashMap<&'static str, Arc<OnceLock<PathBuf>>>;

/// The graph of a case as a workflow file, converted once however many cases there are.
fn converted(case: &Case) -> PathBuf {
    static CONVERTED: Mutex<Option<Converted>> = Mutex::new(None);
    let file = {
        let mut known = CONVERTED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Arc::clone(known.get_or_insert_default().entry(case.graph).or_default())
    };
    file.get_or_init(|| convert(case)).clone()
}

fn convert(case: &Case) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("parity");
    fs::create_dir_all(&folder).expect("a folder for converted workflows");
    let (module, class) = case.module_and_class();
    let source = match module.strip_prefix("graphs.") {
        Some(file) => format!("{}/tests/parity/graphs/{file}.py:{class}", env!("CARGO_MANIFEST_DIR")),
        None => format!("{module}:{class}"),
    };
    let output = output(pushflow(&folder).args(["convert", &source, "--python"]).arg(python()));
    let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{source} is not converted: {warnings}");
    assert_eq!(!warnings.is_empty(), WITH_WARNINGS.contains(&case.graph), "{source}: {warnings}");
    let file = folder.join(format!("{module}.{class}.toml"));
    fs::write(&file, output.stdout).expect("a workflow file can be written");
    file
}

/// The real binary, with nothing of the user's own.
fn pushflow(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushflow"));
    command
        .current_dir(folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("XDG_STATE_HOME", folder)
        .env("XDG_RUNTIME_DIR", folder)
        .env("NO_COLOR", "1");
    command
}
