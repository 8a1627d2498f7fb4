//! `pushflow doctor`: whether this host has what workflows need, and what to do about what it lacks.
//!
//! It only looks: nothing is started but interpreters that say what they have, and nothing is changed.

mod bus;
mod finding;
mod groups;
mod host;
mod python;
mod users;

use std::io::{self, IsTerminal, Write};

use serde_json::json;

use super::{Exit, Failure, cannot_write};
use crate::text as safe;
use finding::{Finding, State};

/// The arguments of `pushflow doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A note is about something that some workflows miss; a fault about something that they cannot do without. Each says what
to do. Services run as the user pushflow: what that user finds is told by
  sudo -u pushflow pushflow doctor

Examples:
  pushflow doctor
  pushflow doctor integrate.toml --json

Exit status 0 without faults, 1 with faults.")]
pub(super) struct DoctorArgs {
    /// Workflows whose interpreters and pools are looked at: files, or names [default: all that are installed]
    #[arg(value_name = "FILE|NAME", value_hint = clap::ValueHint::FilePath)]
    workflows: Vec<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    let mut findings = host::system();
    findings.extend(groups::look());
    findings.extend(bus::look());
    findings.extend(host::limits());
    findings.extend(host::folders());
    findings.extend(python::look(&args.workflows)?);
    let faults = findings.iter().filter(|finding| finding.state == State::Fault).count();
    let text = if args.json {
        let list: Vec<_> = findings.iter().map(Finding::json).collect();
        let json = json!({ "version": env!("CARGO_PKG_VERSION"), "faults": faults, "checks": list });
        format!("{}\n", safe::json(&json.to_string()))
    } else {
        text(&findings, Look::now())
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(cannot_write)?;
    Ok(if faults == 0 { Exit::Finished } else { Exit::Error })
}

/// How the table is shown.
#[derive(Debug, Clone, Copy)]
struct Look {
    colours: bool,
}

impl Look {
    fn now() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Look { colours: io::stdout().is_terminal() && !set("NO_COLOR") && !dumb }
    }
}

/// A line for each finding, what to do about it below.
fn text(findings: &[Finding], look: Look) -> String {
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for finding in findings {
        let word = finding.state.word();
        let (on, off) = if look.colours { (finding.state.colour(), "\x1b[0m") } else { ("", "") };
        text.push_str(&format!(
            "{on}{word:<5}{off}  {:<width$}  {}\n",
            safe::line(&finding.check),
            safe::short(&finding.found, safe::LINE)
        ));
        if let Some(advice) = &finding.advice {
            text.push_str(&format!("{:7}{:width$}  → {}\n", "", "", safe::short(advice, safe::LINE)));
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let of = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    text.push_str(&format!("\n{}, {}\n", of(count(State::Fault), "fault"), of(count(State::Note), "note")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![
            Finding::fine("systemd", "252"),
            Finding::note("polkit", "not there", "nothing to do, unless its rules are wanted"),
            Finding::fault("python3", "not there", "install it"),
        ]
    }

    #[test]
    fn what_is_found_is_a_table_with_what_to_do() {
        assert_eq!(
            text(&findings(), Look { colours: false }),
            "ok     systemd  252\n\
             note   polkit   not there\n                \
             → nothing to do, unless its rules are wanted\n\
             FAULT  python3  not there\n                \
             → install it\n\n1 fault, 1 note\n"
        );
    }

    #[test]
    fn a_terminal_has_colours() {
        assert!(text(&findings(), Look { colours: true }).contains("\x1b[1;31mFAULT\x1b[0m  python3"));
    }
}
