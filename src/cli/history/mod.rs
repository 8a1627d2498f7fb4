//! `pushflow history`: lists recorded runs, newest first.

mod find;
mod place;
mod time;
mod writing;

pub(super) use find::{Found, WhereArgs, all};
pub(super) use time::{TimeOfDay, at, since};
pub(super) use writing::{Recorded, of_run, of_service};

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command};
use serde_json::{Map, Value as Json, json};

use super::locate::Whose;
use super::services::{print, print_json, print_table};
use super::{Exit, Failure};
use crate::accounting::{size, time as length};
use crate::history::{Figures, Filter, RunRecord, RunStatus, is_alive};

/// The file in a workflow's folder.
const FILE: &str = "history.sqlite";

/// The history of a service of this name.
pub(super) fn file(whose: Whose, name: &str) -> Option<PathBuf> {
    whose.state_folder_of(name).map(|folder| folder.join(FILE))
}

/// The arguments of `pushflow history`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Services record their runs. `pushflow run` records them with --history.

Examples:
  pushflow history data-reduction --since 2d --status failed
  pushflow history --actor integrate --json
  pushflow show data-reduction/12")]
pub(super) struct HistoryArgs {
    /// Only runs of this workflow
    #[arg(value_name = "NAME|FILE")]
    name: Option<String>,

    /// The same as NAME|FILE
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "name")]
    workflow: Option<String>,

    /// Only runs with this status
    #[arg(long, value_name = "STATUS", value_parser = StatusWord)]
    status: Option<String>,

    /// Only runs accepted since: 30m, 2d, 2026-11-20, "2026-11-20 18:30"
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<u64>,

    /// Only runs in which this actor was triggered
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,

    /// Maximum number of runs
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: WhereArgs,
}

/// The status of a run. `status` actors can set other words.
#[derive(Debug, Clone, Copy)]
struct StatusWord;

const STATUSES: [&str; 9] =
    ["finished", "error", "failed", "timeout", "stopped", "aborted", "interrupted", "running", "queued"];

impl TypedValueParser for StatusWord {
    type Value = String;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        clap::builder::StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(STATUSES.iter().map(PossibleValue::new)))
    }
}

pub(super) fn history(args: &HistoryArgs) -> Result<Exit, Failure> {
    let name = args.name.as_deref().or(args.workflow.as_deref());
    let filter =
        Filter { status: args.status.clone(), since: args.since, actor: args.actor.clone(), limit: Some(args.limit) };
    let mut runs = Vec::new();
    for found in all(args.place, name)? {
        runs.extend(wanted(&found, &filter)?.into_iter().map(|run| (found.name.clone(), run)));
    }
    runs.sort_by_key(|(_, run)| std::cmp::Reverse(run.queued_at));
    runs.truncate(args.limit as usize);
    if args.json {
        let runs: Vec<Json> = runs.iter().map(|(name, run)| Json::Object(run_json(name, run))).collect();
        print_json(&Json::Array(runs))?;
    } else if runs.is_empty() {
        print("no recorded runs match")?;
    } else {
        let files = several_files(&runs);
        let heading: Vec<&str> = HEADING.into_iter().chain(files.then_some("file")).collect();
        let rows = runs.iter().map(|(name, run)| {
            let file = || run.file.clone().unwrap_or_else(|| "-".to_owned());
            row(name, run).into_iter().chain(files.then(file)).collect()
        });
        print_table(&heading, rows.collect())?;
    }
    Ok(Exit::Finished)
}

/// Whether the runs come from several files of the same name. Then the table has a column for the file.
fn several_files(runs: &[(String, RunRecord)]) -> bool {
    let mut files: BTreeMap<&OsStr, &str> = BTreeMap::new();
    let mut of_runs = runs.iter().filter_map(|(_, run)| run.file.as_deref());
    of_runs.any(|file| {
        let stem = Path::new(file).file_stem().unwrap_or_default();
        files.insert(stem, file).is_some_and(|before| before != file)
    })
}

/// The runs that match. A running run whose process has died counts as interrupted.
fn wanted(found: &Found, filter: &Filter) -> Result<Vec<RunRecord>, Failure> {
    let mut runs = found.reader.runs(filter).map_err(anyhow::Error::from)?;
    match filter.status.as_deref() {
        Some("running") => runs.retain(|run| status(run) == "running"),
        Some("interrupted") => {
            let running = Filter { status: Some("running".to_owned()), ..filter.clone() };
            let gone = found.reader.runs(&running).map_err(anyhow::Error::from)?;
            runs.extend(gone.into_iter().filter(|run| status(run) == "interrupted"));
        }
        _ => {}
    }
    Ok(runs)
}

/// The status of a run.
pub(super) fn status(run: &RunRecord) -> &str {
    let is_gone = run.status == RunStatus::Running && !is_alive(&run.owner);
    if is_gone { "interrupted" } else { run.status.word() }
}

const HEADING: [&str; 8] = ["run", "status", "accepted", "took", "tasks", "failed", "cpu", "label"];

fn row(name: &str, run: &RunRecord) -> Vec<String> {
    vec![
        format!("{name}/{}", run.id),
        status(run).to_owned(),
        at(run.queued_at),
        took(run).map_or_else(|| "-".to_owned(), length),
        run.tasks.to_string(),
        run.failed_tasks.to_string(),
        cpu(&run.figures).map_or_else(|| "-".to_owned(), length),
        run.label.clone(),
    ]
}

/// The duration of a run.
pub(super) fn took(run: &RunRecord) -> Option<Duration> {
    let until = match status(run) {
        // The time at which its supervisor died is unknown.
        "interrupted" => None,
        "running" => run.ended_at.or_else(|| Some(crate::history::now())),
        _ => run.ended_at,
    }?;
    Some(Duration::from_micros(until.saturating_sub(run.started_at?)))
}

pub(super) fn cpu(figures: &Figures) -> Option<Duration> {
    Some(figures.cpu_user? + figures.cpu_system?)
}

pub(super) fn memory(figures: &Figures) -> Option<String> {
    figures.memory_peak.map(size)
}

/// A run as JSON. Times are microseconds since the epoch.
pub(super) fn run_json(name: &str, run: &RunRecord) -> Map<String, Json> {
    let json = json!({
        "id": format!("{name}/{}", run.id),
        "workflow": name,
        "file": run.file,
        "run": run.id,
        "status": status(run),
        "label": run.label,
        "priority": run.priority,
        "uid": run.uid,
        "queued_at": run.queued_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "took_us": took(run).map(|time| time.as_micros() as u64),
        "begun": run.begun,
        "tasks": run.tasks,
        "failed_tasks": run.failed_tasks,
        "left_out": run.left_out,
        "error": run.error.as_ref().map(|error| json!({ "actor": error.actor, "message": error.message })),
        "request_id": run.requester.request_id,
        "initiator": run.requester.initiator,
        "figures": figures_json(&run.figures),
    });
    if let Json::Object(map) = json { map } else { Map::new() }
}

/// Figures as JSON. Unknown figures are null.
pub(super) fn figures_json(figures: &Figures) -> Json {
    let micros = |time: Option<Duration>| time.map(|time| time.as_micros() as u64);
    json!({
        "cpu_user_us": micros(figures.cpu_user),
        "cpu_system_us": micros(figures.cpu_system),
        "memory_peak": figures.memory_peak,
        "read_bytes": figures.read,
        "written_bytes": figures.written,
        "origin": figures.origin,
    })
}
