//! Supervisors that are killed, and what the next one makes of it.

use std::fs;

use serde_json::{Value, json};

use crate::bus::{Bus, Installed, WAITS};
use crate::support::{Project, Running, process, python};
use crate::{file, history};

fn kill(service: Running) {
    // As it goes, it is killed with SIGKILL, and waited for.
    drop(service);
}

fn run_property(bus: &Bus, run: u64, name: &str) -> Value {
    bus.run_property("w", run, name)
}

#[test]
fn what_was_accepted_runs_after_a_kill_with_all_that_it_was_given() {
    let types = "
import os, time
def run(until=None, **inputs):
    while until and not os.path.exists(until):
        time.sleep(0.01)
    return {'seen': {name: repr(value) for name, value in inputs.items()}}
";
    let (bus, project) = (Bus::new(), Installed::resident("", types));
    let service = bus.serve(&project, "w");
    bus.run_until(&project, "gate");
    for (label, priority) in [("later", "1"), ("sooner", "7")] {
        let inputs =
            ["3", "bytes", "ay", "2", "97", "0", "tuple", "(is)", "1", "z", "large", "t", "18446744073709551615"];
        let options = ["2", "label", "s", label, "priority", "i", priority];
        let answer = bus.call("w", "Run", &[&["a{sv}a{sv}"][..], &inputs, &options].concat());
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    }
    kill(service);

    let mut service = bus.serve(&project, "w");
    assert_eq!(run_property(&bus, 1, "Status"), "interrupted");
    service.wait_for("run ended");
    service.wait_for("run ended");
    let seen = json!({"bytes": "b'a\\x00'", "tuple": "(1, 'z')", "large": "18446744073709551615"});
    assert_eq!((&bus.outputs("w", 2)["seen"], &bus.outputs("w", 3)["seen"]), (&seen, &seen));
    assert_eq!((run_property(&bus, 2, "Label"), run_property(&bus, 2, "Priority")), (json!("later"), json!(1)));
    let began = |run| run_property(&bus, run, "StartedAt").as_u64().unwrap();
    assert!(began(3) < began(2), "the more urgent one came first");
    assert_eq!(run_property(&bus, 2, "StartedByUID"), json!(nix::unistd::geteuid().as_raw()));
    // Numbers go on.
    let next = bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]);
    assert_eq!(next.stdout, "o \"/org/pushflow/workflow/run/4\"\n");
}

#[test]
fn a_run_in_progress_runs_again_where_that_is_asked_for_and_not_after_it_was_stopped() {
    let counts = "
import os, time
def run(until, log, **_):
    with open(log, 'a') as file:
        file.write('x')
    print('begun', flush=True)
    while not os.path.exists(until):
        time.sleep(0.01)
    return {}
";
    let (bus, project) = (Bus::new(), Installed::resident("on_crash = 'rerun'\nmax_concurrent_runs = 2", counts));
    let mut service = bus.serve(&project, "w");
    let gate = project.path("gate").display().to_string();
    let logs = ["one", "two"].map(|name| project.path(name));
    for log in &logs {
        let log = log.display().to_string();
        bus.call("w", "Run", &["a{sv}a{sv}", "2", "until", "s", &gate, "log", "s", &log, "0"]);
        service.wait_for("begun");
    }
    let stopped = bus.call_on("w", "/org/pushflow/workflow/run/2", "org.pushflow.Run1", "Stop", &["s", "not needed"]);
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    // What was written after that shows that the stop was, too.
    bus.call("w", "Run", &["a{sv}a{sv}", "2", "until", "s", "/", "log", "s", "/dev/null", "0"]);
    kill(service);

    let mut service = bus.serve(&project, "w");
    assert_eq!(run_property(&bus, 2, "Status"), "interrupted");
    service.wait_for("begun");
    let project = project.file("gate", "");
    service.wait_for("run ended");
    service.wait_for("run ended");
    assert_eq!(bus.end("w", 1), "finished");
    assert_eq!(fs::read_to_string(&logs[0]).unwrap(), "xx");
    assert_eq!(fs::read_to_string(&logs[1]).unwrap(), "x");
    let runs = history(&project, &["w", "--status", "finished"]);
    assert_eq!(runs.iter().find(|run| run["run"] == 1).unwrap()["begun"], 2);
}

/// A loop of five rounds beside a branch that waits, joined: what was done before the kill is not done again, what waits in
/// the join is still there.
#[test]
fn a_run_goes_on_from_the_results_that_were_recorded() {
    let project = resuming();
    let bus = Bus::new();
    let mut service = bus.serve(&project, "w");
    bus.call("w", "Run", &["a{sv}a{sv}", "1", "folder", "s", &project.path("").display().to_string(), "0"]);
    service.wait_for("round 3");
    wait_for_results(&project, 3);
    kill(service);
    assert_eq!(fs::read_to_string(project.path("rounds")).unwrap(), "0123");

    let project = project.file("gate", "");
    let mut service = bus.start(&project, "w");
    service.wait_for("is resumed after 3 tasks whose results were recorded");
    service.wait_for("ready");
    let output = bus.outputs("w", 1);
    assert_eq!((&output["count"], &output["value"], &output["slow"]), (&json!(5), &json!([1, "x"]), &json!("b'kept'")));
    // The round that was under way is done again, those before it are not.
    assert_eq!(fs::read_to_string(project.path("rounds")).unwrap(), "012334");
    let shown = process::output(&mut project.command(&["show", "w/1", "--json", "--tasks"]));
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["begun"], 2);
    let lost = shown["all_tasks"].as_array().unwrap().iter().filter(|task| task["status"] == "lost").count();
    assert!((1..=2).contains(&lost), "those that were running: {shown}");
}

