//! Services of the system and of the user, and what systemd knows of those that are not running.
//!
//! The bus of the system is here another private one.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use zbus::connection::Builder;
use zbus::{Connection, ObjectPath, OwnedObjectPath, block_on, interface};

use crate::bus::{Bus, Installed, WAITS};
use crate::support::process::output;
use crate::support::{Finished, Project, finished};

/// The buses of a host.
struct Host {
    system: Bus,
    user: Bus,
}

impl Host {
    fn new() -> Self {
        Host { system: Bus::new(), user: Bus::new() }
    }

    fn command(&self, project: &Project, arguments: &[&str]) -> Command {
        let mut command = project.command(arguments);
        command
            .env("XDG_CONFIG_HOME", project.path(""))
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.system.address())
            .env("DBUS_SESSION_BUS_ADDRESS", self.user.address());
        command
    }

    fn pushflow(&self, project: &Project, arguments: &[&str]) -> Finished {
        finished(output(&mut self.command(project, arguments)))
    }
}

#[test]
fn every_verb_finds_a_service_on_the_users_bus_and_on_the_systems() {
    let host = Host::new();
    let project = Installed(Project::new())
        .workflow("mine", "mode = 'resident'", "def run(**_): return {}")
        .workflow("theirs", "mode = 'resident'", "def run(**_): return {}")
        .0;
    let _mine = host.user.serve(&project, "mine");
    let _theirs = host.system.serve(&project, "theirs");
    for (name, bus, other) in [("mine", "user", "--system"), ("theirs", "system", "--user")] {
        let run = host.pushflow(&project, &["submit", name, "--wait"]);
        assert_eq!(run.json(), json!({}), "{}", run.stderr);
        let status = host.pushflow(&project, &["status", name]).stdout;
        assert!(status.starts_with(&format!("{name} ({bus} service) - A test\n")), "{status}");
        assert_eq!(host.pushflow(&project, &["status", name, "--json"]).json()["Bus"], bus);
        assert_eq!(host.pushflow(&project, &["ps", name, "--json"]).json()[0]["service"]["bus"], bus);
        let list = host.pushflow(&project, &["list", "--json"]).json();
        let line = list.as_array().unwrap().iter().find(|line| line["name"] == name && line["bus"] == bus).unwrap();
        assert_eq!(line["state"], "idle");
        let elsewhere = host.pushflow(&project, &["status", name, other]);
        assert_eq!(elsewhere.code, Some(3), "{}", elsewhere.stdout);
    }
    let all = host.pushflow(&project, &["status"]).stdout;
    assert!(all.contains("mine (user service)") && all.contains("theirs (system service)"), "{all}");
    assert_eq!(host.pushflow(&project, &["stop", "theirs"]).code, Some(0));
}

#[test]
fn a_name_on_both_buses_is_shown_twice_and_not_acted_on() {
    let (host, project) = (Host::new(), Installed::resident("", "def run(**_): return {}"));
    // Each has a history of its own.
    let others = Installed::resident("", "def run(**_): return {}");
    let (_user, _system) = (host.user.serve(&project, "w"), host.system.serve(&others, "w"));
    for arguments in [&["submit", "w"][..], &["stop", "w"], &["status", "w", "--json"]] {
        let said = host.pushflow(&project, arguments);
        assert_eq!(said.code, Some(2), "{}", said.stdout);
        assert!(said.stderr.contains("add --system or --user"), "{}", said.stderr);
    }
    let status = host.pushflow(&project, &["status", "w"]).stdout;
    assert!(status.contains("w (system service)") && status.contains("w (user service)"), "{status}");
    let list = host.pushflow(&project, &["list"]).stdout;
    assert_eq!(list.lines().filter(|line| line.starts_with("w ")).count(), 2, "{list}");
    assert_eq!(host.pushflow(&project, &["submit", "w", "--system", "--wait"]).json(), json!({}));
}

