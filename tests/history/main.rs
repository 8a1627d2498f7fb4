//! What is recorded, what outlives a crash, and what people see of it.

#![allow(clippy::unwrap_used)]

#[path = "../bus/bus.rs"]
#[allow(dead_code)]
mod bus;
mod clock;
mod crash;
mod disk;
mod files;
#[path = "../hostile/frozen.rs"]
mod frozen;
mod kills;
mod million;
mod needs_root;
mod reading;
#[path = "../binary/seed.rs"]
mod seed;
#[path = "../binary/support.rs"]
#[allow(dead_code)]
mod support;

use std::path::PathBuf;

use serde_json::Value;

use support::Project;

/// The history of the workflow `w` of this project's user.
fn file(project: &Project) -> PathBuf {
    project.path(".local/state/pushflow/w/history.sqlite")
}

/// `pushflow history --json`, newest first.
fn history(project: &Project, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["history", "--user", "--json", "--limit", "1000000"], arguments].concat();
    let finished = support::process::output(&mut project.command(&arguments));
    assert!(finished.status.success(), "{}", String::from_utf8_lossy(&finished.stderr));
    serde_json::from_slice(&finished.stdout).unwrap()
}
