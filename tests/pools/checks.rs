//! `pushflow check-pools` and `pushflow check-daemonic`.

use serde_json::Value;

use crate::support::process::output;
use crate::support::{Project, finished, python};

fn check(project: &Project, arguments: &[&str]) -> crate::support::Finished {
    let python = python();
    let mut command = project.command(arguments);
    command.args(["--python", &python.to_string_lossy()]).env("TMPDIR", project.path("tmp"));
    command.env("PYTHONPATH", project.path("modules"));
    finished(output(&mut command))
}

fn project() -> Project {
    Project::task("").file("tmp/here", "").file("modules/here", "")
}

/// The outcome of a task in a row.
fn outcome(row: &Value, task: &str) -> String {
    let tasks = row["tasks"].as_array().unwrap();
    tasks.iter().find(|cell| cell["task"] == task).unwrap()["outcome"].as_str().unwrap().to_owned()
}

#[test]
fn check_daemonic_finds_workers_and_supervisor_of_one_mind_in_every_row() {
    let project = project();
    let rows = check(&project, &["check-daemonic", "--json"]).json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 6 * 3 + 7 * 3);
    for row in rows {
        assert_eq!(row["agree"], true, "{row}");
        let daemonic = row["pool"] == "multiprocessing" || row["pool"] == "billiard";
        assert_eq!((&row["multiprocessing"], &row["supervisor"]), (&daemonic.into(), &daemonic.into()), "{row}");
    }
    assert_eq!(std::fs::read_dir(project.path("tmp")).unwrap().count(), 1, "a folder was left behind");
}

#[test]
fn check_pools_says_what_works_and_what_python_refuses() {
    let arguments = ["check-pools", "--pool", "process", "--pool", "multiprocessing", "--context", "forkserver"];
    let tasks = ["--task", "subprocess", "--task", "mpprocess", "--json"];
    let rows = check(&project(), &[&arguments[..], &tasks].concat()).json();
    let found: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| (outcome(row, "subprocess"), outcome(row, "mpprocess"))).collect();
    let works = || "works".to_owned();
    let pools = [(works(), works()), (works(), "refused".to_owned())];
    assert_eq!(found, [pools.clone(), pools].concat());
}

#[test]
fn check_pools_prints_a_table_with_the_reasons_below() {
    let finished = check(
        &project(),
        &["check-pools", "--pool", "billiard", "--context", "fork", "--task", "simple", "--task", "mppool"],
    );
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.starts_with("Without gevent:\n"), "{}", finished.stdout);
    assert!(finished.stdout.contains("refused (1)"), "{}", finished.stdout);
    assert!(finished.stdout.contains("\n(1) daemonic processes are not allowed to have children\n"));
    assert!(finished.stderr.is_empty(), "{}", finished.stderr);
}

#[test]
fn without_gevent_and_billiard_the_checks_say_what_is_missing_and_check_the_rest() {
    let project = project();
    let project = ["gevent", "billiard"].iter().fold(project, |project, name| {
        project.file(&format!("modules/{name}.py"), &format!("raise ModuleNotFoundError('no {name}', name='{name}')"))
    });
    let arguments = ["check-daemonic", "--pool", "process", "--pool", "billiard", "--context", "forkserver", "--json"];
    let rows = check(&project, &arguments).json();
    assert_eq!(rows[0]["agree"], true, "{rows}");
    assert_eq!(rows[0]["billiard"], Value::Null);
    assert!(rows[1]["why"].as_str().unwrap().contains("needs the package billiard"), "{rows}");
    assert!(rows[2]["why"].as_str().unwrap().contains("needs the package gevent"), "{rows}");
}

#[test]
fn pools_of_processes_work_under_gevent() {
    let arguments =
        ["check-pools", "--pool", "gevent", "--context", "forkserver", "--task", "bpool", "--task", "mppool"];
    let rows = check(&project(), &[&arguments[..], &["--json"]].concat()).json();
    assert_eq!((outcome(&rows[0], "bpool"), outcome(&rows[0], "mppool")), ("works".to_owned(), "works".to_owned()));
}

#[test]
fn a_task_that_hangs_is_ended_and_said_to_hang() {
    let project = project().file(
        "modules/sitecustomize.py",
        "import subprocess, time\nsubprocess.check_output = lambda *_: time.sleep(1000)\n",
    );
    let arguments = ["check-pools", "--pool", "process", "--context", "spawn", "--timeout", "1s", "--json"];
    let finished = check(&project, &[&arguments[..], &["--task", "subprocess", "--task", "simple"]].concat());
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let rows = finished.any_json();
    assert_eq!(outcome(&rows[0], "subprocess"), "hangs");
    assert_eq!(outcome(&rows[0], "simple"), "works");
}
