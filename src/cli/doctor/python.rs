//! Checks of the Python interpreter of each workflow, and of the packages that its pools need.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value as Json;

use super::finding::Finding;
use super::host::workflow_files;
use crate::cli::{Failure, load, locate};
use crate::config;
use crate::graph::{Kind, PoolType, Workflow};
use crate::supervisor::interpreter_in;
use crate::worker::bundle::WITHOUT_CURRENT_FOLDER;

/// Maximum time to wait for an interpreter. The first start from a network file system is slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// The oldest Python that the workers run with.
const OLDEST: (u64, u64) = (3, 8);
/// The first billiard whose pools end reliably (celery/billiard, changes of 4.3.2).
const BILLIARD: [u64; 3] = [4, 3, 2];
/// Maximum number of workflows that are named.
const MAX_NAMED: usize = 3;

/// Prints version and packages as JSON. Nothing is imported: that can be slow and have side effects.
const QUESTION: &str = "\
import json, sys
said = {'version': list(sys.version_info[:3]), 'executable': sys.executable}
try:
    from importlib import metadata
    for name in ('gevent', 'billiard', 'numpy'):
        try:
            said[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            said[name] = None
except ImportError:
    pass
print(json.dumps(said))
";

/// What workflows need from an interpreter.
#[derive(Debug, Default)]
struct Wanted {
    /// Names of the workflows.
    by: Vec<String>,
    /// The first workflow with a pool that needs the package.
    gevent: Option<String>,
    billiard: Option<String>,
}

pub(super) fn look(workflows: &[String]) -> Result<Vec<Finding>, Failure> {
    let mut interpreters: BTreeMap<PathBuf, Wanted> = BTreeMap::new();
    let mut findings = Vec::new();
    if workflows.is_empty() {
        // The default interpreter.
        interpreters.entry(PathBuf::from("python3")).or_default();
        for file in workflow_files() {
            match config::load(&file, locate::defaults_file().as_deref()) {
                Ok(loaded) => want(&loaded.workflow, &mut interpreters),
                Err(_) => findings.push(invalid(&file)),
            }
        }
    }
    for name in workflows {
        want(&load::workflow(name)?, &mut interpreters);
    }
    for (interpreter, wanted) in &interpreters {
        findings.extend(assess(interpreter, wanted, ask(interpreter)));
    }
    Ok(findings)
}

fn invalid(file: &Path) -> Finding {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let advice = format!("run pushflow check {}", file.display());
    Finding::note(format!("workflow {name}"), "its file is invalid", advice)
}

/// Adds what a workflow needs.
fn want(workflow: &Workflow, interpreters: &mut BTreeMap<PathBuf, Wanted>) {
    let mut named: Vec<PathBuf> = Vec::new();
    for actor in workflow.actors.iter().filter(|actor| matches!(actor.kind, Kind::Python(_))) {
        let pool = workflow.pool(actor.pool);
        let python = pool.python.as_deref().or(workflow.python.as_deref());
        let python = python.map_or_else(|| "python3".into(), interpreter_in);
        let wanted = interpreters.entry(python.clone()).or_default();
        let first = |name: &mut Option<String>| {
            name.get_or_insert_with(|| workflow.name.clone());
        };
        if pool.gevent {
            first(&mut wanted.gevent);
        }
        if pool.kind == PoolType::Billiard {
            first(&mut wanted.billiard);
        }
        if !named.contains(&python) {
            wanted.by.push(workflow.name.clone());
            named.push(python);
        }
    }
}

/// Asks an interpreter for its version and packages.
fn ask(interpreter: &Path) -> Result<Json, String> {
    let mut child = Command::new(interpreter)
        .args(["-c", &[WITHOUT_CURRENT_FOLDER, QUESTION].concat()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "not found".to_owned(),
            _ => format!("cannot be started: {error}"),
        })?;
    let stdout = child.stdout.take();
    let (send, read) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.map_or(Ok(0), |mut stdout| stdout.read_to_string(&mut text));
        // After the timeout, nobody receives the answer.
        let _ = send.send(read.map(|_| text));
    });
    let answer = read.recv_timeout(PATIENCE);
    // It has ended, or the timeout is over.
    if answer.is_err() {
        let _ = child.kill();
    }
    let _ = child.wait();
    match answer {
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        Ok(Err(error)) => Err(format!("cannot be read: {error}")),
        Ok(Ok(text)) => serde_json::from_str(text.trim()).map_err(|_| "not a working Python".to_owned()),
    }
}

