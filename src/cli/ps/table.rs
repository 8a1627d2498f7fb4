//! Process trees as text.

use std::io;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::Shown;
use crate::supervisor::listing::{ListedProcess, Listing, ProcessKind};
use crate::text;

/// The size of the terminal.
pub(super) struct Screen {
    columns: usize,
    rows: usize,
}

impl Screen {
    pub(super) fn now() -> Self {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or(Screen { columns: 80, rows: 24 }, |size| Screen {
            columns: usize::from(size.ws_col),
            rows: usize::from(size.ws_row),
        })
    }

    /// The text with escape sequences that redraw it in place. It is written at once, to avoid flicker.
    pub(super) fn redrawn(&self, text: &str, first: bool) -> String {
        let mut drawn = String::from(if first { "\x1b[2J\x1b[H" } else { "\x1b[H" });
        let lines: Vec<&str> = text.lines().collect();
        let room = self.rows.saturating_sub(1);
        let shown = if lines.len() > room { room.saturating_sub(1) } else { lines.len() };
        for line in &lines[..shown] {
            drawn.push_str(line);
            drawn.push_str("\x1b[K\n");
        }
        if shown < lines.len() {
            drawn.push_str(&format!("… {} more lines\x1b[K\n", lines.len() - shown));
        }
        drawn.push_str("\x1b[J");
        drawn
    }
}

pub(super) fn as_tables(shown: &[Shown], screen: Option<&Screen>) -> String {
    shown.iter().map(|shown| as_table(shown, screen)).collect::<Vec<_>>().join("\n")
}

/// A run or service in one line.
fn title(Shown { listing, service }: &Shown) -> String {
    let processes = match listing.processes.len() {
        1 => "1 process".to_owned(),
        processes => format!("{processes} processes"),
    };
    let Listing { workflow, pid, tasks, .. } = listing;
    let Some(service) = service else {
        let tasks = if *tasks == 1 { "1 task runs".to_owned() } else { format!("{tasks} tasks run") };
        return format!("{workflow} (pid {pid}): {tasks}, {processes}");
    };
    let runs = if service.active_runs == 1 { "1 run".to_owned() } else { format!("{} runs", service.active_runs) };
    let queued = if service.queued_runs == 0 { String::new() } else { format!(", {} queued", service.queued_runs) };
    format!("{workflow} ({} service, pid {pid}): {}, {runs}{queued}, {processes}", service.bus, service.state)
}

fn as_table(shown: &Shown, screen: Option<&Screen>) -> String {
    let listing = &shown.listing;
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["PID", "D/N", "POOL", "ACTOR", "RUN", "CPU", "MEMORY", "AGE", "COMMAND"]);
    for (at, process) in listing.processes.iter().enumerate() {
        let branch = if screen.is_some() { branch(&listing.processes, at) } else { "  ".repeat(process.depth) };
        let dash = || "-".to_owned();
        let name_of = |name: &Option<String>| {
            name.as_deref().map_or_else(dash, |name| text::short(name, text::CELL).into_owned())
        };
        table.add_row([
            process.pid.to_string(),
            format!("{}{}", if process.daemonic { "D" } else { "N" }, if process.announced { "" } else { "*" }),
            name_of(&process.pool),
            name_of(&process.actor),
            process.run.map_or_else(dash, |run| run.to_string()),
            cpu(Duration::from_nanos(process.cpu_usage_nsec)),
            process.memory_current.map_or_else(dash, memory),
            age(Duration::from_millis(process.age_msec)),
            format!("{branch}{}", name(process)),
        ]);
    }
    for column in [0, 4, 5, 6, 7] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let title = title(shown);
    let title = text::line(&title);
    let mut text = String::new();
    for line in [&*title].into_iter().chain(table.to_string().lines()) {
        let line = line.trim_end();
        match screen {
            Some(screen) if line.chars().count() > screen.columns => {
                text.extend(line.chars().take(screen.columns.saturating_sub(1)).chain(['…']));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

fn name(process: &ListedProcess) -> String {
    let command = text::short(&process.command, text::LINE);
    match process.kind {
        ProcessKind::Guardian => format!("{command} (guardian)"),
        ProcessKind::Supervisor => format!("{command} (supervisor)"),
        ProcessKind::Orphan => format!("{command} (its parent is gone)"),
        _ => command.into_owned(),
    }
}

/// The lines in front of a process: `│  ├─ `.
fn branch(processes: &[ListedProcess], at: usize) -> String {
    let depth = processes[at].depth;
    let mut text = String::new();
    for level in 1..=depth {
        // Whether another process follows at this level.
        let next = processes[at + 1..].iter().map(|process| process.depth).find(|depth| *depth <= level);
        let more = next == Some(level);
        text.push_str(match (level == depth, more) {
            (true, true) => "├─ ",
            (true, false) => "└─ ",
            (false, true) => "│  ",
            (false, false) => "   ",
        });
    }
    text
}

fn cpu(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.2}s", time.as_secs_f64()),
        seconds => age(Duration::from_secs(seconds)),
    }
}

fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (0, hours, minutes, _) => format!("{hours}h{minutes:02}m"),
        (days, hours, _, _) => format!("{days}d{hours:02}h"),
    }
}

