//! Disks that are full, and files that are broken or of another time.

use std::fs;

use serde_json::json;

use crate::bus::{Bus, Installed};
use crate::support::Project;
use crate::{file, history};

const NOTHING: &str = "def run(**_): return {}";

#[test]
fn a_broken_file_is_put_aside_and_costs_no_run() {
    let (bus, project) = (Bus::new(), Installed::resident("", NOTHING));
    fs::create_dir_all(file(&project).parent().unwrap()).unwrap();
    fs::write(file(&project), "this is no database, and has not been one for long: ".repeat(100)).unwrap();
    let mut service = bus.start(&project, "w");
    service.wait_for("the file was renamed to");
    service.wait_for("ready");
    assert_eq!(bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]).code, Some(0));
    service.wait_for("run ended");
    bus.call("w", "Drain", &[]);
    assert_eq!(service.finish().code, Some(0));
    assert_eq!(history(&project, &["w"]).len(), 1);
    let kept = fs::read_dir(file(&project).parent().unwrap()).unwrap().flatten();
    assert_eq!(kept.filter(|entry| entry.file_name().to_string_lossy().contains(".broken-")).count(), 1);
}

#[test]
fn a_file_that_breaks_under_a_service_takes_no_run_with_it() {
    let (bus, project) = (Bus::new(), Installed::resident("", crate::bus::WAITS));
    let mut service = bus.serve(&project, "w");
    bus.run_until(&project, "gate");
    bus.run_until(&project, "gate");
    service.wait_for("waiting for");
    // What is in memory of it is not looked at again; what is read next is broken.
    let length = fs::metadata(file(&project)).unwrap().len().max(8192) as usize;
    fs::write(file(&project), "broken by something else ".repeat(length / 25 + 1)).unwrap();
    let _ = fs::remove_file(file(&project).with_extension("sqlite-wal"));
    let project = project.file("gate", "");
    service.wait_for("run ended: finished");
    service.wait_for("run ended: finished");
    bus.call("w", "Drain", &[]);
    let finished = service.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    drop(project);
}

#[test]
fn a_file_of_a_newer_version_is_not_touched_and_no_run_is_promised() {
    let (bus, project) = (Bus::new(), Installed::resident("", NOTHING));
    fs::create_dir_all(file(&project).parent().unwrap()).unwrap();
    rusqlite::Connection::open(file(&project)).unwrap().pragma_update(None, "user_version", 1000).unwrap();
    let before = fs::read(file(&project)).unwrap();
    let mut service = bus.start(&project, "w");
    service.wait_for("was written by a newer pushflow");
    service.wait_for("ready");
    let refused = bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]);
    assert!(refused.stderr.contains("it could not be recorded"), "{}", refused.stderr);
    service.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(service.finish().code, Some(0));
    assert_eq!(fs::read(file(&project)).unwrap(), before);
    // One who does without the promise gets runs.
    let workflow = fs::read_to_string(project.path("pushflow/workflows/w.toml")).unwrap();
    let project = project.file("pushflow/workflows/w.toml", &format!("{workflow}\n[history]\nenabled = false\n"));
    let mut service = bus.serve(&project, "w");
    assert_eq!(bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]).code, Some(0));
    service.wait_for("run ended: finished");
}

/// The state folder is a small file system in a namespace of the service's own; from here it is reached through /proc.
#[test]
fn a_full_disk_refuses_new_runs_ends_those_there_are_and_is_used_again_when_it_has_room() {
    let (bus, project) = (Bus::new(), Installed::resident("max_concurrent_runs = 2", crate::bus::WAITS));
    let state = project.path("state");
    fs::create_dir_all(&state).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=1m none {0} && exec {1} serve --user w",
        state.display(),
        env!("CARGO_BIN_EXE_pushflow")
    );
    let mut command = bus.command("unshare", &["--mount", "--map-root-user", "sh", "-c", &script]);
    command
        .env("HOME", project.path(""))
        .env("XDG_CONFIG_HOME", project.path(""))
        .env("XDG_RUNTIME_DIR", project.path(""))
        .env("XDG_STATE_HOME", &state);
    let mut service = project.start_as(&mut command);
    service.wait_for("on the session bus");
    service.wait_for("ready");
    bus.run_until(&project, "gate");
    service.wait_for("waiting for");
    let inside = format!("/proc/{}/root{}", service.pid(), state.display());
    let fill = format!("{inside}/fill");
    // To the last byte: writing ends with an error.
    let mut filling = fs::File::create(&fill).unwrap();
    while std::io::Write::write_all(&mut filling, &[0; 4096]).is_ok() {}
    while std::io::Write::write_all(&mut filling, &[0]).is_ok() {}
    drop(filling);
    // What the log of the database has room for already may still be written.
    let refused = (0..200)
        .map(|_| bus.ask_until(&project, "gate"))
        .find(|answer| answer.code != Some(0))
        .expect("the disk is full");
    assert!(refused.stderr.contains("it could not be recorded"), "{}", refused.stderr);
    let said = service.wait_for("the history is not written");
    assert!(said.contains("disk is full") || said.contains("disk I/O error"), "{said}");
    let project = project.file("gate", "");
    service.wait_for("run ended: finished");
    fs::remove_file(&fill).unwrap();
    // There is room again.
    bus.run_until(&project, "gate");
    service.wait_for("is written again");
    bus.call("w", "Drain", &[]);
    service.wait_for("every process is gone");
    drop(project);
}

#[test]
fn a_run_in_the_foreground_is_recorded_when_asked_and_goes_on_where_that_cannot_be() {
    let project = Project::task("def run(**_): return {'x': {1, 2}}");
    assert_eq!(project.run(&["--history"]).code, Some(0));
    let runs = history(&project, &["w"]);
    assert_eq!((runs.len(), &runs[0]["status"], &runs[0]["tasks"]), (1, &json!("finished"), &json!(1)));
    assert_eq!(project.run(&[]).code, Some(0));
    assert_eq!(history(&project, &["w"]).len(), 1);
    fs::remove_dir_all(project.path(".local")).unwrap();
    let project = project.file(".local", "a file where a folder should be");
    let finished = project.run(&["--history"]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("the run is not recorded"), "{}", finished.stderr);
}
