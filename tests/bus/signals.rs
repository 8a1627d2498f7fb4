//! Signals: to the service, and through it to its processes.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::bus::{Bus, Installed, WAITS};
use crate::processes::{FAMILY, ended, family};

fn is_alive(pid: i64) -> bool {
    let stat = procfs::process::Process::new(pid as i32).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.state != 'Z')
}

fn signal(bus: &Bus, whom: &str, signal: Signal) -> crate::support::Finished {
    bus.call("w", "Signal", &["si", whom, &(signal as i32).to_string()])
}

#[test]
fn a_signal_goes_to_those_that_are_meant() {
    let (bus, project) = (Bus::new(), Installed::resident("", FAMILY));
    let mut service = bus.serve(&project, "w");
    let [worker, daemonic, program, found] = family(&bus, &mut service);
    assert_eq!(signal(&bus, "daemonic", Signal::SIGTERM).code, Some(0));
    ended(daemonic);
    service.wait_for(&format!("SIGTERM for daemonic was sent to {daemonic}"));
    assert!([worker, program, found].into_iter().all(is_alive));
    // A second time there is none, which is no error.
    assert_eq!(signal(&bus, "daemonic", Signal::SIGTERM).code, Some(0));
    service.wait_for("SIGTERM for daemonic: there is no such process");

    assert_eq!(signal(&bus, "non-daemonic", Signal::SIGSTOP).code, Some(0));
    service.wait_for("SIGSTOP for non-daemonic was sent to");
    let stopped = |pid: i64| procfs::process::Process::new(pid as i32).unwrap().stat().unwrap().state == 'T';
    for pid in [worker, program, found] {
        assert!(
            (0..500).any(|_| stopped(pid) || {
                std::thread::sleep(Duration::from_millis(10));
                false
            }),
            "{pid}"
        );
    }
    assert_eq!(signal(&bus, "all", Signal::SIGCONT).code, Some(0));

    assert_eq!(signal(&bus, "actor:task", Signal::SIGKILL).code, Some(0));
    for pid in [worker, program, found] {
        ended(pid);
    }
    service.wait_for("task: the worker process of the task was killed by SIGKILL");
    service.wait_for("run ended: failed");
    // The supervisor, and what the next run needs, are there.
    family(&bus, &mut service);
}

#[test]
fn a_signal_to_all_leaves_nothing_but_the_supervisor_and_the_service_works_on() {
    let (bus, project) = (Bus::new(), Installed::resident("", FAMILY));
    let mut service = bus.serve(&project, "w");
    for deadly in [Signal::SIGKILL, Signal::SIGTERM] {
        let pids = family(&bus, &mut service);
        assert_eq!(signal(&bus, "all", deadly).code, Some(0));
        pids.into_iter().for_each(ended);
        service.wait_for("run ended: failed");
    }
    family(&bus, &mut service);
    assert_eq!(bus.workflow("w", "RunsFailed"), 2);
}

#[test]
fn nobody_and_no_signal_are_refused_in_words() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {}"));
    let mut service = bus.serve(&project, "w");
    for (arguments, says) in [
        (["si", "everyone", "15"], "\"everyone\" is nobody: it must be all, daemonic, non-daemonic, or actor:ID"),
        (["si", "actor:tusk", "15"], "there is no actor \"tusk\""),
        (["si", "", "15"], "is nobody"),
        (["si", "all", "0"], "0 is not the number of a signal"),
        (["si", "all", "64"], "64 is not the number of a signal"),
        (["ss", "all", "SIGTERM"], "ignature mismatch"),
        (["su", "all", "15"], "ignature mismatch"),
    ] {
        let refused = bus.call("w", "Signal", &arguments);
        assert!(refused.code != Some(0) && refused.stderr.contains(says), "{arguments:?}: {}", refused.stderr);
    }
    let hostile = "
import dbus
workflow = dbus.SessionBus().get_object('org.pushflow.Workflow1.w', '/org/pushflow/workflow')
for whom in ('x' * 10_000_000, 'actor:' + 'x' * 10_000_000):
    try:
        workflow.Signal(whom, 15, dbus_interface='org.pushflow.Workflow1')
    except dbus.DBusException as error:
        print(error.get_dbus_name(), len(str(error)) < 1000)
