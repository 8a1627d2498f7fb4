//! Clocks that are wrong for a while. Debian's `faketime` shows them to a process.

use std::path::PathBuf;
use std::process::Command;

use crate::support::process::output;
use crate::support::{Finished, Project, finished};
use crate::{file, history};

const NOTHING: &str = "def run(**_): return {}";

/// `pushflow ARGUMENTS…` that sees this time (faketime(1)).
fn at(time: &str, project: &Project, arguments: &[&str]) -> Finished {
    finished(output(&mut command_at(time, project, arguments)))
}

fn command_at(time: &str, project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.command(arguments);
    let path = std::env::split_paths(
        "/usr/lib/x86_64-linux-gnu/faketime:/usr/lib/aarch64-linux-gnu/faketime:/usr/lib64/faketime",
    );
    let library: PathBuf =
        path.map(|folder| folder.join("libfaketimeMT.so.1")).find(|library| library.exists()).unwrap();
    command.env("LD_PRELOAD", library).env("FAKETIME", time).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

const RUN: [&str; 3] = ["run", "w.toml", "--history"];

#[test]
fn a_clock_that_is_ahead_for_a_while_costs_no_history() {
    let project = Project::task(NOTHING);
    assert_eq!(project.run(&["--history"]).code, Some(0));
    for time in ["+200d", "+201d", "+4000d", "-300d"] {
        assert_eq!(at(time, &project, &RUN).code, Some(0));
    }
    assert_eq!(project.run(&["--history"]).code, Some(0));
    let ids: Vec<u64> = history(&project, &["w"]).iter().map(|run| run["run"].as_u64().unwrap()).collect();
    assert!((1..=6).all(|run| ids.contains(&run)), "{ids:?}");
}

#[test]
fn runs_are_forgotten_when_they_are_older_than_keep() {
    let project = Project::task(NOTHING);
    for _ in 0..2 {
        assert_eq!(project.run(&["--history"]).code, Some(0));
    }
    let connection = rusqlite::Connection::open(file(&project)).unwrap();
    connection.execute("UPDATE runs SET ended_at = ended_at - 91 * 86400 * 1000000 WHERE id = 1", []).unwrap();
    drop(connection);
    assert_eq!(project.run(&["--history"]).code, Some(0));
    let ids: Vec<u64> = history(&project, &["w"]).iter().map(|run| run["run"].as_u64().unwrap()).collect();
    assert_eq!(ids, [3, 2]);
}

#[test]
fn a_clock_that_was_never_set_is_no_trouble() {
    let project = Project::task(NOTHING);
    assert_eq!(project.run(&["--history"]).code, Some(0));
    for time in ["@1960-01-01 00:00:00", "@2300-01-01 00:00:00", "@9999-12-31 23:00:00"] {
        let run = at(time, &project, &RUN);
        assert_eq!(run.code, Some(0), "{time}: {}", run.stderr);
        assert!(run.stderr.contains("recorded as w/"), "{time}: {}", run.stderr);
        for verb in [&["history", "--user", "--since", "1h"][..], &["show", "w/1"]] {
            let shown = at(time, &project, verb);
            assert_eq!(shown.code, Some(0), "{time}: {}", shown.stderr);
        }
    }
    assert_eq!(history(&project, &["w"]).len(), 4);
}

#[test]
fn a_clock_that_is_set_during_a_run_changes_none_of_its_durations() {
    let project = Project::task(
        "
import os
def run(clock, **_):
    with open(clock, 'w') as file:
        file.write('+3h')
    return {}
",
    )
    .file("clock", "+0");
    let clock = project.path("clock");
    let input = format!("clock={}", clock.display());
    let mut command = command_at("+0", &project, &[&RUN[..], &["-i", &input]].concat());
    command.env_remove("FAKETIME").env("FAKETIME_TIMESTAMP_FILE", &clock).env("FAKETIME_NO_CACHE", "1");
    let run = finished(output(&mut command));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let shown = finished(output(&mut project.command(&["show", "w/1", "--json", "--tasks"])));
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let hour = 3_600_000_000;
    let time = |of: &serde_json::Value, name: &str| of[name].as_u64().unwrap_or_else(|| panic!("{name} of {of}"));
    assert!(time(&shown, "took_us") < hour, "{shown}");
    assert!(time(&shown["actors"][0], "longest_us") < hour, "{shown}");
    let task = &shown["all_tasks"][0];
    assert!(time(task, "ended_at") - time(&shown, "started_at") < hour, "{shown}");
}
