//! `pushflow list`: the workflows that are installed, and which of them are running.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value as Json, json};
use tracing::warn;

use super::PlaceArgs;
use super::client::Client;
use super::text::{number, print, print_table, text};
use crate::bus::names;
use crate::cli::{Exit, Failure};

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
    /// None where it is not running, or nobody could be asked.
    state: Option<String>,
    active: Option<u64>,
    queued: Option<u64>,
    description: String,
}

pub(in crate::cli) fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let mut lines = if args.place.host.is_none() { installed(args) } else { BTreeMap::new() };
    match zbus::block_on(running(&args.place)) {
        Ok(running) => {
            for (name, found) in running {
                let line = lines.entry(name).or_default();
                *line = Line { file: line.file.take(), ..found };
            }
        }
        // What is installed is known all the same.
        Err(Failure::Because(_, error)) if args.place.host.is_none() => {
            warn!("{error:#}: which are running is not known")
        }
        Err(failure) => return Err(failure),
    }
    if args.json {
        let lines: Vec<Json> = lines
            .iter()
            .map(|(name, line)| {
                json!({
                    "name": name, "file": line.file, "state": line.state, "active_runs": line.active,
                    "queued_runs": line.queued, "description": line.description,
                })
            })
            .collect();
        print(&Json::Array(lines).to_string())?;
        return Ok(Exit::Finished);
    }
    if lines.is_empty() && args.place.host.is_none() {
        let folders: Vec<_> =
            args.place.whose().workflow_folders().iter().map(|folder| folder.display().to_string()).collect();
        print(&format!("no workflow is installed in {}", folders.join(", ")))?;
        return Ok(Exit::Finished);
    }
    let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let rows = lines.into_iter().map(|(name, line)| {
        let state = line.state.unwrap_or_else(|| "-".to_owned());
        vec![name, state, count(line.active), count(line.queued), line.description]
    });
    print_table(&["name", "state", "runs", "queued", "description"], rows.collect())?;
    Ok(Exit::Finished)
}

fn installed(args: &ListArgs) -> BTreeMap<String, Line> {
    let mut lines = BTreeMap::new();
    for folder in args.place.whose().workflow_folders() {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let files: BTreeSet<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        for path in files.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            // The first folder that has one wins, as when it is started.
            lines.entry(name.to_owned()).or_insert_with(|| Line {
                file: Some(path.display().to_string()),
                description: description(&path).unwrap_or_default(),
                ..Line::default()
            });
        }
    }
    lines
}

/// The description in a file, which need not be valid otherwise.
fn description(path: &std::path::Path) -> Option<String> {
    let table: toml::Table = fs::read_to_string(path).ok()?.parse().ok()?;
    Some(table.get("workflow")?.get("description")?.as_str()?.to_owned())
}

async fn running(place: &PlaceArgs) -> Result<Vec<(String, Line)>, Failure> {
    let client = Client::connect(place).await?;
    let mut lines = Vec::new();
    for name in client.services().await? {
        // One that ends meanwhile is not running.
        let Ok(found) = client.properties(&name, names::ROOT, names::WORKFLOW).await else { continue };
        let line = Line {
            file: None,
            state: Some(text(&found, "State").to_owned()),
            active: number(&found, "ActiveRuns"),
            queued: number(&found, "QueuedRuns"),
            description: text(&found, "Description").to_owned(),
        };
        lines.push((name, line));
    }
    Ok(lines)
}
