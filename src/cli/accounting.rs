//! What a run has used, as a table for people and as JSON.

use std::time::Duration;

use comfy_table::presets::{NOTHING, UTF8_BORDERS_ONLY};
use comfy_table::{CellAlignment, Table};
use serde_json::{Map, Value as Json, json};

use crate::accounting::{
    Origin, Origins, Peak, RunAccount, Sum, TaskAccount, Totals, Usage, WorkflowAccount, size, time,
};
use crate::engine::Status;
use crate::graph::Workflow;
use crate::text;

/// What one run in the foreground has used.
pub(super) struct Report {
    workflow: String,
    status: String,
    elapsed: Duration,
    rows: Vec<Row>,
    tasks: Vec<Json>,
    stalled: [Sum<Duration>; 3],
}

/// One line.
struct Row {
    kind: RowKind,
    tasks: Option<u64>,
    mean: Option<Duration>,
    longest: Option<Duration>,
    totals: Totals,
    shared: bool,
}

/// Whose line.
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
        // That of everything together, where somebody has counted it.
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
            tasks: run.tasks.iter().map(|task| task_json(workflow, task)).collect(),
            stalled: [run.total.stalled_cpu, run.total.stalled_memory, run.total.stalled_io],
        }
    }

    /// The table, with lines around it or without, and what explains it.
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

    /// Everything as JSON: an absent figure is not there.
    pub(super) fn json(&self) -> Json {
        let mut whole = Map::new();
        whole.insert("workflow".into(), self.workflow.clone().into());
        whole.insert("status".into(), self.status.clone().into());
        whole.insert("duration_seconds".into(), self.elapsed.as_secs_f64().into());
        let mut actors = Vec::new();
        for row in &self.rows {
            let key = match &row.kind {
                RowKind::Actor(name) => {
                    let mut object = Map::new();
                    object.insert("actor".into(), name.clone().into());
                    object.insert("tasks".into(), row.tasks.into());
                    object.extend(row.mean.map(|time| ("mean_seconds".into(), time.as_secs_f64().into())));
                    object.extend(row.longest.map(|time| ("longest_seconds".into(), time.as_secs_f64().into())));
                    object.insert("some_is_shared".into(), row.shared.into());
                    object.extend(figures(&row.totals));
                    actors.push(Json::Object(object));
                    continue;
                }
                RowKind::Together => "several_actors",
                RowKind::Workers => "workers",
                RowKind::Supervisor => "supervisor",
                RowKind::Total => "total",
            };
            whole.insert(key.into(), Json::Object(figures(&row.totals)));
        }
        whole.insert("actors".into(), actors.into());
        whole.insert("last_tasks".into(), self.tasks.clone().into());
        Json::Object(whole)
    }
}

/// One task, with the figures that are known of it alone.
fn task_json(workflow: &Workflow, task: &TaskAccount) -> Json {
    let mut object = Map::new();
    object.insert("actor".into(), workflow.actor(task.actor).display_name().into());
    object.insert("seconds".into(), task.time.as_secs_f64().into());
    let Some(usage) = &task.usage else { return Json::Object(object) };
    for (name, time) in [
        ("cpu_user_seconds", usage.cpu_user),
        ("cpu_system_seconds", usage.cpu_system),
        ("stalled_cpu_seconds", usage.stalled_cpu),
        ("stalled_memory_seconds", usage.stalled_memory),
        ("stalled_io_seconds", usage.stalled_io),
    ] {
        object.extend(time.map(|it| (name.to_owned(), figure(it.value.as_secs_f64().into(), it.origin.into(), false))));
    }
    for (name, count) in [
        ("memory_bytes", usage.memory),
        ("memory_peak_bytes", usage.memory_peak),
        ("read_bytes", usage.read),
        ("written_bytes", usage.written),
        ("processes", usage.processes),
        ("processes_peak", usage.processes_peak),
    ] {
        object.extend(count.map(|it| (name.to_owned(), figure(it.value.into(), it.origin.into(), false))));
    }
    Json::Object(object)
}

/// The figures of some totals.
fn figures(totals: &Totals) -> Map<String, Json> {
    let mut object = Map::new();
    let seconds = [
        ("cpu_user_seconds", &totals.cpu_user),
        ("cpu_system_seconds", &totals.cpu_system),
        ("stalled_cpu_seconds", &totals.stalled_cpu),
        ("stalled_memory_seconds", &totals.stalled_memory),
        ("stalled_io_seconds", &totals.stalled_io),
    ];
    for (name, sum) in seconds {
        let value = sum.value.map(|time| time.as_secs_f64().into());
        object.extend(value.map(|value| (name.to_owned(), figure(value, sum.origins, sum.incomplete))));
    }
    for (name, sum) in [("read_bytes", &totals.read), ("written_bytes", &totals.written)] {
        let value = sum.value.map(Json::from);
        object.extend(value.map(|value| (name.to_owned(), figure(value, sum.origins, sum.incomplete))));
    }
    for (name, peak) in [("memory_peak_bytes", &totals.memory_peak), ("processes_peak", &totals.processes_peak)] {
        let value = peak.value.map(Json::from);
        object.extend(value.map(|value| (name.to_owned(), figure(value, peak.origins, false))));
    }
    object
}

fn figure(value: Json, origins: Origins, incomplete: bool) -> Json {
    let mut figure = json!({ "value": value, "origin": origins.to_string() });
    if incomplete {
        figure["incomplete"] = true.into();
    }
    figure
}

/// The columns with figures: what each is called, and where most of it comes from.
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

    /// What the marks mean, and where the rest comes from.
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
            notes.push(format!("{LEAST}at least: some of it could not be read"));
        }
        if rows.iter().any(|row| matches!(row.kind, RowKind::Actor(_)) && self.cells(row).iter().any(|it| it == ABSENT))
        {
            notes.push(format!("{ABSENT} not known"));
        }
        if rows.iter().any(|row| row.shared) {
            notes.push("* some of it ran together with other actors in one process: see (several actors)".to_owned());
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

/// A figure, with the marks of the origins that are not the column's usual one.
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
        Origin::Cgroup => "the cgroup, of all processes in it",
        Origin::Rusage => "wait4, of each process and the children it waited for",
        Origin::Proc => "/proc, of each worker process",
    }
}
