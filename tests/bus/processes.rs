//! The processes of a service: listed on the bus, and by `pushflow ps`.

use serde_json::{Value, json};

use crate::bus::{Bus, Installed};
use crate::support::Running;
use crate::support::process::{Process, output};

/// A task with a daemonic child, a program that it announces, and one below that which nobody does; until a file is there.
pub(crate) const FAMILY: &str = "
import multiprocessing, os, subprocess, time
def sleep(): time.sleep(1000)
def run(until=None, **_):
    daemonic = multiprocessing.Process(target=sleep, daemon=True)
    daemonic.start()
    found = f'found-{os.getpid()}'
    program = subprocess.Popen(['sh', '-c', f'sleep 1000 & echo $! > {found}; wait'])
    while not os.path.exists(found) or not open(found).read(): time.sleep(0.01)
    print('pids', os.getpid(), daemonic.pid, program.pid, open(found).read().strip(), flush=True)
    while until is None or not os.path.exists(until): time.sleep(0.01)
    return {}
";

/// Starts a run of [`FAMILY`]: the worker, its daemonic child, the program, and what that has started.
pub(crate) fn family(bus: &Bus, service: &mut Running) -> [i64; 4] {
    let answer = bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let line = service.wait_for("pids");
    let mut pids = line.split("pids ").nth(1).unwrap().split_whitespace().map(|pid| pid.parse().unwrap());
    std::array::from_fn(|_| pids.next().unwrap())
}

/// What ListProcesses says, by the words of D-Bus.
fn listed(bus: &Bus) -> Vec<Value> {
    let arguments = ["--user", "--json=short", "call", "org.pushflow.Workflow1.w", "/org/pushflow/workflow"];
    let told = bus.run("busctl", &[&arguments[..], &["org.pushflow.Workflow1", "ListProcesses"]].concat());
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let processes = told.json()["data"][0].as_array().unwrap().clone();
    let plain = |process: Value| {
        let values = process.as_object().unwrap().clone().into_iter();
        Value::Object(values.map(|(name, value)| (name, value["data"].clone())).collect())
    };
    processes.into_iter().map(plain).collect()
}

