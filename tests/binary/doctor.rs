//! `pushflow doctor` on a host that lacks things.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::process::output;
use crate::support::{Finished, Project, finished};

/// Without D-Bus, and without a runtime folder; as a user without privileges where the tests are root's.
fn doctor(folder: &Path, arguments: &[&str]) -> Finished {
    let program = folder.join("pushflow");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_pushflow"), &program).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        command
    } else {
        Command::new(&program)
    };
    command.arg("doctor").args(arguments).current_dir(folder).env("HOME", folder);
    for bus in ["DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS"] {
        command.env(bus, "unix:path=/nowhere/bus");
    }
    finished(output(command.env_remove("XDG_RUNTIME_DIR").env_remove("XDG_CONFIG_HOME")))
}

fn check<'a>(json: &'a Value, name: &str) -> &'a Value {
    let checks = json["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no {name} in {json:#}"))
}

#[test]
fn a_host_without_a_bus_and_a_user_without_rights_get_notes_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let json = doctor(folder.path(), &["--json"]).json();
    assert_eq!(json["faults"], 0, "{json:#}");
    for name in ["system bus", "session bus"] {
        let check = check(&json, name);
        assert_eq!(check["state"], "note");
        assert!(check["found"].as_str().unwrap().contains("/nowhere/bus"), "{check}");
        assert!(check["advice"].as_str().unwrap().contains("install"), "{check}");
    }
    assert_eq!(check(&json, "kernel")["state"], "ok");
    assert!(check(&json, "python3")["found"].as_str().unwrap().starts_with("Python 3."));
}

#[test]
fn the_python_of_a_workflow_is_asked_and_one_that_is_not_there_is_a_fault() {
    let project = Project::new()
        .file(
            "w.toml",
            "links = [{ from = 'start', to = 'a' }, { from = 'a', to = 'stop' }]\n\
             [workflow]\npython = './old'\n[pool]\ntype = 'gevent'\n[actors.a]\nscript = 'a.py'\n",
        )
        .file("a.py", "def run(**_): return {}");
    let said = doctor(&project.path(""), &["w.toml"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stdout.contains("FAULT") && said.stdout.contains("not found, for w\n"), "{}", said.stdout);
    assert!(said.stdout.ends_with("notes\n") || said.stdout.ends_with("note\n"), "{}", said.stdout);
    // An interpreter that says that it is old, and has nothing.
    let python = "#!/bin/sh\necho '{\"version\": [3, 6, 8], \"gevent\": null, \"billiard\": \"4.2.4\", \"numpy\": \"1.19.5\"}'\n";
    let project = project.file("old", python);
    fs::set_permissions(project.path("old"), fs::Permissions::from_mode(0o755)).unwrap();
    let said = doctor(&project.path(""), &["w.toml"]);
    for line in
        ["Python 3.6.8, for w", "workers need Python 3.8", "a pool of w needs it", "-m pip install gevent", "1.19.5"]
    {
        assert!(said.stdout.contains(line), "{line}: {}", said.stdout);
    }
    assert!(said.stdout.contains("\n2 faults, "), "{}", said.stdout);
}

#[test]
fn a_workflow_that_is_not_there_is_told_as_by_the_other_verbs() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(doctor(folder.path(), &["missing"]).code, Some(3));
}
