//! `pushflow show RUN`: shows one recorded run.

mod name;
mod text;
mod trace;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::{Value as Json, json};

use super::history::{self, Found, WhereArgs, figures_json, run_json};
use super::services::{print, print_json};
use super::{Exit, Failure};
use crate::draw::timeline;
use crate::history::{ActorRecord, HistoryError, RunRecord, TaskRecord, TaskStatus};

/// Number of tasks that are read at once.
const BATCH: u32 = 10_000;
/// Maximum number of failed tasks that are shown.
const MAX_ERRORS: u32 = 20;

/// The arguments of `pushflow show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Runs are named WORKFLOW/NUMBER, as in `pushflow history`. The number alone is enough \
if only one workflow has a run with that number.

Examples:
  pushflow show data-reduction/12
  pushflow show data-reduction/12 --timeline run.svg
  pushflow show 12 --trace run.json          for chrome://tracing and https://ui.perfetto.dev")]
pub(super) struct ShowArgs {
    /// The run: data-reduction/12 or 12
    run: String,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Print all tasks as well
    #[arg(long)]
    tasks: bool,

    /// Draw a timeline of all workers as .svg or .html file for a browser; `-` writes SVG to standard output
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,

    /// Write the tasks in the trace format of Chrome; `-` is standard output
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    #[command(flatten)]
    place: WhereArgs,
}

/// A run with its actors and failed tasks.
struct ShownRun {
    found: Found,
    run: RunRecord,
    actors: Vec<ActorRecord>,
    failed: Vec<TaskRecord>,
}

impl ShownRun {
    /// Calls `look` for each task.
    fn each_task(&self, mut look: impl FnMut(&TaskRecord) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut after = 0;
        loop {
            let tasks = self.found.reader.tasks(self.run.id, after, BATCH)?;
            for task in &tasks {
                look(task)?;
            }
            match tasks.last() {
                Some(last) if tasks.len() == BATCH as usize => after = last.id,
                _ => return Ok(()),
            }
        }
    }
}

pub(super) fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let (found, run) = name::find(&args.run, args.place)?;
    let (actors, failed) = read(&found, &run).map_err(anyhow::Error::from)?;
    let shown = ShownRun { found, run, actors, failed };
    if let Some(path) = &args.timeline {
        draw(&shown, path)?;
    }
    if let Some(path) = &args.trace {
        let cannot = || format!("cannot write the trace to {}", path.display());
        let file: Box<dyn Write> = match is_stdout(path) {
            true => Box::new(io::stdout().lock()),
            false => Box::new(File::create(path).with_context(cannot)?),
        };
        let mut file = BufWriter::new(file);
        trace::write(&shown, &mut file).with_context(cannot)?;
        file.flush().with_context(cannot)?;
    }
    if args.json {
        print_as_json(&shown, args.tasks)?;
    } else if args.timeline.is_none() && args.trace.is_none() {
        text::print_run(&shown, args.tasks)?;
    }
    Ok(Exit::Finished)
}

fn read(found: &Found, run: &RunRecord) -> Result<(Vec<ActorRecord>, Vec<TaskRecord>), HistoryError> {
    Ok((found.reader.actors(run.id)?, found.reader.failed_tasks(run.id, MAX_ERRORS)?))
}

fn draw(shown: &ShownRun, path: &Path) -> Result<(), Failure> {
    let page = match path.extension().and_then(|ending| ending.to_str()) {
        Some("svg") => false,
        _ if is_stdout(path) => false,
        Some("html" | "htm") => true,
        _ => {
            return Err(Failure::usage(anyhow!("a timeline must be an .svg or .html file, not {}", path.display())));
        }
    };
    let mut picture = timeline::Timeline::new(&title(shown), shown.run.started_at.unwrap_or(shown.run.queued_at));
    let now = crate::history::now();
    shown.each_task(|task| {
        if let Some(from) = task.started_at {
            let to = task.ended_at.unwrap_or(if task.status == TaskStatus::Running { now } else { from });
            picture.add(timeline::Bar {
                pool: &task.pool,
                worker: task.worker.unwrap_or_default(),
                program: task.kind == "exec",
                actor: &task.actor,
                status: task.status.word(),
                number: task.number,
                from,
                to,
            });
        }
        Ok(())
    })?;
    let text = if page { picture.html() } else { picture.svg() };
    if is_stdout(path) {
        return print(&text);
    }
    std::fs::write(path, text).with_context(|| format!("cannot write the timeline to {}", path.display()))?;
    Ok(())
}

/// `-`, as for other options that take a file.
fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

fn title(shown: &ShownRun) -> String {
    let run = &shown.run;
    let took = history::took(run).map_or_else(String::new, |took| format!(", {}", crate::accounting::time(took)));
    format!("{}/{}: {}, {}{took}", shown.found.name, run.id, history::status(run), history::at(run.queued_at))
}

fn print_as_json(shown: &ShownRun, tasks: bool) -> Result<(), Failure> {
    let parsed = |text: &str| serde_json::from_str::<Json>(text).unwrap_or(Json::Null);
    let mut run = run_json(&shown.found.name, &shown.run);
    run.insert("inputs".to_owned(), parsed(&shown.run.inputs));
    run.insert("outputs".to_owned(), shown.run.outputs.as_deref().map_or(Json::Null, parsed));
    let actors = shown.actors.iter().map(|actor| {
        json!({
            "actor": actor.name, "kind": actor.kind, "script": actor.script, "pool": actor.pool, "tasks": actor.tasks,
            "failed_tasks": actor.failed_tasks, "time_us": actor.time.as_micros() as u64,
            "longest_us": actor.longest.as_micros() as u64, "figures": figures_json(&actor.figures),
        })
    });
    run.insert("actors".to_owned(), actors.collect());
    run.insert("errors".to_owned(), shown.failed.iter().map(task_json).collect());
    if tasks {
        let mut all = Vec::new();
        shown.each_task(|task| {
            all.push(task_json(task));
            Ok(())
        })?;
        run.insert("all_tasks".to_owned(), Json::Array(all));
    }
    print_json(&Json::Object(run))
}

fn task_json(task: &TaskRecord) -> Json {
    let parsed = |text: &str| serde_json::from_str::<Json>(text).unwrap_or(Json::Null);
    json!({
        "actor": task.actor, "task": task.number, "attempt": task.attempt, "status": task.status.word(), "pool": task.pool,
        "worker": task.worker, "queued_at": task.queued_at, "started_at": task.started_at, "ended_at": task.ended_at,
        "inputs": parsed(&task.inputs), "outputs": task.outputs.as_deref().map(parsed), "error": task.error,
        "traceback": task.traceback, "figures": figures_json(&task.figures),
    })
}