/// The same once a process is among them: what is told can be a tenth of a second old.
fn listed_with(bus: &Bus, pid: i64) -> Vec<Value> {
    for _ in 0..100 {
        let processes = listed(bus);
        if processes.iter().any(|process| process["Pid"] == pid) {
            return processes;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{pid} is not listed");
}

fn find(processes: &[Value], key: &str, pid: i64) -> Value {
    processes.iter().find(|process| process[key] == pid).unwrap_or_else(|| panic!("{pid} in {processes:?}")).clone()
}

#[test]
fn every_process_is_listed_on_the_bus_with_its_place() {
    let (bus, project) = (Bus::new(), Installed::resident("", FAMILY));
    let mut service = bus.serve(&project, "w");
    let pids = family(&bus, &mut service);
    let processes = listed_with(&bus, pids[3]);
    let kinds: Vec<_> = processes.iter().map(|process| process["Kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["supervisor", "forkserver", "worker", "child", "child", "child"], "{processes:?}");
    assert_eq!(processes[0]["Pid"], i64::from(service.pid().as_raw()));
    let [worker, daemonic, program, found] = pids.map(|pid| find(&processes, "Pid", pid));
    for its in [&worker, &daemonic, &program, &found] {
        assert_eq!((&its["Pool"], &its["Actor"]), (&json!("default"), &json!("task")), "{its}");
        assert_eq!(its["Run"], "/org/pushflow/workflow/run/1", "{its}");
        assert!(its["MemoryCurrent"].as_u64().unwrap() > 100_000 && its["CPUUsageNSec"].is_u64(), "{its}");
        assert!(its["StartedAt"].as_u64().unwrap() > processes[0]["StartedAt"].as_u64().unwrap(), "{its}");
    }
    let flags = |its: &Value| (its["Daemonic"] == true, its["Announced"] == true);
    assert_eq!(
        [&worker, &daemonic, &program, &found].map(flags),
        [(false, true), (true, true), (false, true), (false, false)]
    );
    assert_eq!((&found["ParentPid"], &found["Command"]), (&program["Pid"], &json!("sleep 1000")));
    // What there is not is left out.
    assert_eq!((processes[0].get("Run"), processes[0].get("Pool")), (None, None));
}

#[test]
fn other_clients_read_the_list_too() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {}"));
    let service = bus.serve(&project, "w");
    let program = "
import dbus
workflow = dbus.SessionBus().get_object('org.pushflow.Workflow1.w', '/org/pushflow/workflow')
for process in workflow.ListProcesses(dbus_interface='org.pushflow.Workflow1'):
    print(int(process['Pid']), str(process['Kind']), bool(process['Daemonic']))
";
    let said = bus.run("/usr/bin/python3", &["-c", program]);
    assert_eq!(said.stdout.lines().next(), Some(&*format!("{} supervisor False", service.pid())), "{}", said.stderr);
    let (name, method) = ("org.pushflow.Workflow1.w", "org.pushflow.Workflow1.ListProcesses");
    let path = "/org/pushflow/workflow";
    let said = bus.run("gdbus", &["call", "--session", "--dest", name, "--object-path", path, "--method", method]);
    assert!(said.stdout.contains(&format!("'Pid': <uint32 {}>", service.pid())), "{}{}", said.stdout, said.stderr);
}

#[test]
fn ps_shows_a_service_as_it_shows_a_run_in_the_foreground() {
    let (bus, project) = (Bus::new(), Installed::resident("", FAMILY));
    let mut service = bus.serve(&project, "w");
    let pids = family(&bus, &mut service);
    listed_with(&bus, pids[3]);
    let shown = bus.pushflow(&project, &["ps", "w"]);
    let title = format!("w (user service, pid {}): running, 1 run, 6 processes\n", service.pid());
    assert!(shown.stdout.starts_with(&title), "{}{}", shown.stdout, shown.stderr);
    let line = shown.stdout.lines().find(|line| line.trim_start().starts_with(&pids[3].to_string())).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[1..5], ["N*", "default", "task", "1"], "{}", shown.stdout);
    assert!(line.ends_with("        sleep 1000"), "a grandchild of a worker is four levels deep: {}", shown.stdout);
    let json = bus.pushflow(&project, &["ps", "--json"]).json();
    assert_eq!(json[0]["workflow"], "w");
    assert_eq!(json[0]["service"], json!({"bus": "user", "state": "running", "active_runs": 1, "queued_runs": 0}));
    let daemonic = find(json[0]["processes"].as_array().unwrap(), "pid", pids[1]);
    assert_eq!((&daemonic["daemonic"], &daemonic["run"]), (&json!(true), &json!(1)));
}

#[test]
fn ps_without_a_name_shows_services_and_what_runs_in_the_foreground() {
    let bus = Bus::new();
    // Of a name that nothing else has on this host: root's `ps` shows what runs in /run/pushflow as well.
    let front_name = format!("front-{}", std::process::id());
    let project = Installed::resident("", "def run(**_): return {}")
        .file(
            &format!("{front_name}.toml"),
            &format!(
                "links = [{{ from = 'start', to = 'task' }}, {{ from = 'task', to = 'stop' }}]\n[workflow]\npython = {:?}\n\
                 [pool]\ngrace = '300ms'\n[actors.task]\nscript = 'front.py'\n",
                crate::support::python()
            ),
        )
        .file("front.py", "import time\ndef run(**_):\n    print('it runs', flush=True)\n    time.sleep(1000)\n");
    std::fs::create_dir(project.path("runtime")).unwrap();
    let on_this_bus = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.env("XDG_CONFIG_HOME", project.path("")).env("XDG_RUNTIME_DIR", project.path("runtime"));
        command.env("DBUS_SESSION_BUS_ADDRESS", bus.address());
        command
    };
    let _service = bus.serve(&project, "w");
    let mut front = project.start_as(&mut on_this_bus(&["run", &format!("{front_name}.toml")]));
    front.wait_for("it runs");
    let shown = crate::support::finished(output(&mut on_this_bus(&["ps", "--json"]))).json();
    let is_shown = |name: &str, bus: Value| {
        shown.as_array().unwrap().iter().any(|it| it["workflow"] == name && it["service"]["bus"] == bus)
    };
    assert!(is_shown(&front_name, Value::Null) && is_shown("w", json!("user")), "{shown}");
    let only = crate::support::finished(output(&mut on_this_bus(&["ps", "--user", "--json"]))).json();
    assert_eq!(only.as_array().unwrap().len(), 1, "{only}");
    front.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(front.finish().code, Some(130));
}

#[test]
fn ps_watches_a_service_until_it_has_ended() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {}"));
    let service = bus.serve(&project, "w");
    let mut command = project.command(&["ps", "w", "--user", "--watch", "--json"]);
    command.env("XDG_CONFIG_HOME", project.path("")).env("DBUS_SESSION_BUS_ADDRESS", bus.address());
    let mut watching = Process::start(&mut command);
    let line = watching.line();
    assert!(line.contains("\"workflow\":\"w\""), "{line}");
    service.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(service.finish().code, Some(0));
    assert_eq!(watching.end().status.code(), Some(0));
}

