//! The interfaces as they are installed, held against the live ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::bus::{Bus, Installed};

/// What an interface has: `method Run (a{sv} inputs, …) → o run`, `property State s …`, as lines.
fn members(xml: &str, interface: &str) -> BTreeSet<String> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    let document = roxmltree::Document::parse_with_options(xml, options).unwrap();
    let named = |node: &roxmltree::Node<'_, '_>| node.attribute("name") == Some(interface);
    let found = document.descendants().find(|node| node.has_tag_name("interface") && named(node));
    let found = found.unwrap_or_else(|| panic!("no interface {interface} in {xml}"));
    let line = |member: roxmltree::Node<'_, '_>| {
        let words = |node: roxmltree::Node<'_, '_>| {
            node.attributes().map(|a| format!("{}={}", a.name(), a.value())).collect::<BTreeSet<_>>()
        };
        let inner: Vec<_> = member.children().filter(roxmltree::Node::is_element).map(words).collect();
        format!("{} {:?} {inner:?}", member.tag_name().name(), words(member))
    };
    found.children().filter(roxmltree::Node::is_element).map(line).collect()
}

#[test]
fn the_installed_interfaces_are_the_live_ones() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {}"));
    let mut service = bus.serve(&project, "w");
    bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]);
    service.wait_for("run ended");
    bus.call("w", "ListProcesses", &[]);
    let process = format!("/org/pushflow/workflow/process/{}", service.pid());
    for (interface, path) in [
        ("org.pushflow.Workflow1", "/org/pushflow/workflow"),
        ("org.pushflow.Run1", "/org/pushflow/workflow/run/1"),
        ("org.pushflow.Actor1", "/org/pushflow/workflow/actor/task"),
        ("org.pushflow.Process1", &*process),
    ] {
        let live =
            bus.run("busctl", &["--user", "--xml-interface", "introspect", "org.pushflow.Workflow1.w", path]).stdout;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/dbus").join(format!("{interface}.xml"));
        let installed = fs::read_to_string(&file).unwrap();
        assert_eq!(members(&installed, interface), members(&live, interface), "{interface}");
    }
}