/// The findings about an interpreter.
fn assess(interpreter: &Path, wanted: &Wanted, said: Result<Json, String>) -> Vec<Finding> {
    let check = interpreter.display().to_string();
    let by = by(&wanted.by);
    let said = match said {
        Ok(said) => said,
        Err(error) => {
            let advice = "install python3, or set python = \"…\" in [workflow] or in pushflow.toml";
            return vec![Finding::fault(check, format!("{error}{by}"), advice)];
        }
    };
    let numbers: Vec<u64> = said["version"].as_array().into_iter().flatten().filter_map(Json::as_u64).collect();
    let version = numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".");
    let mut findings = vec![match (numbers.first(), numbers.get(1)) {
        (Some(major), Some(minor)) if (*major, *minor) >= OLDEST => {
            Finding::fine(&check, format!("Python {version}{by}"))
        }
        _ => Finding::fault(
            &check,
            format!("Python {version}{by}"),
            "workers need Python 3.8 or newer: set python = \"…\" in [workflow] or in pushflow.toml",
        ),
    }];
    let package = |name: &str| said[name].as_str();
    findings.push(needed(&check, "gevent", package("gevent"), wanted.gevent.as_deref()));
    let billiard = needed(&check, "billiard", package("billiard"), wanted.billiard.as_deref());
    findings.push(match package("billiard") {
        Some(version) if numbers_of(version).as_slice() < BILLIARD.as_slice() => Finding::note(
            "  billiard",
            version,
            format!("billiard.Pool can hang in versions before 4.3.2, outside of pushflow's workers: {check} -m pip install -U billiard"),
        ),
        _ => billiard,
    });
    findings
        .push(Finding::fine("  numpy", package("numpy").unwrap_or("not installed: only your own tasks may need it")));
    findings
}

fn needed(interpreter: &str, name: &str, found: Option<&str>, by: Option<&str>) -> Finding {
    let check = format!("  {name}");
    match (found, by) {
        (Some(version), _) => Finding::fine(check, version),
        (None, Some(workflow)) => Finding::fault(
            check,
            format!("not installed, but a pool of {workflow} needs it"),
            format!("{interpreter} -m pip install {name}"),
        ),
        (None, None) => Finding::fine(check, format!("not installed: only pools of type {name} need it")),
    }
}

fn numbers_of(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// `, for hello, mesh and 2 others`.
fn by(workflows: &[String]) -> String {
    match workflows.len() {
        0 => String::new(),
        count if count <= MAX_NAMED => format!(", for {}", workflows.join(", ")),
        count => format!(", for {} and {} others", workflows[..MAX_NAMED].join(", "), count - MAX_NAMED),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::State;
    use super::*;

    fn states(said: Json, wanted: &Wanted) -> Vec<(String, State)> {
        let findings = assess(Path::new("/opt/mx/bin/python"), wanted, Ok(said));
        findings.into_iter().map(|finding| (finding.check, finding.state)).collect()
    }

    #[test]
    fn a_package_that_a_pool_needs_is_a_fault_only_then() {
        let said = json!({"version": [3, 11, 2], "gevent": null, "billiard": "4.3.2", "numpy": null});
        assert!(states(said.clone(), &Wanted::default()).iter().all(|(_, state)| *state == State::Fine));
        let wanted = Wanted { gevent: Some("mesh".to_owned()), ..Wanted::default() };
        let findings = assess(Path::new("/opt/mx/bin/python"), &wanted, Ok(said));
        assert_eq!(findings[1].state, State::Fault);
        assert_eq!(findings[1].advice.as_deref(), Some("/opt/mx/bin/python -m pip install gevent"));
    }

    #[test]
    fn an_old_python_is_a_fault_and_an_old_billiard_a_note() {
        let states = states(json!({"version": [3, 6, 8], "billiard": "4.2.4"}), &Wanted::default());
        assert_eq!(states[0].1, State::Fault);
        assert_eq!(states[2], ("  billiard".to_owned(), State::Note));
    }

    #[test]
    fn the_finding_of_a_missing_interpreter_names_its_workflows() {
        let wanted = Wanted { by: ["a", "b", "c", "d"].map(str::to_owned).to_vec(), ..Wanted::default() };
        let finding = &assess(Path::new("/nowhere/python"), &wanted, ask(Path::new("/nowhere/python")))[0];
        assert_eq!((finding.state, finding.found.as_str()), (State::Fault, "not found, for a, b, c and 1 others"));
    }

    #[test]
    fn another_program_is_not_taken_for_python() {
        assert_eq!(ask(Path::new("/bin/true")), Err("not a working Python".to_owned()));
    }
}