fn memory(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "K", "M", "G"] {
        if value < 1024.0 {
            return if unit == "B" || value >= 100.0 {
                format!("{value:.0}{unit}")
            } else {
                format!("{value:.1}{unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1}T")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cli::ps::ServiceFacts;

    fn process(pid: i32, depth: usize, kind: ProcessKind, command: &str) -> ListedProcess {
        ListedProcess {
            pid,
            parent: pid - 1,
            depth,
            kind,
            daemonic: kind == ProcessKind::Child,
            announced: kind != ProcessKind::Orphan,
            pool: (depth > 1).then(|| "default".to_owned()),
            actor: (depth > 2).then(|| "index".to_owned()),
            run: (depth > 2).then_some(3),
            control_group: None,
            cpu_usage_nsec: 61_500_000_000 * depth as u64,
            memory_current: (kind != ProcessKind::Orphan).then_some(1_500_000 * pid as u64),
            age_msec: 3_700_000,
            started_at_usec: 0,
            command: command.to_owned(),
            process: None,
        }
    }

    fn shown(service: Option<ServiceFacts>) -> Shown {
        let listing = Listing {
            workflow: "integrate".to_owned(),
            pid: 10,
            supervisor: 11,
            tasks: 1,
            has_cgroups: false,
            orphans: (0, 0),
            processes: vec![
                process(10, 0, ProcessKind::Guardian, "pushflow run"),
                process(11, 1, ProcessKind::Supervisor, "pushflow run"),
                process(12, 2, ProcessKind::Worker, "pushflow-worker: integrate"),
                process(13, 3, ProcessKind::Child, "sh -c \x1b[2J\nxds"),
                process(900, 2, ProcessKind::Orphan, "[daemon]"),
            ],
        };
        Shown { listing, service }
    }

    #[test]
    fn a_pipe_gets_plain_lines() {
        insta::assert_snapshot!(as_tables(&[shown(None)], None));
    }

    #[test]
    fn a_terminal_gets_a_tree_that_fits() {
        insta::assert_snapshot!(as_tables(&[shown(None)], Some(&Screen { columns: 90, rows: 24 })));
    }

    #[test]
    fn a_service_says_what_it_is_doing() {
        let facts = ServiceFacts { bus: "system", state: "running".to_owned(), active_runs: 1, queued_runs: 3 };
        let title = title(&shown(Some(facts)));
        assert_eq!(title, "integrate (system service, pid 10): running, 1 run, 3 queued, 5 processes");
    }

    #[test]
    fn a_screen_that_is_too_small_says_how_much_is_missing() {
        let screen = Screen { columns: 80, rows: 4 };
        let drawn = screen.redrawn("one\ntwo\nthree\nfour\nfive\n", false);
        assert_eq!(drawn, "\x1b[Hone\x1b[K\ntwo\x1b[K\n… 3 more lines\x1b[K\n\x1b[J");
    }
}
