//! What clients call, and what they get.

use serde_json::json;

use crate::bus::{Bus, Installed};

/// Says the Python types of what it gets.
const TYPES: &str = "
def look(value):
    if isinstance(value, dict):
        return {key: look(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(look, value)]
    return [type(value).__name__, str(value)]
def run(**inputs):
    return {'seen': look(inputs)}
";

#[test]
fn busctl_asks_for_a_run_and_reads_what_it_gave() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(x, **_): return {'y': 2 * x}"));
    let mut service = bus.serve(&project, "w");
    let answer = bus.call("w", "Run", &["a{sv}a{sv}", "1", "x", "i", "21", "1", "label", "s", "the first"]);
    assert_eq!(answer.stdout, "o \"/org/pushflow/workflow/run/1\"\n", "{}", answer.stderr);
    service.wait_for("run ended");
    assert_eq!(bus.outputs("w", 1), json!({"x": 21, "y": 42}));
    assert_eq!(bus.run_property("w", 1, "Status"), "finished");
    assert_eq!(bus.run_property("w", 1, "Label"), "the first");
    assert_eq!(bus.run_property("w", 1, "StartedByUID"), json!(nix::unistd::geteuid().as_raw()));
    let at = ["QueuedAt", "StartedAt", "EndedAt"].map(|name| bus.run_property("w", 1, name).as_u64().unwrap());
    assert!(at.is_sorted(), "{at:?}");
    assert_eq!((bus.workflow("w", "RunsFinished"), bus.workflow("w", "RunsFailed")), (json!(1), json!(0)));
    assert_eq!(bus.property("w", "/org/pushflow/workflow/actor/task", "org.pushflow.Actor1", "Executions"), 1);
}

#[test]
fn busctl_shows_the_objects_as_a_tree() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {}"));
    let mut service = bus.serve(&project, "w");
    bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]);
    service.wait_for("run ended");
    let tree = bus.run("busctl", &["--user", "tree", "--list", "org.pushflow.Workflow1.w"]).stdout;
    for path in ["/org/pushflow/workflow", "/org/pushflow/workflow/run/1", "/org/pushflow/workflow/actor/task"] {
        assert!(tree.lines().any(|line| line == path), "{path} in\n{tree}");
    }
}

#[test]
fn values_from_the_bus_have_the_python_types_that_are_promised() {
    let (bus, project) = (Bus::new(), Installed::resident("", TYPES));
    let mut service = bus.serve(&project, "w");
    let inputs = "{'b': <true>, 'y': <byte 7>, 'x': <int64 -5>, 't': <uint64 18446744073709551615>, 'd': <0.5>, \
                  's': <'text'>, 'ay': <b'ab'>, 'as': <['p', 'q']>, 'dict': <{'k': <1>}>, 'tuple': <(1, 'z')>, \
                  'v': <<'inner'>>}";
    let service_name = "org.pushflow.Workflow1.w";
    let method = "org.pushflow.Workflow1.Run";
    let arguments =
        ["call", "--session", "--dest", service_name, "--object-path", "/org/pushflow/workflow", "--method", method];
    let answer = bus.run("gdbus", &[&arguments[..], &[inputs, "{}"]].concat());
    assert_eq!(answer.stdout, "(objectpath '/org/pushflow/workflow/run/1',)\n", "{}", answer.stderr);
    service.wait_for("run ended");
    assert_eq!(
        bus.outputs("w", 1)["seen"],
        json!({
            "b": ["bool", "True"], "y": ["int", "7"], "x": ["int", "-5"], "t": ["int", "18446744073709551615"],
            "d": ["float", "0.5"], "s": ["str", "text"], "ay": ["bytes", "b'ab\\x00'"],
            "as": ["list", ["str", "p"], ["str", "q"]], "dict": {"k": ["int", "1"]},
            "tuple": ["tuple", ["int", "1"], ["str", "z"]], "v": ["str", "inner"],
        })
    );
}

#[test]
fn a_python_program_hears_of_its_run_until_it_is_completed() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(x, **_): return {'y': 2 * x}"));
    let _service = bus.serve(&project, "w");
    let program = "
import dbus, dbus.mainloop.glib, json
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus, loop, heard = dbus.SessionBus(), GLib.MainLoop(), []
name, root = 'org.pushflow.Workflow1.w', '/org/pushflow/workflow'
def hear(*values, member, path):
    if member != 'PropertiesChanged':
        heard.append([member, *map(str, values)])
    if member == 'RunFinished':
        loop.quit()
for interface in ('org.pushflow.Workflow1', 'org.pushflow.Run1'):
    bus.add_signal_receiver(hear, dbus_interface=interface, member_keyword='member', path_keyword='path')
workflow = dbus.Interface(bus.get_object(name, root), 'org.pushflow.Workflow1')
run = workflow.RunJson(json.dumps({'x': 4}), dbus.Dictionary({'timeout': '1m'}, signature='sv'))
GLib.timeout_add_seconds(20, loop.quit)
loop.run()
properties = dbus.Interface(bus.get_object(name, run), 'org.freedesktop.DBus.Properties')
print(json.dumps([heard, json.loads(properties.Get('org.pushflow.Run1', 'Outputs'))]))
";
    let said = bus.run("/usr/bin/python3", &["-c", program]).json();
    let run = "/org/pushflow/workflow/run/1";
    let members: Vec<_> = said[0].as_array().unwrap().iter().collect();
    for expected in [
        json!(["RunStarted", run]),
        json!(["ActorStarted", run, "task"]),
        json!(["ActorFinished", run, "task", "finished"]),
        json!(["Completed", "finished"]),
        json!(["RunFinished", run, "finished"]),
    ] {
        assert_eq!(members.iter().filter(|heard| ***heard == expected).count(), 1, "{expected} in {said}");
    }
    assert_eq!(said[1], json!({"x": 4, "y": 8}));
}

#[test]
fn the_most_urgent_run_is_next() {
    let script = "
import os, time
def run(name, until=None, **_):
    print('run', name, flush=True)
    while until and not os.path.exists(until):
        time.sleep(0.01)
    return {}
";
    let (bus, project) = (Bus::new(), Installed::resident("", script));
    let mut service = bus.serve(&project, "w");
    let gate = project.path("gate").display().to_string();
    bus.call("w", "Run", &["a{sv}a{sv}", "2", "name", "s", "first", "until", "s", &gate, "0"]);
    service.wait_for("run first");
    for (name, priority) in [("usual", "0"), ("urgent", "7"), ("idle", "-3"), ("later", "0")] {
        let arguments = ["a{sv}a{sv}", "1", "name", "s", name, "1", "priority", "i", priority];
        let answer = bus.call("w", "Run", &arguments);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    }
    assert_eq!(bus.workflow("w", "QueuedRuns"), 4);
    let _project = project.file("gate", "");
    for name in ["urgent", "usual", "later", "idle"] {
        let line = service.wait_for("| run");
        assert!(line.ends_with(&format!("run {name}\n")), "{name}: {line}");
    }
}
