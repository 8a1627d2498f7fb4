//! Callers that are other users, on a bus that lets everybody in.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::bus::{Bus, Installed};
use crate::support::process::output;

/// A bus on which all users are.
const FOR_ALL: &str = r#"<busconfig><type>session</type><listen>unix:path=ADDRESS</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>"#;

/// A user that every host has: the bus lets in nobody whose groups it cannot look up.
const NOBODY: u32 = 65534;

/// Reads a property of run 1 as one that has this unique name on the bus, and says it, or the name of the error. Without a name it
/// takes what it gets, and says that too.
const READ: &str = "
import sys, dbus
address, name, property = sys.argv[1:]
for _ in range(2000):
    bus = dbus.bus.BusConnection(address)
    if not name or bus.get_unique_name() == name:
        break
    bus.close()
else:
    sys.exit('the name did not come')
run = bus.get_object('org.pushflow.Workflow1.w', '/org/pushflow/workflow/run/1')
try:
    print(bus.get_unique_name(), run.Get('org.pushflow.Run1', property, dbus_interface='org.freedesktop.DBus.Properties'))
except dbus.DBusException as error:
    print(bus.get_unique_name(), error.get_dbus_name())
";

/// What a user finds: a unique name, and a property or the name of an error.
fn read(bus: &Bus, user: u32, name: &str, property: &str) -> (String, String) {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), "--clear-groups", "--", "/usr/bin/python3", "-c", READ]);
    let output = output(command.args([&bus.address(), name, property]).stdin(Stdio::null()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let (name, found) = said.trim().split_once(' ').unwrap();
    (name.to_owned(), found.to_owned())
}

#[test]
fn a_bus_that_is_started_again_gives_names_to_others_and_they_get_no_rights_with_them() {
    let mut bus = Bus::with_configuration(FOR_ALL);
    let project = Installed::resident("", "def run(secret, **_): return {}");
    let mut service = bus.serve(&project, "w");
    assert_eq!(bus.call("w", "RunJson", &["sa{sv}", &json!({ "secret": "TOPSECRET" }).to_string(), "0"]).code, Some(0));
    service.wait_for("run ended");
    let denied = "org.freedesktop.DBus.Error.AccessDenied";
    assert_eq!(read(&bus, NOBODY, "", "Inputs").1, denied);
    // Names are counted up: root's is one that somebody else gets on the next bus.
    let (roots, found) = read(&bus, 0, "", "Inputs");
    assert!(found.contains("TOPSECRET"), "{found}");
    bus.kill();
    service.wait_for("is lost: runs continue");
    bus.start_again();
    service.wait_for("on the session bus");
    for property in ["Inputs", "Outputs"] {
        assert_eq!(read(&bus, NOBODY, &roots, property), (roots.clone(), denied.to_owned()));
        bus.kill();
        service.wait_for("is lost: runs continue");
        bus.start_again();
        service.wait_for("on the session bus");
    }
}