#[test]
fn where_nothing_is_found_it_is_said_where_that_was() {
    let (host, project) = (Host::new(), Installed::resident("", "def run(**_): return {}"));
    let both = "looked on the system bus and the session bus";
    for arguments in [&["submit", "w"][..], &["status", "w"], &["stop", "w"], &["ps", "w"]] {
        let said = host.pushflow(&project, arguments).stderr;
        assert!(said.contains(both) && said.contains("systemctl --user start pushflow@w"), "{said}");
    }
    assert_eq!(host.pushflow(&project, &["status"]).stdout, format!("no workflow is running ({both})\n"));
    let alone =
        finished(output(host.command(&project, &["status"]).env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")));
    assert_eq!(alone.stdout, "no workflow is running (looked on the session bus; the system bus cannot be reached)\n");
    let unknown = host.pushflow(&project, &["submit", "unknown"]);
    assert!(unknown.stderr.contains("there is no workflow unknown: looked for unknown.toml in"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("/etc/pushflow/workflows"), "{}", unknown.stderr);
}

/// systemd, as far as it is asked for services that have failed.
struct Manager;

type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn list_units_by_patterns(&self, states: Vec<String>, patterns: Vec<String>) -> Vec<Listed> {
        assert_eq!((states, patterns), (vec!["failed".to_owned()], vec!["pushflow@*.service".to_owned()]));
        let text = String::new;
        let path = || OwnedObjectPath::from(ObjectPath::try_from("/unit").unwrap());
        vec![("pushflow@w.service".to_owned(), text(), text(), text(), text(), text(), path(), 0, text(), path())]
    }
}

struct Unit;

#[interface(name = "org.freedesktop.systemd1.Service")]
impl Unit {
    #[zbus(property)]
    fn result(&self) -> &'static str {
        "exit-code"
    }

    #[zbus(property)]
    fn exec_main_status(&self) -> i32 {
        2
    }

    #[zbus(property)]
    fn exec_main_exit_timestamp(&self) -> u64 {
        let then = SystemTime::now() - Duration::from_secs(310);
        then.duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
    }
}

fn systemd(bus: &Bus) -> Connection {
    let address = bus.address();
    let builder = Builder::address(address.as_str()).name("org.freedesktop.systemd1");
    let builder = builder.serve_at("/org/freedesktop/systemd1", Manager).serve_at("/unit", Unit);
    block_on(builder.build()).unwrap()
}

#[test]
fn a_service_that_has_failed_does_not_look_as_if_it_was_never_started() {
    let (host, project) = (Host::new(), Installed::resident("", "def run(**_): return {}"));
    let _systemd = systemd(&host.user);
    let failed = "failed (exit status 2, 5 min ago)";
    let list = host.pushflow(&project, &["list"]).stdout;
    assert!(list.contains(failed) && list.contains("See: journalctl --user -e -u pushflow@w"), "{list}");
    let line = host.pushflow(&project, &["list", "--json"]).json()[0].clone();
    assert_eq!((&line["state"], &line["failure"]), (&json!("failed"), &json!("exit status 2")));
    let status = host.pushflow(&project, &["status"]).stdout;
    assert!(status.starts_with(&format!("w (user service)\n  state  {failed}\n  see    journalctl ")), "{status}");
    assert_eq!(host.pushflow(&project, &["status", "--json"]).json()[0]["State"], "failed");
    for arguments in [&["status", "w"][..], &["submit", "w"], &["stop", "w"]] {
        let said = host.pushflow(&project, arguments);
        assert_eq!(said.code, Some(3));
        assert!(said.stderr.contains(&format!("w is not running: it {failed}")), "{}", said.stderr);
        assert!(said.stderr.contains("journalctl --user -e -u pushflow@w"), "{}", said.stderr);
    }
    // Once it runs again, it has not failed.
    let _service = host.user.serve(&project, "w");
    assert_eq!(host.pushflow(&project, &["list", "--json"]).json()[0]["state"], "idle");
}

#[test]
fn lines_of_runs_that_overlap_say_which_run_and_actor_they_are_of() {
    let (bus, project) = (Bus::new(), Installed::resident("max_concurrent_runs = 2", WAITS));
    let file = "pushflow/workflows/w.toml";
    let workflow = std::fs::read_to_string(project.path(file)).unwrap().replace("[pool]", "[pool]\nmax_workers = 2");
    let project = project.file(file, &workflow);
    let mut service = bus.serve(&project, "w");
    for gate in ["first", "second"] {
        bus.run_until(&project, gate);
    }
    let lines = [service.wait_for("waiting for"), service.wait_for("waiting for")];
    for (run, gate) in [(1, "first"), (2, "second")] {
        let wanted = format!(" run {run} task | waiting for {}\n", project.path(gate).display());
        assert!(lines.iter().any(|line| line.ends_with(&wanted)), "{lines:#?}");
    }
    let reason = "no beam\n12:00:00 error forged\x1b[2J\u{202e}";
    let stopped = bus.pushflow(&project, &["stop", "w", "1", "--abort", "--reason", reason]);
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    let line = service.wait_for("no beam");
    assert!(line.contains(r"run 1: the run was aborted: no beam\n12:00:00 error forged\x1b[2J\u202e"), "{line}");
    service.wait_for("run 1: run ended: aborted");
}
