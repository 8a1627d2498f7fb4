//! A run as text.

use std::time::Duration;

use super::ShownRun;
use crate::accounting::{ordinal, size, time};
use crate::cli::Failure;
use crate::cli::history::{at, cpu, memory, status, took};
use crate::cli::services::{print, print_table};
use crate::history::{ActorRecord, TaskRecord};
use crate::text;

/// Maximum length of inputs and outputs in a line.
const SHOWN: usize = 300;

pub(super) fn print_run(shown: &ShownRun, tasks: bool) -> Result<(), Failure> {
    let run = &shown.run;
    let took = took(run).map_or_else(String::new, |took| format!(", took {}", time(took)));
    print(&format!("{}/{}: {}{took}", text::line(&shown.found.name), run.id, status(run)))?;
    let line = |what: &str, text: String| print(&format!("  {what:<9} {}", text::short(&text, text::LINE)));
    if let Some(file) = &run.file {
        line("file", file.clone())?;
    }
    line("accepted", at(run.queued_at))?;
    if let Some(started) = run.started_at {
        let again = if run.begun > 1 { format!(", for the {} time", ordinal(run.begun)) } else { String::new() };
        line("begun", format!("{}{again}", at(started)))?;
    }
    if let Some(ended) = run.ended_at {
        line("ended", at(ended))?;
    }
    if !run.label.is_empty() {
        line("label", run.label.clone())?;
    }
    if let Some(uid) = run.uid {
        line("user", user(uid))?;
    }
    if let Some(request) = &run.requester.request_id {
        line("request", request.clone())?;
    }
    line("inputs", shortened(&run.inputs))?;
    if let Some(outputs) = &run.outputs {
        line("outputs", shortened(outputs))?;
    }
    if let Some(error) = &run.error {
        let actor = if error.actor.is_empty() { String::new() } else { format!("{}: ", error.actor) };
        line("error", format!("{actor}{}", error.message))?;
    }
    if run.left_out > 0 {
        line("left out", format!("{} of {} tasks are counted and not recorded one by one", run.left_out, run.tasks))?;
    }
    if !shown.actors.is_empty() {
        print("")?;
        print_table(&ACTORS, shown.actors.iter().map(actor_row).collect())?;
        let mut origins: Vec<_> = shown.actors.iter().filter_map(|actor| actor.figures.origin.as_deref()).collect();
        origins.sort_unstable();
        origins.dedup();
        if !origins.is_empty() {
            print(&format!("CPU time, memory, read and written: from {}", origins.join(", ")))?;
        }
    }
    if tasks {
        print("")?;
        let mut rows = Vec::new();
        shown.each_task(|task| {
            rows.push(task_row(shown.run.started_at.unwrap_or_default(), task));
            Ok(())
        })?;
        print_table(&TASKS, rows)?;
    }
    for task in &shown.failed {
        print("")?;
        let attempt = task.attempt + 1;
        print(&format!("{} (task {}, attempt {attempt}): {}", text::line(&task.actor), task.number, task.status))?;
        let error = task.traceback.as_deref().filter(|text| !text.is_empty()).or(task.error.as_deref());
        let error = text::error(error.unwrap_or_default().trim_end(), "all of it with --json");
        for line in error.lines() {
            print(&format!("  {line}"))?;
        }
    }
    Ok(())
}

const ACTORS: [&str; 11] =
    ["actor", "pool", "tasks", "failed", "mean", "longest", "total", "cpu", "memory", "read", "written"];

fn actor_row(actor: &ActorRecord) -> Vec<String> {
    let mean = u32::try_from(actor.tasks).ok().and_then(|tasks| actor.time.checked_div(tasks));
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        actor.name.clone(),
        actor.pool.clone(),
        actor.tasks.to_string(),
        actor.failed_tasks.to_string(),
        dash(mean.map(time)),
        time(actor.longest),
        time(actor.time),
        dash(cpu(&actor.figures).map(time)),
        dash(memory(&actor.figures)),
        dash(actor.figures.read.map(size)),
        dash(actor.figures.written.map(size)),
    ]
}

const TASKS: [&str; 8] = ["task", "actor", "status", "start", "waited", "took", "worker", "cpu"];

fn task_row(start: u64, task: &TaskRecord) -> Vec<String> {
    let between = |from: u64, to: u64| time(Duration::from_micros(to.saturating_sub(from)));
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let number = if task.attempt == 0 { task.number.to_string() } else { format!("{}.{}", task.number, task.attempt) };
    vec![
        number,
        task.actor.clone(),
        task.status.to_string(),
        dash(task.started_at.map(|at| between(start, at))),
        dash(task.started_at.map(|at| between(task.queued_at, at))),
        dash(task.started_at.zip(task.ended_at).map(|(from, to)| between(from, to))),
        dash(task.worker.map(|worker| worker.to_string())),
        dash(cpu(&task.figures).map(time)),
    ]
}

/// The name of a user, or the uid if it has none.
fn user(uid: u32) -> String {
    let found = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    found.map_or_else(|| format!("{uid} (no user has this number here)"), |user| user.name)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}… (all of it with --json)", &text[..cut]),
        None => text.to_owned(),
    }
}
