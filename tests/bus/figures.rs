//! What is used, on the bus.

use serde_json::{Value, json};

use crate::bus::{Bus, Installed};

/// Burns so many seconds of CPU, and so much more until a file is there.
const BURN: &str = "
import os, time
def run(seconds, until=None, **_):
    while time.process_time() < seconds: pass
    print('burnt', flush=True)
    while until and not os.path.exists(until): pass
    return {'memory': None, 'block': None}
";

const ACTOR: &str = "/org/pushflow/workflow/actor/task";

fn actor(bus: &Bus, property: &str) -> Value {
    bus.property("w", ACTOR, "org.pushflow.Actor1", property)
}

#[test]
fn runs_and_actors_say_what_they_have_used() {
    let (bus, project) = (Bus::new(), Installed::resident("", BURN));
    let mut service = bus.serve(&project, "w");
    // Nothing is known yet, which is no 0.
    for property in ["CPUUsageNSec", "MemoryPeak", "IOReadBytes", "LastDurationUSec"] {
        assert_eq!(actor(&bus, property), json!(u64::MAX), "{property}");
    }
    bus.call("w", "Run", &["a{sv}a{sv}", "1", "seconds", "d", "0.5", "0"]);
    service.wait_for("run ended");
    bus.outputs("w", 1);
    let used = |value: Value| value.as_u64().unwrap();
    let cpu = used(bus.run_property("w", 1, "CPUUsageNSec"));
    // Importing was the worker's; /proc counts in steps of 10 ms.
    assert!((300_000_000..2_000_000_000).contains(&cpu), "{cpu} ns");
    assert_eq!(used(actor(&bus, "CPUUsageNSec")), cpu);
    let peak = used(bus.run_property("w", 1, "MemoryPeak"));
    assert!((1 << 20..1 << 30).contains(&peak), "{peak} bytes");
    let took = used(actor(&bus, "LastDurationUSec"));
    assert!((300_000..20_000_000).contains(&took), "{took} µs");
    assert!(used(bus.workflow("w", "CPUUsageNSec")) >= cpu);
    bus.call("w", "Run", &["a{sv}a{sv}", "1", "seconds", "d", "0.0", "0"]);
    service.wait_for("run ended");
    bus.outputs("w", 2);
    assert!(used(actor(&bus, "CPUUsageNSec")) >= cpu);
    assert!(used(actor(&bus, "LastDurationUSec")) < took);
}

#[test]
fn what_a_run_uses_is_seen_while_it_goes_on() {
    let (bus, project) = (Bus::new(), Installed::resident("", BURN));
    let mut service = bus.serve(&project, "w");
    let gate = project.path("gate").display().to_string();
    for _ in 0..2 {
        bus.call("w", "Run", &["a{sv}a{sv}", "2", "seconds", "d", "0.3", "until", "s", &gate, "0"]);
    }
    service.wait_for("burnt");
    let cpu = || bus.run_property("w", 1, "CPUUsageNSec").as_u64().unwrap();
    let first = cpu();
    assert!((100_000_000..20_000_000_000).contains(&first), "{first} ns");
    assert!((0..300).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        (first + 1..u64::MAX).contains(&cpu())
    }));
    assert!(actor(&bus, "CPUUsageNSec").as_u64().unwrap() >= first);
    // One that waits has used nothing that was read.
    assert_eq!(bus.run_property("w", 2, "CPUUsageNSec"), json!(u64::MAX));
    std::fs::write(gate, "").unwrap();
    service.wait_for("run ended");
    service.wait_for("run ended");
}

#[test]
fn figures_of_the_whole_are_numbers_or_said_to_be_unknown() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {}"));
    let mut service = bus.serve(&project, "w");
    bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]);
    service.wait_for("run ended");
    let group = bus.workflow("w", "ControlGroup");
    let cpu = bus.workflow("w", "CPUUsageNSec").as_u64().unwrap();
    assert!((1_000_000..60_000_000_000).contains(&cpu), "{cpu} ns, in the cgroup {group}");
    for property in ["MemoryCurrent", "MemoryPeak", "TasksCurrent", "IOReadBytes", "IOWriteBytes"] {
        let value = bus.workflow("w", property).as_u64().unwrap();
        if group == "" && !property.starts_with("IO") {
            assert_eq!(value, u64::MAX, "{property}");
        } else {
            assert!(value == u64::MAX || value < 1 << 40, "{property} is {value}");
        }
    }
    let program = "
import dbus
workflow = dbus.SessionBus().get_object('org.pushflow.Workflow1.w', '/org/pushflow/workflow')
properties = workflow.GetAll('org.pushflow.Workflow1', dbus_interface='org.freedesktop.DBus.Properties')
print(all(isinstance(properties[name], dbus.UInt64) for name in ('CPUUsageNSec', 'MemoryCurrent', 'TasksCurrent', 'IOWriteBytes')))
";
    let said = bus.run("/usr/bin/python3", &["-c", program]);
    assert_eq!(said.stdout, "True\n", "{}", said.stderr);
}
