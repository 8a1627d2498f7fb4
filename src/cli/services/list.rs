//! `pushflow list`: the workflows that are installed, and which of them are running.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value as Json, json};
use tracing::warn;

use super::PlaceArgs;
use super::client::Clients;
use super::text::{number, print, print_json, print_table, text};
use super::units::{self, FailedUnit};
use crate::bus::names;
use crate::cli::locate::Whose;
use crate::cli::{Exit, Failure};
use crate::systemd::escape::instance;

/// The arguments of `pushflow list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pushflow list
  pushflow list --user --json")]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    place: PlaceArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One line of the list.
#[derive(Default)]
struct Line {
    file: Option<String>,
    /// None if it is not running, or no bus could be reached.
    state: Option<String>,
    /// How it has failed.
    failed: Option<FailedUnit>,
    active: Option<u64>,
    queued: Option<u64>,
    description: String,
}

/// The lines by name and place: the same name may be a service of the system, and one of a user.
type Lines = BTreeMap<(String, Whose), Line>;

pub(in crate::cli) fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let mut lines = if args.place.is_here() { installed(args) } else { Lines::new() };
    let mut more = Vec::new();
    match zbus::block_on(add_services(&args.place, &mut lines, &mut more)) {
        Ok(()) => {}
        // The installed workflows are known nevertheless.
        Err(Failure::Because(_, error)) if args.place.is_here() => {
            warn!("{error:#}: which are running is not known")
        }
        Err(failure) => return Err(failure),
    }
    if args.json {
        let lines: Vec<Json> = lines
            .iter()
            .map(|((name, whose), line)| {
                let failed = line.failed.as_ref();
                json!({
                    "name": name, "unit": format!("pushflow@{}.service", instance(name)), "bus": whose.word(), "file": line.file, "state": line.state,
                    "active_runs": line.active, "queued_runs": line.queued, "description": line.description,
                    "failure": failed.map(|failed| &failed.why), "failed_at": failed.and_then(|failed| failed.at),
                })
            })
            .collect();
        print_json(&Json::Array(lines))?;
        return Ok(Exit::Finished);
    }
    if lines.is_empty() && args.place.is_here() {
        let folders = args.place.whose().into_iter().flat_map(Whose::workflow_folders);
        let folders: Vec<_> = folders.map(|folder| folder.display().to_string()).collect();
        print(&format!("no workflow is installed in {}", folders.join(", ")))?;
        return Ok(Exit::Finished);
    }
    let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let rows = lines.into_iter().map(|((name, whose), line)| {
        let failed = line.failed.map(|failed| failed.text());
        let state = failed.or(line.state).unwrap_or_else(|| "-".to_owned());
        vec![name, state, count(line.active), count(line.queued), whose.word().to_owned(), line.description]
    });
    print_table(&["name", "state", "runs", "queued", "bus", "description"], rows.collect())?;
    for command in more {
        print(&format!("See: {command}"))?;
    }
    Ok(Exit::Finished)
}

fn installed(args: &ListArgs) -> Lines {
    let mut lines = Lines::new();
    let folders = args
        .place
        .whose()
        .into_iter()
        .flat_map(|whose| whose.workflow_folders().into_iter().map(move |it| (whose, it)));
    for (whose, folder) in folders {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let files: BTreeSet<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        for path in files.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            // The first folder that has one is used, as at a start.
            lines.entry((name.to_owned(), whose)).or_insert_with(|| Line {
                file: Some(path.display().to_string()),
                description: description(&path).unwrap_or_default(),
                ..Line::default()
            });
        }
    }
    lines
}

/// The description in a file, which may be invalid otherwise.
fn description(path: &std::path::Path) -> Option<String> {
    let table: toml::Table = crate::config::read_text(path).ok()?.parse().ok()?;
    Some(table.get("workflow")?.get("description")?.as_str()?.to_owned())
}

/// Adds running and failed services, and for the latter the commands that show their logs.
async fn add_services(place: &PlaceArgs, lines: &mut Lines, more: &mut Vec<String>) -> Result<(), Failure> {
    for client in Clients::connect(place).await?.iter() {
        let whose = client.place.whose;
        for (name, failed) in units::failed(&client.connection).await {
            more.push(client.place.journalctl(&name));
            let line = lines.entry((name, whose)).or_default();
            (line.state, line.failed) = (Some("failed".to_owned()), Some(failed));
        }
        for name in client.services().await? {
            // A service that ends meanwhile is not running.
            let Ok(found) = client.properties(&name, names::ROOT, names::WORKFLOW).await else { continue };
            let line = lines.entry((name, whose)).or_default();
            *line = Line {
                file: line.file.take(),
                state: Some(text(&found, "State").to_owned()),
                failed: None,
                active: number(&found, "ActiveRuns"),
                queued: number(&found, "QueuedRuns"),
                description: text(&found, "Description").to_owned(),
            };
        }
    }
    Ok(())
}
