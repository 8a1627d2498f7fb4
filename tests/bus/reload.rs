//! `[service]` after a reload: what holds at once, what later, and what only when the service is started again.

use nix::sys::signal::Signal;

use crate::bus::{Bus, Installed, WAITS};
use crate::support::Project;
use crate::support::process::output;

/// Changes the installed workflow `w`.
fn change(project: &Project, from: &str, to: &str) {
    let file = project.path("pushflow/workflows/w.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    std::fs::write(&file, text.replace(from, to)).unwrap();
}

#[test]
fn a_wrong_file_of_any_shape_is_refused_in_a_few_lines_and_ends_nothing() {
    let (bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let mut service = bus.serve(&project, "w");
    bus.run_until(&project, "gate");
    service.wait_for("waiting for");
    let file = project.path("pushflow/workflows/w.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let link = "{ from = 'start', to = 'stop' }";
    for wrong in [
        format!("links = [{link},{}{link}]", " ".repeat(70_000)),
        format!("links = [{}]", format!("{link},").repeat(2600)),
        format!("x = {}", "[".repeat(200_000)),
        "\0".repeat(100_000),
    ] {
        std::fs::write(&file, wrong).unwrap();
        // busctl shows the beginning of a long error, and cuts within characters.
        let arguments = ["--user", "call", "org.pushflow.Workflow1.w", "/org/pushflow/workflow"];
        let reload = [&arguments[..], &["org.pushflow.Workflow1", "Reload"]].concat();
        let refused = output(&mut bus.command("busctl", &reload));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("×"), "{said}");
    }
    // What has no end is not waited for either.
    std::fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let refused = bus.call("w", "Reload", &[]);
    assert!(refused.stderr.contains("it is a pipe or a device, not a file"), "{}", refused.stderr);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, good).unwrap();
    assert_eq!(bus.call("w", "Reload", &[]).code, Some(0));
    std::fs::write(project.path("gate"), "").unwrap();
    service.wait_for("run ended: finished");
}

#[test]
fn how_many_may_wait_and_how_long_a_stop_waits_hold_at_once() {
    let (bus, project) = (Bus::new(), Installed::resident("max_queued_runs = 1\nstop_timeout = '10m'", WAITS));
    let mut service = bus.serve(&project, "w");
    let run = || bus.ask_until(&project, "gate");
    assert_eq!(run().code, Some(0));
    service.wait_for("waiting for");
    assert_eq!(run().code, Some(0));
    assert!(run().stderr.contains("1 runs are queued already"));
    change(&project, "max_queued_runs = 1", "max_queued_runs = 2");
    change(&project, "10m", "300ms");
    assert_eq!(bus.call("w", "Reload", &[]).code, Some(0));
    service.wait_for("max_queued_runs and stop_timeout apply now");
    assert_eq!(run().code, Some(0));
    service.signal(Signal::SIGTERM);
    service.wait_for("may finish within 300ms");
    service.wait_for("have not finished in time: killing them");
    assert_eq!(service.finish().code, Some(0));
}

#[test]
fn how_many_run_at_once_holds_when_those_that_run_have_ended() {
    let (bus, project) = (Bus::new(), Installed::resident("max_concurrent_runs = 1", WAITS));
    let mut service = bus.serve(&project, "w");
    let run = |gate: &str| bus.run_until(&project, gate);
    run("first");
    service.wait_for("waiting for");
    for _ in 0..3 {
        run("others");
    }
    change(&project, "max_concurrent_runs = 1", "max_concurrent_runs = 3");
    assert_eq!(bus.call("w", "Reload", &[]).code, Some(0));
    assert_eq!(bus.workflow("w", "ActiveRuns"), 1);
    std::fs::write(project.path("first"), "").unwrap();
    for id in 2..=4 {
        service.wait_for(&format!("run {id} started"));
    }
    assert_eq!(bus.workflow("w", "ActiveRuns"), 3);
    std::fs::write(project.path("others"), "").unwrap();
    for _ in 0..3 {
        service.wait_for("run ended: finished");
    }
}

#[test]
fn the_mode_stays_until_a_restart_which_is_said_and_the_rest_of_the_file_holds() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {'version': 1}"));
    let mut service = bus.serve(&project, "w");
    change(&project, "mode = 'resident'", "mode = 'run'");
    change(&project, "w.py", "new.py");
    let project = project.file("pushflow/workflows/new.py", "def run(**_): return {'version': 2}");
    assert_eq!(bus.call("w", "Reload", &[]).code, Some(0));
    service.wait_for("[service] mode is \"run\" in the file, and stays \"resident\" until the service is restarted");
    for run in 1..=2 {
        assert_eq!(bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]).code, Some(0));
        service.wait_for("run ended: finished");
        assert_eq!(bus.outputs("w", run)["version"], 2);
    }
    // It has not become one that ends when nothing is to do.
    assert_eq!(bus.workflow("w", "State"), "idle");
    drop(project);
}

#[test]
fn a_run_once_goes_on_with_what_it_began_with_and_ends() {
    let bus = Bus::new();
    let project = Installed(Project::new()).workflow("w", "[inputs]\nuntil = 'GATE'", WAITS).0;
    let gate = project.path("gate").display().to_string();
    change(&project, "GATE", &gate);
    let mut service = bus.start(&project, "w");
    service.wait_for("waiting for");
    change(&project, "[service]", "[service]\nmode = 'resident'");
    service.signal(Signal::SIGHUP);
    service.wait_for("the rest when the service is started again");
    service.wait_for("[service] mode is \"resident\" in the file, and stays \"run\"");
    std::fs::write(&gate, "").unwrap();
    let finished = service.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[test]
fn the_history_stays_as_it_was_opened_which_is_said() {
    let (bus, project) = (Bus::new(), Installed::resident("on_crash = 'rerun'", "def run(**_): return {}"));
    let mut service = bus.serve(&project, "w");
    change(&project, "on_crash = 'rerun'", "on_crash = 'interrupt'");
    change(&project, "[pool]", "[history]\nkeep = '1d'\n[pool]");
    assert_eq!(bus.call("w", "Reload", &[]).code, Some(0));
    service.wait_for("[history] has changed: it applies when the service is restarted");
    service.wait_for("[service] on_crash has changed");
}