";
    let said = bus.run("/usr/bin/python3", &["-c", hostile]);
    assert_eq!(said.stdout, "org.freedesktop.DBus.Error.InvalidArgs True\n".repeat(2), "{}", said.stderr);
    assert_eq!(bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]).code, Some(0));
    service.wait_for("run ended: finished");
}

#[test]
fn sigint_interrupts_what_runs_and_starts_nothing_that_waits() {
    let (bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let mut service = bus.serve(&project, "w");
    for _ in 0..2 {
        bus.run_until(&project, "gate");
    }
    service.wait_for("waiting for");
    service.signal(Signal::SIGINT);
    let finished = service.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("run ended: aborted"), "{}", finished.stderr);
    assert!(finished.stderr.contains("every process is gone"), "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("waiting for").count(), 1, "{}", finished.stderr);
}

#[test]
fn a_run_once_that_is_interrupted_ends_with_130_and_one_that_is_terminated_with_143() {
    let bus = Bus::new();
    let script = "
import time
def run(**_):
    print('it runs', flush=True)
    time.sleep(2)
    return {}
";
    let project = Installed(crate::support::Project::new()).workflow("once", "", script).0;
    for (sent, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut service = bus.start(&project, "once");
        service.wait_for("it runs");
        service.signal(sent);
        assert_eq!(service.finish().code, Some(code));
    }
}

/// Hears no signal but SIGKILL.
const DEAF: &str = "
import signal, time
def run(**_):
    for it in (signal.SIGINT, signal.SIGTERM): signal.signal(it, signal.SIG_IGN)
    print('deaf', flush=True)
    while True: time.sleep(1)
";

#[test]
fn a_second_signal_does_not_wait_for_what_runs() {
    for (first, second) in [
        (Signal::SIGTERM, Signal::SIGTERM),
        (Signal::SIGTERM, Signal::SIGINT),
        (Signal::SIGINT, Signal::SIGINT),
        (Signal::SIGINT, Signal::SIGTERM),
    ] {
        let (bus, project) = (Bus::new(), Installed::resident("stop_timeout = '10m'", DEAF));
        let mut service = bus.serve(&project, "w");
        bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]);
        service.wait_for("deaf");
        service.signal(first);
        service.wait_for(first.as_str());
        service.signal(second);
        service.wait_for("killing the running tasks");
        let begin = Instant::now();
        let finished = service.finish();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert!(begin.elapsed() < Duration::from_secs(30), "{first} and {second}");
        assert!(finished.stderr.contains("every process is gone"), "{}", finished.stderr);
    }
}

#[test]
fn who_is_waited_for_at_the_end_can_be_seen_and_signalled() {
    let script = "
import subprocess
def run(**_):
    return {'left': subprocess.Popen(['sleep', '1000']).pid}
";
    let (bus, project) = (Bus::new(), Installed::resident("stop_timeout = '10m'", script));
    let mut service = bus.serve(&project, "w");
    bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]);
    service.wait_for("run ended: finished");
    let left = bus.outputs("w", 1)["left"].as_i64().unwrap();
    bus.call("w", "Drain", &[]);
    service.wait_for("waiting for what tasks have left running");
    assert_eq!(bus.workflow("w", "State"), "stopping");
    let shown = bus.pushflow(&project, &["ps", "w"]);
    assert!(shown.stdout.contains("sleep 1000"), "{}{}", shown.stdout, shown.stderr);
    let refused = bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]);
    assert!(refused.stderr.contains("the service is ending"), "{}", refused.stderr);
    assert_eq!(signal(&bus, "all", Signal::SIGKILL).code, Some(0));
    ended(left);
    let finished = service.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("every process is gone"), "{}", finished.stderr);
}

#[test]
fn daemonic_workers_get_sigterm_when_the_service_is_stopped() {
    let (bus, project) = (Bus::new(), Installed::resident("stop_timeout = '10m'", WAITS));
    let file = project.path("pushflow/workflows/w.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("[pool]", "[pool]\ntype = 'multiprocessing'");
    std::fs::write(&file, text).unwrap();
    let mut service = bus.serve(&project, "w");
    bus.call("w", "Run", &["a{sv}a{sv}", "1", "until", "s", "/nowhere", "0"]);
    service.wait_for("waiting for");
    assert_eq!(bus.workflow("w", "ActiveRuns"), json!(1));
    service.signal(Signal::SIGTERM);
    // It is not waited for: ten minutes would be the patience with others.
    let finished = service.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}
