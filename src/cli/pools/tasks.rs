//! `pushflow check-pools`: tests every kind of task in every type of pool.

use std::io::{self, Write};
use std::time::Instant;

use anyhow::Context as _;
use serde_json::json;

use super::super::{Exit, Failure};
use super::table::Notes;
use super::trial::{Ending, Trials};
use super::{Candidate, CurrentTest, PoolsArgs};
use crate::text::json as safe;

/// The kinds of tasks in pypushflow's compatibility table.
const TASKS: [&str; 7] = ["simple", "subprocess", "cfpool", "mppool", "mpprocess", "bpool", "bprocess"];

/// The arguments of `pushflow check-pools`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Tasks start: simple nothing; subprocess a program; cfpool a concurrent.futures.ProcessPoolExecutor; \
mppool a multiprocessing.Pool; mpprocess a multiprocessing.Process with a Manager; bpool a billiard.Pool; \
bprocess a billiard.Process with a Manager.

Results: works; refused (by Python, or a package is missing); failed; hangs (did not end by itself).

Exit status 1 if a task failed or hangs, or if processes were left behind.

Examples:
  pushflow check-pools --python /opt/env
  pushflow check-pools --pool billiard --task bpool --repeat 200")]
pub(crate) struct CheckPoolsArgs {
    #[command(flatten)]
    pools: PoolsArgs,

    /// Only this kind of task. Can be repeated
    #[arg(long, value_name = "KIND", value_parser = TASKS)]
    task: Vec<String>,

    /// Repeat each task; the worst result counts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
}

/// The result of a task, the worst one last.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    Works,
    Refused(String),
    Failed(String),
    Hangs,
}

impl Cell {
    fn of(ending: Ending) -> Self {
        match ending {
            Ending::Returned(result) if result == 10 => Cell::Works,
            Ending::Returned(result) => Cell::Failed(format!("it returned {result} instead of 10")),
            Ending::TimedOut => Cell::Hangs,
            Ending::Raised(why) => {
                let refused =
                    ["daemonic processes are not allowed to have children", "needs the package", "No module named"]
                        .iter()
                        .any(|text| why.contains(text));
                if refused { Cell::Refused(why) } else { Cell::Failed(why) }
            }
        }
    }

    /// Whether the result is as it should be.
    fn is_good(&self) -> bool {
        matches!(self, Cell::Works | Cell::Refused(_))
    }

    fn word(&self) -> &'static str {
        match self {
            Cell::Works => "works",
            Cell::Refused(_) => "refused",
            Cell::Failed(_) => "failed",
            Cell::Hangs => "hangs",
        }
    }

    fn why(&self) -> Option<&str> {
        match self {
            Cell::Works | Cell::Hangs => None,
            Cell::Refused(why) | Cell::Failed(why) => Some(why),
        }
    }
}

/// One row of the table.
struct Row {
    candidate: Candidate,
    cells: Vec<(String, Cell, f64)>,
    left: usize,
}

pub(crate) fn run(args: &CheckPoolsArgs) -> Result<Exit, Failure> {
    let kinds = if args.task.is_empty() { TASKS.map(str::to_owned).to_vec() } else { args.task.clone() };
    let candidates = args.pools.candidates();
    let (line, trials) = (CurrentTest::new(), Trials::new(&args.pools)?);
    let all = candidates.len() * kinds.len();
    let mut rows = Vec::new();
    for (done, candidate) in candidates.into_iter().enumerate() {
        let mut trial = trials.pool(candidate)?;
        let (mut cells, mut left) = (Vec::new(), 0);
        for kind in &kinds {
            line.show(done * kinds.len() + cells.len(), all, candidate, kind);
            let started = Instant::now();
            let mut cell = Cell::Works;
            for _ in 0..args.repeat {
                cell = Cell::of(trial.run(kind)?);
                if cell != Cell::Works {
                    break;
                }
            }
            if matches!(cell, Cell::Failed(_) | Cell::Hangs) {
                // The next kind of task gets a new worker, without leftovers of this one.
                left += trial.end()?;
                trial = trials.pool(candidate)?;
            }
            cells.push((kind.clone(), cell, started.elapsed().as_secs_f64()));
        }
        left += trial.end()?;
        rows.push(Row { candidate, cells, left });
    }
    drop(line);
    let text = if args.pools.json { safe(&as_json(&rows)).into_owned() } else { as_tables(&rows, &kinds) };
    io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?;
    let good = rows.iter().all(|row| row.left == 0 && row.cells.iter().all(|(_, cell, _)| cell.is_good()));
    Ok(if good { Exit::Finished } else { Exit::Error })
}

fn as_json(rows: &[Row]) -> String {
    let rows = rows.iter().map(|row| {
        let cells = row.cells.iter().map(|(task, cell, seconds)| {
            json!({ "task": task, "outcome": cell.word(), "why": cell.why(), "seconds": seconds })
        });
        json!({
            "pool": row.candidate.kind.word(),
            "context": row.candidate.context_word(),
            "gevent": row.candidate.gevent,
            "left_processes": row.left,
            "tasks": cells.collect::<Vec<_>>(),
        })
    });
    format!("{}\n", serde_json::Value::from(rows.collect::<Vec<_>>()))
}

fn as_tables(rows: &[Row], kinds: &[String]) -> String {
    let mut text = String::new();
    for (gevent, title) in [(false, "Without gevent"), (true, "Patched by gevent")] {
        let mut header = vec!["pool", "context"];
        header.extend(kinds.iter().map(String::as_str));
        let mut table = Notes::new(&header);
        let rows: Vec<_> = rows.iter().filter(|row| row.candidate.gevent == gevent).collect();
        if rows.is_empty() {
            continue;
        }
        for row in rows {
            let mut cells = vec![row.candidate.kind.word().to_owned(), row.candidate.context_word().to_owned()];
            for (_, cell, _) in &row.cells {
                cells.push(match cell.why() {
                    Some(why) => table.noted(cell.word(), why),
                    None => cell.word().to_owned(),
                });
            }
            if row.left > 0 {
                let pool = table.noted(&cells[0], &format!("{} processes were left behind", row.left));
                cells[0] = pool;
            }
            table.row(cells);
        }
        text.push_str(&format!("{title}:\n{}\n", table.text()));
    }
    text
}
