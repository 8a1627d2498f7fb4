//! The verbs that talk to running services over D-Bus: one file each, and here what they share.

mod client;
mod list;
mod processes;
mod proxies;
mod status;
mod stop;
mod submit;
mod text;
mod units;

pub(super) use list::{ListArgs, list};
pub(super) use processes::Services;
pub(super) use status::{StatusArgs, status};
pub(super) use stop::{StopArgs, stop};
pub(super) use submit::{SubmitArgs, submit};
pub(super) use text::{print, print_json, print_table};

use super::locate::Whose;
use crate::bus::BusType;
use crate::systemd::escape::unit_for_shell;

/// Which services are meant.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PlaceArgs {
    /// Only services of the system [default: those of the system and of this user]
    #[arg(long, conflicts_with = "user")]
    system: bool,

    /// Only services of this user
    #[arg(long)]
    user: bool,

    /// Services of another host, over ssh
    #[arg(short = 'H', long, value_name = "[USER@]HOST", conflicts_with = "user", value_hint = clap::ValueHint::Hostname)]
    host: Option<String>,
}

impl PlaceArgs {
    /// Whether services of one kind only were asked for.
    pub(super) fn is_particular(&self) -> bool {
        self.system || self.user || self.host.is_some()
    }

    pub(super) fn is_here(&self) -> bool {
        self.host.is_none()
    }

    /// Whose services are meant.
    pub(super) fn whose(&self) -> Vec<Whose> {
        match (self.user, self.is_particular()) {
            (true, _) => vec![Whose::User],
            (false, true) => vec![Whose::System],
            (false, false) => vec![Whose::System, Whose::User],
        }
    }

    fn places(&self) -> Vec<Place> {
        self.whose().into_iter().map(|whose| Place { whose, host: self.host.clone() }).collect()
    }
}

/// A place with services: one bus.
#[derive(Debug, Clone)]
struct Place {
    whose: Whose,
    host: Option<String>,
}

impl Place {
    /// `system` or `user`.
    fn word(&self) -> &'static str {
        self.whose.word()
    }

    /// The name of the bus, for people.
    fn bus(&self) -> String {
        match &self.host {
            Some(host) => format!("system bus of {host}"),
            None => self.which().word().to_owned(),
        }
    }

    fn which(&self) -> BusType {
        self.whose.bus()
    }

    /// The systemctl command for these services.
    fn systemctl(&self) -> String {
        match &self.host {
            Some(host) => format!("systemctl -H {host}"),
            None => self.whose.systemctl().to_owned(),
        }
    }

    /// The command that shows the log of a service, and how it ended.
    fn journalctl(&self, name: &str) -> String {
        let unit = unit_for_shell(name);
        match (&self.host, self.whose) {
            (Some(host), _) => format!("ssh {host} journalctl -e -u {}", for_remote_shell(&unit)),
            (None, Whose::System) => format!("journalctl -e -u {unit}"),
            (None, Whose::User) => format!("journalctl --user -e -u {unit}"),
        }
    }
}

/// A word that is quoted for the shell here, quoted once more: ssh joins the words, and the shell of the other host splits them
/// again.
fn for_remote_shell(word: &str) -> String {
    match word.starts_with('\'') {
        // In the name of a unit, no character but the backslash before an `x` means something between double quotes.
        true => format!("\"{word}\""),
        false => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_on_another_host_survives_both_shells() {
        let place = Place { whose: Whose::System, host: Some("beamline".to_owned()) };
        assert_eq!(place.journalctl("hello"), "ssh beamline journalctl -e -u pushflow@hello");
        let command = place.journalctl("my flow");
        assert_eq!(command, r#"ssh beamline journalctl -e -u "'pushflow@my\x20flow'""#);
        // As ssh does it: the words are joined by blanks, and the other shell splits them.
        let script = command.replace("ssh beamline journalctl -e -u", "ssh() { sh -c \"$*\"; }; ssh printf %s");
        let output = std::process::Command::new("sh").arg("-c").arg(&script).output().expect("there is a shell");
        assert_eq!(String::from_utf8_lossy(&output.stdout), r"pushflow@my\x20flow");
    }
}
