//! Checks of what services need: D-Bus, polkit, units, policy, the user and group pushflow.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::unistd::{Group, User, geteuid, getgroups};
use zbus::connection::Builder;

use super::finding::Finding;
use crate::bus::BusType;

/// Maximum time to wait for a bus.
const PATIENCE: Duration = Duration::from_secs(5);
const POLKIT: &str = "org.freedesktop.PolicyKit1";
const BUS: &str = "org.freedesktop.DBus";
const INSTALL: &str = "install the package pushflow: system services need it";

pub(super) fn look() -> Vec<Finding> {
    let names = ask(BusType::System);
    let mut findings = vec![system_bus(&names)];
    let has_polkit = names.iter().flatten().any(|name| name == POLKIT);
    findings.extend(names.ok().as_deref().map(polkit));
    if !geteuid().is_root() {
        findings.push(session_bus(ask(BusType::Session).map(drop)));
    }
    findings.push(installed(
        "units",
        &["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"],
        "pushflow@.service",
    ));
    findings.push(installed(
        "D-Bus policy",
        &["/etc/dbus-1/system.d", "/usr/share/dbus-1/system.d"],
        "org.pushflow.conf",
    ));
    findings.push(person());
    findings.extend(super::users::look(has_polkit));
    findings
}

/// The names on a bus, including activatable ones.
fn ask(which: BusType) -> Result<Vec<String>, String> {
    let (answer, answered) = mpsc::channel();
    let asking = thread::Builder::new().name("bus".to_owned()).spawn(move || {
        // After the timeout, nobody receives the answer.
        let _ = answer.send(zbus::block_on(names(which)).map_err(|error| error.to_string()));
    });
    asking.map_err(|error| error.to_string())?;
    let silent = |_| format!("no answer within {PATIENCE:?}");
    answered.recv_timeout(PATIENCE).map_err(silent)?
}

async fn names(which: BusType) -> zbus::Result<Vec<String>> {
    let builder = match which {
        BusType::System => Builder::system(),
        BusType::Session => Builder::session(),
    };
    let connection = builder.method_timeout(PATIENCE).build().await?;
    let mut names = Vec::new();
    for method in ["ListNames", "ListActivatableNames"] {
        let reply = connection.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), method, &()).await?;
        names.extend(reply.body().deserialize::<Vec<String>>()?);
    }
    Ok(names)
}

fn system_bus(names: &Result<Vec<String>, String>) -> Finding {
    match names {
        Ok(_) => Finding::fine("system bus", "available"),
        Err(error) => Finding::note(
            "system bus",
            format!("cannot be reached: {error}"),
            "runs cannot be submitted to system services: install dbus, then systemctl start dbus.socket",
        ),
    }
}

fn polkit(names: &[String]) -> Finding {
    match names.iter().any(|name| name == POLKIT) {
        true => Finding::fine("polkit", "available: its rules apply in addition to the D-Bus policy"),
        false => Finding::fine(
            "polkit",
            "not available: only the D-Bus policy applies (root and the group pushflow may control services)",
        ),
    }
}

fn session_bus(found: Result<(), String>) -> Finding {
    match found {
        Ok(()) => Finding::fine("session bus", "available"),
        Err(error) => Finding::note(
            "session bus",
            format!("cannot be reached: {error}"),
            "user services need it: install dbus-user-session (dbus-daemon on RHEL) and log in again; use machinectl shell instead of su",
        ),
    }
}

fn installed(check: &str, folders: &[&str], name: &str) -> Finding {
    let path = folders.iter().map(|folder| Path::new(folder).join(name)).find(|path: &PathBuf| path.exists());
    match path {
        Some(path) => Finding::fine(check, path.display().to_string()),
        None => Finding::note(check, format!("{name} is not installed"), INSTALL),
    }
}

/// Whether this user may control system services.
fn person() -> Finding {
    let check = "user and group";
    let (Ok(Some(service)), Ok(Some(group))) = (User::from_name("pushflow"), Group::from_name("pushflow")) else {
        return Finding::note(check, "there is no user and group pushflow", INSTALL);
    };
    let user = geteuid();
    let name = User::from_uid(user).ok().flatten().map_or_else(|| user.to_string(), |user| user.name);
    if user.is_root() || user == service.uid {
        return Finding::fine(check, format!("{name}: may control all services"));
    }
    membership(&name, getgroups().is_ok_and(|groups| groups.contains(&group.gid)), group.mem.contains(&name))
}

fn membership(name: &str, now: bool, later: bool) -> Finding {
    let check = "user and group";
    match (now, later) {
        (true, _) => Finding::fine(check, format!("{name} is in the group pushflow: may control all services")),
        (false, true) => Finding::note(
            check,
            format!("{name} is in the group pushflow, but not in this session yet"),
            "log in again, or run newgrp pushflow",
        ),
        (false, false) => Finding::note(
            check,
            format!("{name} is not in the group pushflow: may view system services, but not control them"),
            format!("sudo usermod -aG pushflow {name}, and log in again"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn an_unreachable_bus_is_a_note() {
        let finding = system_bus(&Err("No such file or directory".to_owned()));
        assert_eq!(finding.state, State::Note);
        assert_eq!(finding.found, "cannot be reached: No such file or directory");
        assert_eq!(system_bus(&Ok(Vec::new())).state, State::Fine);
    }

    #[test]
    fn polkit_is_optional() {
        assert!(polkit(&[POLKIT.to_owned()]).found.starts_with("available"));
        assert_eq!(polkit(&[]).state, State::Fine);
    }

    #[test]
    fn missing_membership_has_advice() {
        assert_eq!(membership("ada", true, false).state, State::Fine);
        assert!(membership("ada", false, true).advice.is_some_and(|advice| advice.contains("log in again")));
        assert!(
            membership("ada", false, false).advice.is_some_and(|advice| advice.contains("usermod -aG pushflow ada"))
        );
    }

    #[test]
    fn missing_files_are_named() {
        let finding = installed("units", &["/nowhere"], "pushflow@.service");
        assert_eq!((finding.state, finding.found.as_str()), (State::Note, "pushflow@.service is not installed"));
    }
}
