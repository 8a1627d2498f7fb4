//! `pushflow doctor`: checks that this host has what workflows need, with advice.
//!
//! It changes nothing, and starts nothing except interpreters, which report their version and packages.

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
A note is a problem for some workflows, a fault for all. Each comes with advice. \
Services run as the user pushflow. To check as that user:
  sudo -u pushflow pushflow doctor

Examples:
  pushflow doctor
  pushflow doctor integrate.toml --json

Exit status 0 without faults, 1 with faults.")]
pub(super) struct DoctorArgs {
    /// Workflows whose interpreters and pools are checked [default: all installed workflows]
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
        text(&findings, Format::now())
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(cannot_write)?;
    Ok(if faults == 0 { Exit::Finished } else { Exit::Error })
}

/// How the table is printed.
#[derive(Debug, Clone, Copy)]
struct Format {
    colours: bool,
}

impl Format {
    fn now() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Format { colours: io::stdout().is_terminal() && !set("NO_COLOR") && !dumb }
    }
}

/// A line for each finding, with the advice below it.
fn text(findings: &[Finding], format: Format) -> String {
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for finding in findings {
        let word = finding.state.word();
        let (on, off) = if format.colours { (finding.state.colour(), "\x1b[0m") } else { ("", "") };
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
            Finding::note("polkit", "not installed", "install it to use its rules"),
            Finding::fault("python3", "not found", "install it"),
        ]
    }

    #[test]
    fn findings_are_a_table_with_advice() {
        assert_eq!(
            text(&findings(), Format { colours: false }),
            "ok     systemd  252\n\
             note   polkit   not installed\n                \
             → install it to use its rules\n\
             FAULT  python3  not found\n                \
             → install it\n\n1 fault, 1 note\n"
        );
    }

    #[test]
    fn a_terminal_has_colours() {
        assert!(text(&findings(), Format { colours: true }).contains("\x1b[1;31mFAULT\x1b[0m  python3"));
    }
}
