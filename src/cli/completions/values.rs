//! Completion of values: names of workflows, running services, recorded runs and hosts.
//!
//! A shell asks for them while the user types. Errors and timeouts are not reported; the values are left out.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::Arg;
use clap_complete::CompletionCandidate;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, PathCompleter, ValueCompleter};
use zbus::connection::Builder;
use zbus::fdo::DBusProxy;

use crate::bus::names;
use crate::cli::history::{self, WhereArgs};
use crate::cli::locate::{Whose, is_path};
use crate::history::Filter;

/// Maximum time to wait for the buses.
const PATIENCE: Duration = Duration::from_millis(500);
/// Maximum number of runs of a workflow, the newest first.
const MAX_RUNS: u32 = 20;

/// Adds the completion of an argument of a verb.
pub(super) fn with_values(verb: &str, argument: Arg) -> Arg {
    match (verb, argument.get_id().as_str()) {
        ("run" | "check" | "graph" | "doctor", "workflow" | "workflows") => {
            argument.add(ArgValueCompleter::new(|current: &OsStr| files_and(current, installed)))
        }
        ("history", "name" | "workflow") => {
            argument.add(ArgValueCompleter::new(|current: &OsStr| files_and(current, recorded)))
        }
        ("show", "run") => argument.add(ArgValueCandidates::new(runs)),
        ("serve", "name") => argument.add(ArgValueCandidates::new(|| candidates(installed()))),
        ("submit", "name") => argument.add(ArgValueCandidates::new(|| candidates(running_or_installed()))),
        ("status" | "stop" | "ps", "name" | "which") => argument.add(ArgValueCandidates::new(|| candidates(running()))),
        (_, "host") => argument.add(ArgValueCandidates::new(|| candidates(hosts()))),
        _ => argument,
    }
}

fn candidates(names: BTreeSet<String>) -> Vec<CompletionCandidate> {
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Workflow files, and names unless it is clear that a file is meant.
fn files_and(current: &OsStr, names: impl Fn() -> BTreeSet<String>) -> Vec<CompletionCandidate> {
    let given = current.to_string_lossy();
    let mut found = Vec::new();
    if !is_path(&given) {
        found = candidates(names().into_iter().filter(|name| name.starts_with(&*given)).collect());
    }
    found.extend(workflow_files(current));
    found
}

fn workflow_files(current: &OsStr) -> Vec<CompletionCandidate> {
    let is_workflow = |path: &Path| path.extension().is_some_and(|extension| extension == "toml") && path.is_file();
    PathCompleter::any().filter(is_workflow).complete(current)
}

/// The workflows that are installed for this user and for the system.
fn installed() -> BTreeSet<String> {
    let folders = [Whose::User, Whose::System].into_iter().flat_map(Whose::workflow_folders);
    let files = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten().map(|entry| entry.path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "toml")).filter_map(stem).collect()
}

fn stem(file: PathBuf) -> Option<String> {
    file.file_stem()?.to_str().map(str::to_owned)
}

fn running_or_installed() -> BTreeSet<String> {
    let running = running();
    if running.is_empty() { installed() } else { running }
}

/// The services that are on the buses of this host.
fn running() -> BTreeSet<String> {
    let (answer, answered) = mpsc::channel();
    let asked = [Builder::system(), Builder::session()].map(|bus| {
        let answer = answer.clone();
        thread::spawn(move || answer.send(zbus::block_on(services(bus)).unwrap_or_default()))
    });
    drop(answer);
    asked.iter().filter_map(|_| answered.recv_timeout(PATIENCE).ok()).flatten().collect()
}

async fn services(bus: Builder<'_>) -> zbus::Result<Vec<String>> {
    let connection = bus.method_timeout(PATIENCE).build().await?;
    let names = DBusProxy::new(&connection).await?.list_names().await?;
    Ok(names.iter().filter_map(|name| names::name_of_service(name)).collect())
}

/// The workflows that have a history.
fn recorded() -> BTreeSet<String> {
    let found = history::all(WhereArgs::default(), None).unwrap_or_default();
    found.into_iter().map(|history| history.name).collect()
}

/// The recorded runs, with what became of them.
fn runs() -> Vec<CompletionCandidate> {
    let mut found = Vec::new();
    for history in history::all(WhereArgs::default(), None).unwrap_or_default() {
        let newest = Filter { limit: Some(MAX_RUNS), ..Filter::default() };
        for run in history.reader.runs(&newest).unwrap_or_default() {
            let help = format!("{}, {}", history::status(&run), history::at(run.queued_at));
            found.push(CompletionCandidate::new(format!("{}/{}", history.name, run.id)).help(Some(help.into())));
        }
    }
    found
}

/// The hosts that ssh(1) has names for: those of ssh_config(5), without patterns.
fn hosts() -> BTreeSet<String> {
    let home = std::env::home_dir().map(|home| home.join(".ssh/config"));
    let files = home.into_iter().chain([PathBuf::from("/etc/ssh/ssh_config")]);
    let text: String = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
    names_of_hosts(&text)
}

fn names_of_hosts(config: &str) -> BTreeSet<String> {
    let words = config.lines().filter_map(|line| {
        let (key, hosts) = line.trim().split_once([' ', '\t', '='])?;
        key.eq_ignore_ascii_case("host").then(|| hosts.split_whitespace())
    });
    words.flatten().filter(|host| !host.contains(['*', '?', '!', '='])).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_those_of_ssh_without_patterns() {
        let config = "Host beamline id30\n  HostName 10.0.0.1\nhost = lab\nHost *.esrf.fr !x\n# Host none\n";
        assert_eq!(names_of_hosts(config), ["beamline", "id30", "lab"].map(str::to_owned).into());
    }
}
