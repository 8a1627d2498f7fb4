//! `list`, `submit`, `status` and `stop`.

use serde_json::{Value, json};

use crate::bus::{Bus, Installed, WAITS};
use crate::support::finished;
use crate::support::process::{Process, output};

#[test]
fn submit_waits_prints_the_output_and_exits_as_the_run_ended() {
    let script = "
import time
def run(x, **_):
    if x < 0:
        raise ValueError('x is negative')
    time.sleep(x)
    return {'y': 2 * x}
";
    let (bus, project) = (Bus::new(), Installed::resident("", script));
    let _service = bus.serve(&project, "w");
    let finished = bus.pushflow(&project, &["submit", "w", "-i", "x=0", "--wait"]);
    assert_eq!(finished.json(), json!({"x": 0, "y": 0}));
    let failed = bus.pushflow(&project, &["submit", "w", "-i", "x=-1", "--wait"]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(failed.stderr.contains("run 2 of w ended: failed: task: x is negative"), "{}", failed.stderr);
    let late = bus.pushflow(&project, &["submit", "w", "-i", "x=60", "--timeout", "0.2", "--wait"]);
    assert_eq!(late.code, Some(124), "{}", late.stderr);
    let wrong = bus.pushflow(&project, &["submit", "w", "--inputs", "nowhere.json"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}

#[test]
fn submit_without_waiting_names_the_run_and_status_shows_it() {
    let (bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let mut service = bus.serve(&project, "w");
    let until = format!("until={}", project.path("gate").display());
    let said = bus.pushflow(&project, &["submit", "w", "-i", &until, "--label", "a night's work", "--json"]);
    assert_eq!(said.json(), json!({"run": 1, "path": "/org/pushflow/workflow/run/1"}));
    service.wait_for("waiting for");
    bus.pushflow(&project, &["submit", "w", "-i", &until]);
    let status = bus.pushflow(&project, &["status", "w"]).stdout;
    assert!(status.contains("running: 1 active, 1 queued"), "{status}");
    let line = status.lines().find(|line| line.starts_with("1 ")).unwrap_or_else(|| panic!("{status}"));
    assert!(line.contains("running") && line.contains("a night's work") && line.ends_with("task"), "{line}");
    let json = bus.pushflow(&project, &["status", "w", "--json"]).json();
    assert_eq!((&json["State"], &json["Runs"][0]["ActiveActors"]), (&json!("running"), &json!(["task"])));
    let _project = project.file("gate", "");
    service.wait_for("run ended");
}

#[test]
fn a_label_is_one_line_for_people_exact_for_programs_and_not_too_long() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {}"));
    let mut service = bus.serve(&project, "w");
    let label = "a\nrun 7 of w\x1b[2J\u{202e}\u{9b}";
    assert_eq!(bus.pushflow(&project, &["submit", "w", "--label", label, "--wait"]).json(), json!({}));
    for arguments in [&["status", "w"][..], &["history", "w"], &["show", "w/1"]] {
        let shown = bus.pushflow(&project, arguments);
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        let line = shown.stdout.lines().find(|line| line.contains("run 7")).unwrap();
        assert!(line.contains(r"a\nrun 7 of w\x1b[2J\u202e\x9b"), "{line}");
        assert!(!shown.stdout.contains(['\x1b', '\u{9b}', '\u{202e}']), "{:?}", shown.stdout);
    }
    assert_eq!(bus.pushflow(&project, &["status", "w", "--json"]).json()["Runs"][0]["Label"], label);
    assert_eq!(bus.pushflow(&project, &["history", "w", "--json"]).json()[0]["label"], label);
    // On the command line, and on the bus for everybody else.
    let long = "x".repeat(201);
    let refused = bus.pushflow(&project, &["submit", "w", "--label", &long]);
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    assert!(refused.stderr.contains("it has 201 characters, and 200 are the most"), "{}", refused.stderr);
    let refused = bus.pushflow(&project, &["submit", "w", "--label", &long.repeat(500)]);
    assert!(refused.code == Some(2) && refused.stderr.len() < 10_000, "{} bytes", refused.stderr.len());
    let refused = bus.call("w", "Run", &["a{sv}a{sv}", "0", "1", "label", "s", &long]);
    assert!(refused.stderr.contains("option label must be a text of at most 200 characters"), "{}", refused.stderr);
    bus.pushflow(&project, &["stop", "w"]);
    service.wait_for("every process is gone");
}

#[test]
fn list_shows_what_is_installed_and_what_is_running() {
    let bus = Bus::new();
    let project = Installed(crate::support::Project::new())
        .workflow("busy-bee", "mode = 'resident'", "def run(**_): return {}")
        .workflow("idle", "", "def run(**_): return {}")
        .0;
    let _service = bus.serve(&project, "busy-bee");
    let json = bus.pushflow(&project, &["list", "--json"]).json();
    let states: Vec<_> = json.as_array().unwrap().iter().map(|line| (&line["name"], &line["state"])).collect();
    assert_eq!(states, [(&json!("busy-bee"), &json!("idle")), (&json!("idle"), &Value::Null)]);
    let text = bus.pushflow(&project, &["list"]).stdout;
    assert!(text.starts_with("NAME") && text.contains("A test"), "{text}");
}

#[test]
fn list_without_anything_shows_no_table_and_an_empty_array() {
    let (bus, project) = (Bus::new(), crate::support::Project::new());
    let said = bus.pushflow(&project, &["list"]);
    assert_eq!(said.code, Some(0));
    assert!(
        said.stdout.starts_with("no workflow is installed in ") && said.stdout.lines().count() == 1,
        "{}",
        said.stdout
    );
    let alone = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere").env("XDG_CONFIG_HOME", project.path(""));
        finished(output(&mut command))
    };
    let said = alone(&["list", "--user"]);
    assert_eq!(said.code, Some(0));
    assert!(
        said.stdout.starts_with("no workflow is installed in ") && said.stdout.lines().count() == 1,
        "{}",
        said.stdout
    );
    assert!(said.stderr.contains("which are running is not known"), "{}", said.stderr);
    let said = alone(&["list", "--user", "--json"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "[]\n"));
}

#[test]
fn a_service_that_is_not_running_is_told_with_how_to_start_it() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {}"));
    for arguments in [&["submit", "w"][..], &["status", "w"], &["stop", "w"]] {
        let said = bus.pushflow(&project, arguments);
        assert_eq!(said.code, Some(3), "{}", said.stderr);
        assert_eq!(
            said.stderr,
            "pushflow: w is not running (looked on the session bus); start it with: systemctl --user start pushflow@w\n"
        );
    }
    let said = bus.pushflow(&project, &["submit", "unknown"]);
    assert!(said.code == Some(3) && said.stderr.contains("there is no workflow unknown"), "{}", said.stderr);
    let nothing = "no workflow is running (looked on the session bus)\n";
    assert_eq!(bus.pushflow(&project, &["status"]).stdout, nothing);
}

#[test]
fn stop_ends_one_run_or_the_service() {
    let (bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let mut service = bus.serve(&project, "w");
    let until = format!("until={}", project.path("gate").display());
    bus.pushflow(&project, &["submit", "w", "-i", &until]);
    service.wait_for("waiting for");
    let said = bus.pushflow(&project, &["stop", "w", "7"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(3), "pushflow: w has no run 7\n"));
    let said = bus.pushflow(&project, &["stop", "w", "1", "--abort"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "run 1 of w is aborted\n"));
    service.wait_for("run ended: aborted");
    bus.pushflow(&project, &["submit", "w", "-i", &until]);
    service.wait_for("waiting for");
    let said = bus.pushflow(&project, &["stop", "w", "--abort"]);
    assert_eq!(said.stdout, "w takes no more runs: its runs are aborted\n");
    let finished = service.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[test]
fn a_service_that_dies_is_told_to_those_who_wait_for_it() {
    let (bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let mut service = bus.serve(&project, "w");
    let until = format!("until={}", project.path("gate").display());
    let waiting = Process::start(&mut bus.pushflow_command(&project, &["submit", "w", "-i", &until, "--wait"]));
    service.wait_for("waiting for");
    service.signal(nix::sys::signal::Signal::SIGKILL);
    let waiting = finished(waiting.end());
    assert_eq!(waiting.code, Some(1), "{}", waiting.stderr);
    assert!(waiting.stderr.contains("the service w has ended before run 1"), "{}", waiting.stderr);
}

#[test]
fn an_output_that_no_message_of_the_bus_holds_is_named_and_the_run_ends_as_it_ended() {
    let script = "def run(**_): return {'x': 'y' * 150_000_000, 'n': 7}";
    let (bus, project) = (Bus::new(), Installed::resident("", script));
    // The output is written as JSON within the time of grace.
    let file = "pushflow/workflows/w.toml";
    let workflow = std::fs::read_to_string(project.path(file)).unwrap().replace("grace = '500ms'", "grace = '60s'");
    let project = project.file(file, &workflow);
    let mut service = bus.serve(&project, "w");
    let finished = bus.pushflow(&project, &["submit", "w", "--wait"]);
    assert_eq!(finished.json(), json!({"x": {"$type": "str", "$bytes": 150_000_002}, "n": 7}), "{}", finished.stderr);
    assert!(finished.stderr.contains("too large for D-Bus"), "{}", finished.stderr);
    assert!(finished.stderr.contains("`pushflow show w/1`"), "{}", finished.stderr);
    // The service is still on the bus.
    let status = bus.pushflow(&project, &["status", "w", "--json"]).json();
    assert_eq!(status["RunsFinished"], 1);
    let whole = bus.pushflow(&project, &["show", "w/1", "--json"]);
    assert_eq!(whole.json()["outputs"]["x"].as_str().map(str::len), Some(150_000_000), "{}", whole.stderr);
    service.wait_for("run ended");
}

#[test]
fn inputs_that_no_property_holds_are_refused_before_they_are_sent() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {}"));
    let _service = bus.serve(&project, "w");
    let project = project.file("large.json", &format!("{{\"x\": \"{}\"}}", "y".repeat(50_000_000)));
    let refused = bus.pushflow(&project, &["submit", "w", "--inputs", "large.json"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("the inputs have 47 MiB; at most 40 MiB can be given over D-Bus"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_shell_completes_the_services_that_run() {
    let (bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let _service = bus.serve(&project, "w");
    for verb in ["submit", "status", "stop", "ps"] {
        // As the lines of `pushflow completions bash` ask.
        let mut command = project.command(&["--", "pushflow", verb, ""]);
        let asked = command
            .env("DBUS_SESSION_BUS_ADDRESS", bus.address())
            .env("PUSHFLOW_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", "2")
            .env("_CLAP_IFS", "\n");
        let offered = String::from_utf8(output(asked).stdout).unwrap();
        assert_eq!(offered.lines().next(), Some("w"), "{verb}: {offered}");
    }
}
