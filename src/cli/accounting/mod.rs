//! The resource usage of a run, as a table and as JSON.

mod json;

use std::time::Duration;

use comfy_table::presets::{NOTHING, UTF8_BORDERS_ONLY};
use comfy_table::{CellAlignment, Table};
use serde_json::Value as Json;

use crate::accounting::{Origin, Origins, Peak, RunAccount, Sum, Totals, Usage, WorkflowAccount, size, time};
use crate::engine::Status;
use crate::graph::Workflow;
use crate::text;
use json::{ActorUsage, RunUsage, TaskUsage};

/// The resource usage of one foreground run.
pub(super) struct Report {
    workflow: String,
    status: String,
    elapsed: Duration,
    rows: Vec<Row>,
    tasks: Vec<TaskUsage>,
    stalled: [Sum<Duration>; 3],
}

/// One row of the table.
struct Row {
    kind: RowKind,
    tasks: Option<u64>,
    mean: Option<Duration>,
    longest: Option<Duration>,
    totals: Totals,
    shared: bool,
}

/// The subject of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RowKind {
    Actor(String),
    Together,
    Workers,
    Supervisor,
    Total,
}

impl RowKind {
    fn title(&self) -> &str {
        match self {
            RowKind::Actor(name) => name,
            RowKind::Together => "(several actors)",
            RowKind::Workers => "(starting workers)",
            RowKind::Supervisor => "(pushflow itself)",
            RowKind::Total => "total",
        }
    }
}

impl Report {
    pub(super) fn new(
        workflow: &Workflow,
        (status, elapsed): (&Status, Duration),
        run: &RunAccount,
        whole: &WorkflowAccount,
        supervisor: Totals,
        tree: Option<&Usage>,
    ) -> Self {
        let mut rows: Vec<Row> = run
            .actors
            .iter()
            .map(|(actor, account)| Row {
                kind: RowKind::Actor(workflow.actor(*actor).display_name().to_owned()),
                tasks: Some(account.tasks),
                mean: account.mean(),
                longest: Some(account.longest),
                totals: account.totals,
                shared: account.shared,
            })
            .collect();
        let plain = |kind, totals| Row { kind, tasks: None, mean: None, longest: None, totals, shared: false };
        rows.extend(run.shared.map(|totals| plain(RowKind::Together, totals)));
        rows.push(plain(RowKind::Workers, whole.workers));
        rows.push(plain(RowKind::Supervisor, supervisor));
        let mut total = Totals::default();
        for row in &rows {
            total.merge(&row.totals);
        }
        // The peak of all processes together, if it was measured.
        if let Some(peak) = tree.and_then(|tree| tree.memory_peak) {
            total.memory_peak = Peak { value: Some(peak.value), origins: peak.origin.into() };
        }
        if let Some(peak) = tree.and_then(|tree| tree.processes_peak) {
            total.processes_peak = Peak { value: Some(peak.value), origins: peak.origin.into() };
        }
        let tasks = run.actors.values().map(|account| account.tasks).sum();
        rows.push(Row { tasks: Some(tasks), ..plain(RowKind::Total, total) });
        Report {
            workflow: workflow.name.clone(),
            status: status.to_string(),
            elapsed,
            rows,
            tasks: run.tasks.iter().map(|task| TaskUsage::new(workflow, task)).collect(),
            stalled: [run.total.stalled_cpu, run.total.stalled_memory, run.total.stalled_io],
        }
    }

    /// The table, with or without borders, and notes.
    pub(super) fn table(&self, lines: bool) -> String {
        let columns = Columns::of(&self.rows);
        let mut table = Table::new();
        table.load_style(if lines { UTF8_BORDERS_ONLY } else { NOTHING });
        table.set_header(columns.header());
        for row in &self.rows {
            table.add_row(columns.cells(row));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let title = format!("{}: {} after {}", self.workflow, self.status, time(self.elapsed));
        let mut text = format!("{}\n", text::line(&title));
        for line in table.to_string().lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        for note in columns.notes(&self.rows) {
            text.push_str(&note);
            text.push('\n');
        }
        let waits: Vec<String> = ["a CPU", "memory", "I/O"]
            .iter()
            .zip(&self.stalled)
            .filter_map(|(what, sum)| Some(format!("{} for {what}", time(sum.value?))))
            .collect();
        if !waits.is_empty() {
            text.push_str(&format!("Tasks waited {} (PSI).\n", waits.join(", ")));
        }
        text
    }

    /// The report as JSON.
    pub(super) fn json(&self) -> Json {
        let totals = |kind: &RowKind| self.rows.iter().find(|row| row.kind == *kind).map(|row| (&row.totals).into());
        let actors = self.rows.iter().filter_map(|row| match &row.kind {
            RowKind::Actor(actor) => Some(ActorUsage {
                actor,
                tasks: row.tasks,
                mean_seconds: row.mean.map(|time| time.as_secs_f64()),
                longest_seconds: row.longest.map(|time| time.as_secs_f64()),
                some_is_shared: row.shared,
                totals: (&row.totals).into(),
            }),
            _ => None,
        });
        let usage = RunUsage {
            workflow: &self.workflow,
            status: &self.status,
            duration_seconds: self.elapsed.as_secs_f64(),
            several_actors: totals(&RowKind::Together),
            workers: totals(&RowKind::Workers).unwrap_or_default(),
            supervisor: totals(&RowKind::Supervisor).unwrap_or_default(),
            total: totals(&RowKind::Total).unwrap_or_default(),
            actors: actors.collect(),
            last_tasks: &self.tasks,
        };
        serde_json::to_value(usage).expect("numbers and text can be written as JSON")
    }
}

/// The columns with figures, and the most frequent origin of each.
struct Columns {
    cpu: Option<Origin>,
    memory: Option<Origin>,
    io: Option<Origin>,
    processes: bool,
}

impl Columns {
    fn of(rows: &[Row]) -> Self {
        let usual = |origins: &dyn Fn(&Totals) -> Origins| {
            let all = rows.iter().filter(|row| matches!(row.kind, RowKind::Actor(_)));
            let mut all: Vec<Origin> = all.flat_map(|row| origins(&row.totals).iter()).collect();
            all.sort_unstable();
            let most = |origin: &&Origin| all.iter().filter(|other| other == origin).count();
            all.iter().max_by_key(most).copied()
        };
        Columns {
            cpu: usual(&|totals| totals.cpu_user.origins),
            memory: usual(&|totals| totals.memory_peak.origins),
            io: usual(&|totals| totals.written.origins),
            processes: rows.iter().any(|row| row.totals.processes_peak.value.is_some()),
        }
    }

