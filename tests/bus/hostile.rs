//! Buses that go away, and clients that ask for too much, or nonsense.

use serde_json::json;

use crate::bus::{Bus, Installed, WAITS};
use crate::support::process::Process;

const NOTHING: &str = "def run(**inputs): return {}";

#[test]
fn a_lost_bus_touches_no_run_and_the_service_comes_back_on_it() {
    let (mut bus, project) = (Bus::new(), Installed::resident("", WAITS));
    let mut service = bus.serve(&project, "w");
    bus.run_until(&project, "gate");
    service.wait_for("waiting for");
    bus.kill();
    service.wait_for("is lost: runs continue");
    let _project = project.file("gate", "");
    service.wait_for("run ended: finished");
    bus.start_again();
    service.wait_for("on the session bus");
    assert_eq!(bus.outputs("w", 1)["waited"], true);
}

#[test]
fn a_service_without_a_bus_runs_its_workflow_all_the_same() {
    let (mut bus, project) = (Bus::new(), Installed(crate::support::Project::new()).workflow("once", "", NOTHING).0);
    bus.kill();
    let finished = bus.start(&project, "once").finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("cannot reach the session bus"), "{}", finished.stderr);
}

#[test]
fn a_second_service_of_the_same_name_says_so_and_takes_over_when_the_first_has_gone() {
    let (bus, project) = (Bus::new(), Installed::resident("", NOTHING));
    let first = bus.serve(&project, "w");
    let mut second = bus.start(&project, "w");
    second.wait_for("another service is on the session bus as org.pushflow.Workflow1.w");
    drop(first);
    second.wait_for("on the session bus");
}

#[test]
fn a_full_queue_refuses_and_loses_nothing() {
    let (bus, project) = (Bus::new(), Installed::resident("max_queued_runs = 2", WAITS));
    let mut service = bus.serve(&project, "w");
    let run = || bus.ask_until(&project, "gate");
    assert_eq!(run().code, Some(0));
    service.wait_for("waiting for");
    assert_eq!((run().code, run().code), (Some(0), Some(0)));
    assert!(run().stderr.contains("2 runs are queued already"), "{}", run().stderr);
    let _project = project.file("gate", "");
    for _ in 0..3 {
        service.wait_for("run ended: finished");
    }
    assert!((1..=3).all(|run| bus.end("w", run) == "finished"));
    assert_eq!(bus.workflow("w", "RunsFinished"), 3);
}

#[test]
fn nonsense_is_refused_in_words_and_harms_nothing() {
    let (bus, project) = (Bus::new(), Installed::resident("", NOTHING));
    let mut service = bus.serve(&project, "w");
    for (method, arguments, says) in [
        ("Run", vec!["s", "x"], "Signature mismatch"),
        ("Run", vec!["a{sv}a{sv}", "0", "1", "priorty", "i", "1"], "there is no option priorty"),
        ("Run", vec!["a{sv}a{sv}", "0", "1", "timeout", "s", "soon"], "option timeout must be"),
        ("RunJson", vec!["sa{sv}", "[1]", "0"], "must be a JSON object"),
        ("RunJson", vec!["sa{sv}", "{", "0"], "not valid JSON"),
        ("Walk", vec![], "nknown method"),
    ] {
        let refused = bus.call("w", method, &arguments);
        assert!(refused.code != Some(0) && refused.stderr.contains(says), "{method} {arguments:?}: {}", refused.stderr);
    }
    let set =
        ["--user", "set-property", "org.pushflow.Workflow1.w", "/org/pushflow/workflow", "org.pushflow.Workflow1"];
    assert_ne!(bus.run("busctl", &[&set[..], &["State", "s", "idle"]].concat()).code, Some(0));
    assert_eq!(bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]).code, Some(0));
    service.wait_for("run ended: finished");
}