#[test]
fn ps_of_a_service_that_is_not_running_says_how_to_start_it() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {}"));
    let said = bus.pushflow(&project, &["ps", "w"]);
    assert_eq!(said.code, Some(3), "{}", said.stderr);
    let start = "start it with: systemctl --user start pushflow@w";
    assert_eq!(said.stderr, format!("pushflow: w is not running (looked on the session bus); {start}\n"));
    let said = bus.pushflow(&project, &["ps"]);
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (Some(3), "pushflow: no service is running (looked on the session bus)\n")
    );
}

fn object(bus: &Bus, pid: i64, property: &str) -> Value {
    bus.property("w", &format!("/org/pushflow/workflow/process/{pid}"), "org.pushflow.Process1", property)
}

fn kill(bus: &Bus, pid: i64, signal: &str) -> crate::support::Finished {
    let path = format!("/org/pushflow/workflow/process/{pid}");
    bus.call_on("w", &path, "org.pushflow.Process1", "Kill", &["i", signal])
}

/// Waits until a process is gone, or is a zombie.
pub(crate) fn ended(pid: i64) {
    let alive = || {
        let stat = procfs::process::Process::new(pid as i32).and_then(|process| process.stat());
        stat.is_ok_and(|stat| stat.state != 'Z')
    };
    for _ in 0..1000 {
        if !alive() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{pid} goes on");
}

#[test]
fn a_process_is_an_object_that_tells_of_itself_and_can_be_killed() {
    let (bus, project) = (Bus::new(), Installed::resident("", FAMILY));
    let mut service = bus.serve(&project, "w");
    let [worker, daemonic, program, found] = family(&bus, &mut service);
    // Whoever has listed the processes may look at them at once.
    listed_with(&bus, found);
    assert_eq!((object(&bus, daemonic, "Pid"), object(&bus, daemonic, "ParentPid")), (json!(daemonic), json!(worker)));
    let flags = |pid| (object(&bus, pid, "Daemonic") == true, object(&bus, pid, "Announced") == true);
    assert_eq!(
        [worker, daemonic, program, found].map(flags),
        [(false, true), (true, true), (false, true), (false, false)]
    );
    for (property, value) in
        [("Pool", "default"), ("Actor", "task"), ("Kind", "child"), ("Run", "/org/pushflow/workflow/run/1")]
    {
        assert_eq!(object(&bus, found, property), value);
    }
    let supervisor = i64::from(service.pid().as_raw());
    for (property, value) in [("Pool", ""), ("Actor", ""), ("Kind", "supervisor"), ("Run", "/")] {
        assert_eq!(object(&bus, supervisor, property), value);
    }
    assert!(object(&bus, worker, "MemoryCurrent").as_u64().unwrap() > 1 << 20);
    assert!(object(&bus, worker, "CPUUsageNSec").as_u64().unwrap() < 60_000_000_000);
    let started = object(&bus, found, "StartedAt");
    assert!(started.as_u64() > object(&bus, supervisor, "StartedAt").as_u64());

    let killed = kill(&bus, found, "15");
    assert_eq!(killed.code, Some(0), "{}", killed.stderr);
    ended(found);
    ended(program);
    service.wait_for(&format!("SIGTERM was sent to {found} (sleep)"));
    let again = kill(&bus, found, "15");
    assert!(again.stderr.contains("has ended") || again.stderr.contains("nknown object"), "{}", again.stderr);
    for wrong in ["0", "-1", "32", "1000"] {
        let refused = kill(&bus, worker, wrong);
        assert!(refused.stderr.contains(&format!("{wrong} is not the number of a signal")), "{}", refused.stderr);
    }
    let path = format!("/org/pushflow/workflow/process/{worker}");
    let refused = bus.call_on("w", &path, "org.pushflow.Process1", "Kill", &["s", "SIGTERM"]);
    assert!(refused.stderr.contains("ignature mismatch"), "{}", refused.stderr);
    assert_eq!(object(&bus, worker, "Kind"), "worker");
}

/// Prints what ObjectManager says of processes, until it has said so much.
const WATCH: &str = "
import dbus, dbus.mainloop.glib, sys
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus, loop = dbus.SessionBus(), GLib.MainLoop()
added, removed = set(), set()
def on_added(path, interfaces):
    if 'org.pushflow.Process1' in interfaces:
        properties = interfaces['org.pushflow.Process1']
        if properties['Kind'] == 'child':
            added.add(int(properties['Pid']))
def on_removed(path, interfaces):
    pid = int(path.rsplit('/', 1)[1])
    if pid in added:
        removed.add(pid)
        if len(removed) == len(added) >= int(sys.argv[1]):
            loop.quit()
bus.add_signal_receiver(on_added, 'InterfacesAdded', 'org.freedesktop.DBus.ObjectManager')
bus.add_signal_receiver(on_removed, 'InterfacesRemoved', 'org.freedesktop.DBus.ObjectManager')
print('watching', flush=True)
GLib.timeout_add_seconds(60, loop.quit)
loop.run()
print(len(added), len(removed), flush=True)
";

#[test]
fn processes_come_and_go_on_the_bus_by_themselves() {
    let (bus, project) = (Bus::new(), Installed::resident("", FAMILY));
    let mut service = bus.serve(&project, "w");
    let mut watching = Process::start(&mut bus.command("/usr/bin/python3", &["-c", WATCH, "3"]));
    assert_eq!(watching.line(), "watching\n");
    let pids = family(&bus, &mut service);
    // On the bus when it has said so, though nobody has asked.
    let path = format!("/org/pushflow/workflow/process/{}", pids[3]);
    let there = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        bus.run("busctl", &["--user", "tree", "--list", "org.pushflow.Workflow1.w"])
            .stdout
            .lines()
            .any(|line| line == path)
    });
    assert!(there, "{path} never comes");
    bus.call("w", "Abort", &["s", ""]);
    service.wait_for("run ended: aborted");
    assert_eq!(watching.line(), "3 3\n");
    assert!(watching.end().status.success());
}

