//! `[record]` that changes while a service runs.

use std::fs;

use serde_json::{Value, json};

use crate::bus::{Bus, Installed, WAITS};
use crate::server::Server;
use crate::support::Project;

/// Writes another `[record]` section, and has it read.
fn change(bus: &Bus, project: &Project, record: &str) {
    let file = project.path("pushflow/workflows/w.toml");
    let text = fs::read_to_string(&file).unwrap();
    let rest = text.split("[record]").next().unwrap();
    fs::write(&file, format!("{rest}[record]\n{record}\n")).unwrap();
    let answer = bus.call("w", "Reload", &[]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
}

fn run(bus: &Bus, request: &str, until: &str) {
    let inputs = ["a{sv}a{sv}", "2", "request_id", "s", request, "until", "s", until, "0"];
    assert_eq!(bus.call("w", "Run", &inputs).code, Some(0));
}

fn statuses(documents: &[Value]) -> Vec<(&str, &str)> {
    let mut statuses: Vec<_> = documents
        .iter()
        .map(|document| (document["Request ID"].as_str().unwrap(), document["status"].as_str().unwrap()))
        .collect();
    statuses.sort_unstable();
    statuses
}

/// The numbers of the recorders.
fn recorders(bus: &Bus, project: &Project) -> Vec<Value> {
    let shown = bus.pushflow(project, &["ps", "w", "--json"]);
    let listings: Value = serde_json::from_str(&shown.stdout).unwrap();
    let processes = listings.as_array().unwrap().iter().flat_map(|listing| listing["processes"].as_array().unwrap());
    let recorders = processes.filter(|process| process["kind"] == "recorder");
    recorders.map(|process| process["pid"].clone()).collect()
}

#[test]
fn a_reload_starts_moves_and_ends_the_recorder_between_two_runs() {
    let mut server = Server::start();
    let (bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let project = project.file("pushflow/workflows/mongo-url", &server.url());
    let mut service = bus.serve(&project, "w");
    run(&bus, "one", "/");
    service.wait_for("run ended");
    assert!(recorders(&bus, &project).is_empty());

    // What ran before is recorded, too.
    change(&bus, &project, "type = 'besdb'\nurl_file = 'mongo-url'");
    service.wait_for("[record] has changed: runs are recorded accordingly");
    run(&bus, "two", "/");
    server.wait_for(json!({"status": "finished"}), 2);

    // Another place, while a run goes on: it ends where it began.
    let gate = project.path("gate").display().to_string();
    run(&bus, "three", &gate);
    server.wait_for(json!({"Request ID": "three", "status": "started"}), 1);
    change(&bus, &project, "type = 'besdb'\nurl_file = 'mongo-url'\ncollection = 'other'");
    fs::write(&gate, "").unwrap();
    service.wait_for("[record] has changed: runs are recorded accordingly");
    run(&bus, "four", "/");
    server.wait_for_in("other", json!({"status": "finished"}), 4);
    let finished = |names: &[&'static str]| names.iter().map(|name| (*name, "finished")).collect::<Vec<_>>();
    assert_eq!(statuses(&server.documents("bes", "bes")), finished(&["one", "three", "two"]));
    assert_eq!(statuses(&server.documents("bes", "other")), finished(&["four", "one", "three", "two"]));

    // What is the same is left alone.
    let before = recorders(&bus, &project);
    assert_eq!(before.len(), 1);
    assert_eq!(bus.call("w", "Reload", &[]).code, Some(0));
    run(&bus, "five", "/");
    server.wait_for_in("other", json!({"status": "finished"}), 5);
    assert_eq!(recorders(&bus, &project), before);

    change(&bus, &project, "type = 'none'");
    service.wait_for("[record] has changed: runs are not recorded in MongoDB any more");
    run(&bus, "six", "/");
    service.wait_for("run ended");
    assert_eq!(bus.call("w", "Drain", &[]).code, Some(0));
    let ended = service.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(server.documents("bes", "other").len(), 5);
}