#[test]
fn a_run_does_not_go_on_in_another_workflow() {
    let project = resuming();
    let bus = Bus::new();
    let mut service = bus.serve(&project, "w");
    bus.call("w", "Run", &["a{sv}a{sv}", "1", "folder", "s", &project.path("").display().to_string(), "0"]);
    service.wait_for("round 3");
    wait_for_results(&project, 3);
    kill(service);
    let path = project.path("pushflow/workflows/w.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("item = 'again'", "item = 'more'")).unwrap();
    let mut service = bus.serve(&project, "w");
    assert_eq!(bus.end("w", 1), "interrupted");
    let error = run_property(&bus, 1, "Error").as_str().unwrap().to_owned();
    assert!(error.contains("has changed since it began"), "{error}");
    bus.call("w", "Drain", &[]);
    service.wait_for("every process is gone");
    let open = rusqlite::Connection::open(file(&project)).unwrap();
    let kept: i64 = open
        .query_row("SELECT (SELECT count(*) FROM kept_runs) + count(*) FROM kept_results", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 0, "nothing is kept of a run that is over");
}

/// Tasks are written a moment after they have ended.
fn wait_for_results(project: &Project, wanted: i64) {
    let open = rusqlite::Connection::open(file(project)).unwrap();
    let there = || open.query_row("SELECT count(*) FROM kept_results", [], |row| row.get::<_, i64>(0)).unwrap();
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while there() < wanted {
        assert!(std::time::Instant::now() < patience, "the results are not written");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// The disk hung, the run was refused, the write came through nevertheless, and the supervisor ended before it could delete it.
#[test]
fn a_run_that_was_refused_while_it_was_written_does_not_run_with_the_next_service() {
    let (bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let service = bus.serve(&project, "w");
    for _ in 0..3 {
        bus.run_until(&project, "gate");
    }
    kill(service);
    let open = rusqlite::Connection::open(file(&project)).unwrap();
    let query = "SELECT owner || ' ' || queued_at FROM runs WHERE id = 2";
    let refused: String = open.query_row(query, [], |row| row.get(0)).unwrap();
    let project = project.file("gate", "").file("pushflow/w/refused", &format!("{refused}\n"));

    let _service = bus.serve(&project, "w");
    assert_eq!((run_property(&bus, 1, "Status"), bus.end("w", 3)), (json!("interrupted"), json!("finished")));
    let ids: Vec<_> = history(&project, &["w"]).iter().map(|run| run["run"].clone()).collect();
    assert_eq!(ids, [3, 1]);
    let kept: i64 = open.query_row("SELECT count(*) FROM kept_runs", [], |row| row.get(0)).unwrap();
    assert_eq!((kept, project.path("pushflow/w/refused").exists()), (0, false));
}

fn resuming() -> Project {
    let workflow = format!(
        "links = [\n{{ from = 'start', to = 'count' }}, {{ from = 'count', to = 'again?' }},\n\
         {{ from = 'again?', to = 'count', port = true }}, {{ from = 'again?', to = 'both', port = false }},\n\
         {{ from = 'start', to = 'slow' }}, {{ from = 'slow', to = 'both' }}, {{ from = 'both', to = 'last' }},\n\
         {{ from = 'last', to = 'stop' }}]\n[workflow]\npython = {:?}\n[service]\nmode = 'resident'\n\
         on_crash = 'resume'\n[pool]\nmax_workers = 2\n[actors.count]\nscript = 'count.py'\n[actors.'again?']\n\
         kind = 'router'\nitem = 'again'\n[actors.slow]\nscript = 'slow.py'\n[actors.both]\nkind = 'join'\n\
         arrivals = 2\n[actors.last]\nscript = 'last.py'\n",
        python()
    );
    let count = "
import os, time
def run(folder, count=0, **_):
    with open(folder + '/rounds', 'a') as file:
        file.write(str(count))
    print('round', count, flush=True)
    while count == 3 and not os.path.exists(folder + '/gate'):
        time.sleep(0.01)
    return {'count': count + 1, 'again': count < 4, 'value': (1, 'x')}
";
    let slow = "
import os, time
def run(folder, **_):
    while not os.path.exists(folder + '/gate'):
        time.sleep(0.01)
    return {'slow': b'kept'}
";
    let last = "def run(slow, value, **_):\n    assert type(value) is tuple\n    return {'slow': repr(slow)}\n";
    Project::new()
        .file("pushflow/workflows/w.toml", &workflow)
        .file("pushflow/workflows/count.py", count)
        .file("pushflow/workflows/slow.py", slow)
        .file("pushflow/workflows/last.py", last)
}

#[test]
fn a_service_that_is_stopped_has_ended_what_waited() {
    let (bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let mut service = bus.serve(&project, "w");
    for _ in 0..3 {
        bus.run_until(&project, "gate");
    }
    service.wait_for("waiting for");
    service.signal(nix::sys::signal::Signal::SIGTERM);
    service.wait_for("running tasks may finish");
    let project = project.file("gate", "");
    assert_eq!(service.finish().code, Some(0));
    assert!(!file(&project).with_extension("sqlite-wal").exists(), "the log is folded into the file");
    let ends: Vec<_> = history(&project, &["w"]).iter().map(|run| run["status"].clone()).collect();
    assert_eq!(ends[..2], [json!("stopped"), json!("stopped")]);
    assert!(ends[2] == "stopped" || ends[2] == "finished", "{ends:?}");
}
