//! Runs and services that are ended, and workflow files that change.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::bus::{Bus, Installed, WAITS};

#[test]
fn a_drained_service_finishes_what_it_has_accepted_and_takes_nothing_more() {
    let (bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let mut service = bus.serve(&project, "w");
    for _ in 0..3 {
        bus.run_until(&project, "gate");
    }
    service.wait_for("waiting for");
    assert_eq!(bus.call("w", "Drain", &[]).code, Some(0));
    assert_eq!(bus.workflow("w", "State"), "draining");
    let refused = bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]);
    assert!(refused.stderr.contains("is shutting down"), "{}", refused.stderr);
    let project = project.file("gate", "");
    let finished = service.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("run ended: finished").count(), 3, "{}", finished.stderr);
    drop(project);
}

#[test]
fn one_run_is_aborted_and_the_others_go_on() {
    let (bus, project) = (Bus::new(), Installed::resident("max_concurrent_runs = 2", WAITS));
    let mut service = bus.serve(&project, "w");
    for _ in 0..2 {
        bus.run_until(&project, "gate");
        service.wait_for("waiting for");
    }
    let aborted = bus.call_on("w", "/org/pushflow/workflow/run/2", "org.pushflow.Run1", "Abort", &["s", "not needed"]);
    assert_eq!(aborted.code, Some(0), "{}", aborted.stderr);
    service.wait_for("run ended: aborted");
    assert_eq!(bus.end("w", 2), "aborted");
    assert_eq!(bus.run_property("w", 1, "Status"), "running");
    let again = bus.call_on("w", "/org/pushflow/workflow/run/2", "org.pushflow.Run1", "Abort", &["s", ""]);
    assert!(again.stderr.contains("it is over, or never was"), "{}", again.stderr);
    let _project = project.file("gate", "");
    service.wait_for("run ended: finished");
}

#[test]
fn a_run_that_waits_is_stopped_before_it_begins() {
    let (bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let mut service = bus.serve(&project, "w");
    for _ in 0..2 {
        bus.run_until(&project, "gate");
    }
    service.wait_for("waiting for");
    bus.call_on("w", "/org/pushflow/workflow/run/2", "org.pushflow.Run1", "Stop", &["s", ""]);
    assert_eq!((bus.run_property("w", 2, "Status"), bus.workflow("w", "QueuedRuns")), (json!("stopped"), json!(0)));
}

#[test]
fn sigterm_lets_the_running_task_finish_and_starts_nothing_that_waits() {
    let (bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let mut service = bus.serve(&project, "w");
    for _ in 0..2 {
        bus.run_until(&project, "gate");
    }
    service.wait_for("waiting for");
    service.signal(Signal::SIGTERM);
    service.wait_for("running tasks may finish");
    assert_eq!(bus.workflow("w", "State"), "stopping");
    assert_eq!(bus.end("w", 2), "stopped");
    let _project = project.file("gate", "");
    let finished = service.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("waiting for").count(), 1, "{}", finished.stderr);
}

#[test]
fn a_workflow_that_runs_once_ends_with_the_status_of_its_run() {
    let project = Installed(crate::support::Project::new())
        .workflow("good", "", "def run(**_): return {'answer': 42}")
        .workflow("bad", "", "def run(**_): raise ValueError('no beam')")
        .0;
    let bus = Bus::new();
    let finished = bus.start(&project, "good").finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("output: {\"answer\":42}"), "{}", finished.stderr);
    let finished = bus.start(&project, "bad").finish();
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("no beam"), "{}", finished.stderr);
}

#[test]
fn a_reload_takes_the_new_workflow_for_the_next_run_and_keeps_the_old_one_if_it_is_wrong() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {'version': 1}"));
    let mut service = bus.serve(&project, "w");
    let file = project.path("pushflow/workflows/w.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("script", "scirpt")).unwrap();
    let refused = bus.call("w", "Reload", &[]);
    assert!(refused.stderr.contains("scirpt"), "{}", refused.stderr);
    service.signal(Signal::SIGHUP);
    service.wait_for("the workflow is not changed, because its file has errors");
    service.wait_for("the workflow is not changed, because its file has errors");
    bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]);
    service.wait_for("run ended");
    assert_eq!(bus.outputs("w", 1), json!({"version": 1}));

    std::fs::write(&file, good.replace("w.py", "new.py").replace("A test", "A newer test")).unwrap();
    let project = project.file("pushflow/workflows/new.py", "def run(**_): return {'version': 2}");
    let reloaded = bus.call("w", "Reload", &[]);
    assert_eq!(reloaded.code, Some(0), "{}", reloaded.stderr);
    bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]);
    service.wait_for("run ended");
    assert_eq!(bus.outputs("w", 2), json!({"version": 2}));
    assert_eq!(bus.workflow("w", "Description"), "A newer test");
    drop(project);
}