    fn header(&self) -> Vec<&'static str> {
        let mut header =
            vec!["actor", "tasks", "mean", "longest", "CPU user", "system", "peak memory", "read", "written"];
        if self.processes {
            header.push("processes");
        }
        header
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        let totals = &row.totals;
        let blank = || String::new();
        let title = text::short(row.kind.title(), text::CELL);
        let title = format!("{title}{}", if row.shared { " *" } else { "" });
        let mut cells = vec![
            title,
            row.tasks.map_or_else(blank, |tasks| tasks.to_string()),
            row.mean.map_or_else(blank, time),
            row.longest.map_or_else(blank, time),
            sum(&totals.cpu_user, time, self.cpu),
            sum(&totals.cpu_system, time, self.cpu),
            marked(totals.memory_peak.value.map(size), totals.memory_peak.origins, self.memory),
            sum(&totals.read, size, self.io),
            sum(&totals.written, size, self.io),
        ];
        if self.processes {
            cells.push(totals.processes_peak.value.map_or_else(|| ABSENT.to_owned(), |peak| peak.to_string()));
        }
        cells
    }

    /// Notes: the origin of each column, and the meaning of marks.
    fn notes(&self, rows: &[Row]) -> Vec<String> {
        let mut notes = Vec::new();
        let columns = [("CPU time", self.cpu), ("peak memory", self.memory), ("read and written", self.io)];
        for origin in [Origin::Cgroup, Origin::Rusage, Origin::Proc] {
            let its: Vec<&str> =
                columns.iter().filter(|column| column.1 == Some(origin)).map(|column| column.0).collect();
            if !its.is_empty() {
                notes.push(format!("{}: from {}", its.join(", "), place(origin)));
            }
        }
        let cells: Vec<String> = rows.iter().flat_map(|row| self.cells(row)).collect();
        for origin in [Origin::Cgroup, Origin::Rusage, Origin::Proc] {
            if cells.iter().any(|cell| cell.ends_with(&format!(" {}", mark(origin)))) {
                notes.push(format!("{}: from {}", mark(origin), place(origin)));
            }
        }
        if cells.iter().any(|cell| cell.starts_with(LEAST)) {
            notes.push(format!("{LEAST}at least: some figures could not be read"));
        }
        if rows.iter().any(|row| matches!(row.kind, RowKind::Actor(_)) && self.cells(row).iter().any(|it| it == ABSENT))
        {
            notes.push(format!("{ABSENT} unknown"));
        }
        if rows.iter().any(|row| row.shared) {
            notes.push("* some tasks ran together with other actors in one process: see (several actors)".to_owned());
        }
        notes
    }
}

const ABSENT: &str = "–";
const LEAST: &str = "≥ ";

fn sum<T: Copy>(sum: &Sum<T>, text: impl Fn(T) -> String, usual: Option<Origin>) -> String {
    let least = if sum.incomplete { LEAST } else { "" };
    marked(sum.value.map(|value| format!("{least}{}", text(value))), sum.origins, usual)
}

/// A figure, with marks for origins other than the usual one of its column.
fn marked(text: Option<String>, origins: Origins, usual: Option<Origin>) -> String {
    let Some(mut text) = text else { return ABSENT.to_owned() };
    for origin in origins.iter().filter(|origin| usual.is_some_and(|usual| usual != *origin)) {
        text.push(' ');
        text.push_str(mark(origin));
    }
    text
}

fn mark(origin: Origin) -> &'static str {
    match origin {
        Origin::Cgroup => "ᶜ",
        Origin::Rusage => "ʷ",
        Origin::Proc => "ᵖ",
    }
}

fn place(origin: Origin) -> &'static str {
    match origin {
        Origin::Cgroup => "the cgroup, including all its processes",
        Origin::Rusage => "wait4, for each process and the children that it waited for",
        Origin::Proc => "/proc, for each worker process",
    }
}