#[test]
fn ten_megabytes_of_inputs_are_a_run_like_any_other() {
    let script = "def run(big, deep, **_): return {'length': len(big), 'big': None, 'deep': None}";
    let (bus, project) = (Bus::new(), Installed::resident("", script));
    let mut service = bus.serve(&project, "w");
    let program = "
import dbus, json
workflow = dbus.SessionBus().get_object('org.pushflow.Workflow1.w', '/org/pushflow/workflow')
deep = json.loads('[' * 60 + ']' * 60)
workflow.RunJson(json.dumps({'big': 'x' * 10_000_000, 'deep': deep}), dbus.Dictionary({}, signature='sv'), dbus_interface='org.pushflow.Workflow1')
";
    let said = bus.run("/usr/bin/python3", &["-c", program]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    service.wait_for("run ended: finished");
    assert_eq!(bus.outputs("w", 1)["length"], 10_000_000);
    // What is nested so deep that it could exhaust a stack is refused.
    let hostile = "
import dbus
workflow = dbus.SessionBus().get_object('org.pushflow.Workflow1.w', '/org/pushflow/workflow')
try:
    workflow.RunJson('{\"a\": ' + '[' * 500_000 + ']' * 500_000 + '}', dbus.Dictionary({}, signature='sv'), dbus_interface='org.pushflow.Workflow1')
except dbus.DBusException as error:
    print(error.get_dbus_name())
";
    let said = bus.run("/usr/bin/python3", &["-c", hostile]);
    assert_eq!(said.stdout, "org.pushflow.Error.InvalidInputs\n", "{}", said.stderr);
    assert_eq!(bus.workflow("w", "State"), "idle");
}

/// Asks for so many runs one after the other, and goes away with the last call unanswered.
const CLIENT: &str = "
import dbus, sys
workflow = dbus.Interface(dbus.SessionBus().get_object('org.pushflow.Workflow1.w', '/org/pushflow/workflow'), 'org.pushflow.Workflow1')
options = dbus.Dictionary({}, signature='sv')
for _ in range(int(sys.argv[1])):
    assert workflow.RunJson('{}', options).startswith('/org/pushflow/workflow/run/')
";

#[test]
fn ten_thousand_runs_from_eight_clients_and_more_are_all_answered_and_all_end() {
    let (bus, project) = (Bus::new(), Installed::resident("max_queued_runs = 20000\nmax_concurrent_runs = 4", NOTHING));
    let service = bus.serve(&project, "w");
    let pid = service.pid();
    let memory = || {
        let status = procfs::process::Process::new(pid.as_raw()).unwrap().status().unwrap();
        status.vmrss.unwrap()
    };
    let flood = |calls: &str| {
        let clients: Vec<_> =
            (0..8).map(|_| Process::start(&mut bus.command("/usr/bin/python3", &["-c", CLIENT, calls]))).collect();
        for client in clients {
            let ended = client.end();
            assert!(ended.status.success(), "{ended:?}");
        }
    };
    // Waits for the service's own word: nothing is polled.
    let idle = "
import dbus, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus, loop = dbus.SessionBus(), GLib.MainLoop()
workflow = bus.get_object('org.pushflow.Workflow1.w', '/org/pushflow/workflow')
def look(*_):
    if workflow.Get('org.pushflow.Workflow1', 'State', dbus_interface='org.freedesktop.DBus.Properties') == 'idle':
        loop.quit()
bus.add_signal_receiver(look, 'PropertiesChanged', path='/org/pushflow/workflow')
GLib.timeout_add_seconds(120, loop.quit)
GLib.idle_add(look)
loop.run()
";
    let wait = || assert_eq!(bus.run("/usr/bin/python3", &["-c", idle]).code, Some(0));
    flood("250");
    wait();
    // A long queue takes memory once, which the allocator keeps for the next one.
    flood("1000");
    wait();
    // A longer one takes more, once: what leaks grows each time.
    let (mut runs, mut sizes) = (10_000, vec![memory()]);
    while sizes.len() < 2 || (sizes.len() < 5 && sizes[sizes.len() - 1] > sizes[sizes.len() - 2] + 8 * 1024) {
        flood("1000");
        wait();
        runs += 8_000;
        sizes.push(memory());
    }
    assert_eq!(bus.workflow("w", "RunsFinished"), runs);
    assert_eq!(bus.workflow("w", "RunsFailed"), 0);
    assert_eq!((bus.workflow("w", "ActiveRuns"), bus.workflow("w", "QueuedRuns")), (json!(0), json!(0)));
    let actor = "/org/pushflow/workflow/actor/task";
    assert_eq!(bus.property("w", actor, "org.pushflow.Actor1", "Executions"), runs);
    assert!(sizes.len() < 5, "memory grows with each flood, KiB: {sizes:?}");
    service.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(service.finish().code, Some(0));
}