#[test]
fn a_crowd_is_listed_whole_and_does_not_crowd_the_bus() {
    let script = "
import subprocess
def run(count, **_):
    crowd = [subprocess.Popen(['sleep', '1000']) for _ in range(count)]
    print('all', count, 'are there', flush=True)
    for process in crowd: process.wait()
";
    let (bus, project) = (Bus::new(), Installed::resident("", script));
    let mut service = bus.serve(&project, "w");
    bus.call("w", "Run", &["a{sv}a{sv}", "1", "count", "i", "400", "0"]);
    service.wait_for("are there");
    // What was read before may still be fresh.
    let all = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        listed(&bus).iter().filter(|process| process["Kind"] == "child").count() == 400
    });
    assert!(all, "{} processes", listed(&bus).len());
    let objects = "
import dbus
manager = dbus.SessionBus().get_object('org.pushflow.Workflow1.w', '/org/pushflow/workflow')
objects = manager.GetManagedObjects(dbus_interface='org.freedesktop.DBus.ObjectManager')
kinds = [its['org.pushflow.Process1']['Kind'] for its in objects.values() if 'org.pushflow.Process1' in its]
print(len(kinds), kinds.count('worker'), kinds.count('supervisor'))
";
    let said = bus.run("/usr/bin/python3", &["-c", objects]);
    assert_eq!(said.stdout, "256 1 1\n", "{}", said.stderr);
    bus.call("w", "Abort", &["s", ""]);
    service.wait_for("run ended: aborted");
}

#[test]
fn a_thousand_looks_at_once_are_all_answered_and_hold_up_no_run() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {}"));
    let mut service = bus.serve(&project, "w");
    let client = "
import dbus
workflow = dbus.SessionBus().get_object('org.pushflow.Workflow1.w', '/org/pushflow/workflow')
for _ in range(125):
    assert workflow.ListProcesses(dbus_interface='org.pushflow.Workflow1')
";
    let clients: Vec<_> =
        (0..8).map(|_| Process::start(&mut bus.command("/usr/bin/python3", &["-c", client]))).collect();
    let run = bus.pushflow(&project, &["submit", "w", "--wait"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    service.wait_for("run ended");
    for client in clients {
        let ended = client.end();
        assert!(ended.status.success(), "{ended:?}");
    }
}
