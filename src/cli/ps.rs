//! `pushflow ps`: the process trees of the workflows that run here.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::{Exit, Failure, cannot_write};
use crate::supervisor::listing::{ListedProcess, Listing, ProcessKind, plain};
use crate::supervisor::viewers::{is_private, runtime_folders};

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(1);
/// A supervisor answers within one turn of its loop.
const PATIENCE: Duration = Duration::from_secs(5);

/// The arguments of `pushflow ps`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
D processes are daemonic: they are terminated when their parent ends. N ones are waited for. A process with * was not
announced by the Python that started it, but found.

Examples:
  pushflow ps
  pushflow ps integrate --watch

Exit status 3 if nothing is running.")]
pub(super) struct PsArgs {
    /// Only the runs of this workflow, or the one with this process [default: all]
    #[arg(value_name = "NAME|PID")]
    which: Option<String>,

    /// Print JSON: a list of runs, with their processes
    #[arg(long)]
    json: bool,

    /// Show it again every second, until Ctrl-C or until nothing is running any more
    #[arg(short, long)]
    watch: bool,
}

pub(super) fn run(args: &PsArgs) -> Result<Exit, Failure> {
    let mut first = true;
    loop {
        let listings: Vec<Listing> = running().into_iter().filter(|listing| args.wants(listing)).collect();
        if listings.is_empty() && first {
            let what =
                args.which.as_ref().map_or("nothing is running".to_owned(), |which| format!("{which} is not running"));
            return Err(Failure::Because(Exit::NotFound, anyhow::anyhow!("{what} here (looked in {})", folders())));
        }
        if listings.is_empty() {
            return Ok(Exit::Finished);
        }
        let text = if args.json {
            let json = serde_json::to_string(&listings).context("cannot write the list as JSON")?;
            format!("{json}\n")
        } else {
            let screen = io::stdout().is_terminal().then(Screen::now);
            let text = as_tables(&listings, screen.as_ref());
            match &screen {
                Some(screen) if args.watch => screen.redrawn(&text, first),
                _ if args.watch && !first => format!("\n{text}"),
                _ => text,
            }
        };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(cannot_write)?;
        drop(out);
        if !args.watch {
            return Ok(Exit::Finished);
        }
        first = false;
        std::thread::sleep(EVERY);
    }
}

impl PsArgs {
    fn wants(&self, listing: &Listing) -> bool {
        let Some(which) = &self.which else { return true };
        *which == listing.workflow
            || which.parse().is_ok_and(|pid: i32| pid == listing.pid || pid == listing.supervisor)
    }
}

fn folders() -> String {
    runtime_folders().iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What runs here, the oldest first.
fn running() -> Vec<Listing> {
    let mut listings: Vec<Listing> = sockets().iter().filter_map(|socket| ask(socket)).collect();
    listings.sort_by_key(|listing| {
        let age = listing.processes.iter().map(|process| process.age_msec).max();
        (std::cmp::Reverse(age), listing.pid)
    });
    listings
}

fn sockets() -> Vec<PathBuf> {
    let folders = runtime_folders();
    let folders = folders.iter().filter(|folder| is_private(folder));
    let entries = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "sock")).collect()
}

/// Asks a supervisor for its tree. A socket that nobody listens at is removed.
fn ask(socket: &Path) -> Option<Listing> {
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) => {
            if error.kind() == io::ErrorKind::ConnectionRefused {
                // Somebody else may have done so.
                let _ = fs::remove_file(socket);
            }
            return None;
        }
    };
    let mut text = Vec::new();
    let read = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.read_to_end(&mut text));
    let listing = read.map_err(|error| error.to_string()).and_then(|_| match text.as_slice() {
        // It ended meanwhile.
        [] => Ok(None),
        text => serde_json::from_slice(text).map(Some).map_err(|error| error.to_string()),
    });
    listing.unwrap_or_else(|error| {
        let name = socket.file_stem().unwrap_or_default().to_string_lossy();
        eprintln!("pushflow: the supervisor {name} does not answer: {error}");
        None
    })
}

/// The terminal, as it is now.
struct Screen {
    columns: usize,
    rows: usize,
}

impl Screen {
    fn now() -> Self {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or(Screen { columns: 80, rows: 24 }, |size| Screen {
            columns: usize::from(size.ws_col),
            rows: usize::from(size.ws_row),
        })
    }

    /// The text over what was there before: written in one piece, nothing is blank in between.
    fn redrawn(&self, text: &str, first: bool) -> String {
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

fn as_tables(listings: &[Listing], screen: Option<&Screen>) -> String {
    listings.iter().map(|listing| as_table(listing, screen)).collect::<Vec<_>>().join("\n")
}

fn as_table(listing: &Listing, screen: Option<&Screen>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["PID", "D/N", "POOL", "ACTOR", "RUN", "CPU", "MEMORY", "AGE", "COMMAND"]);
    for (at, process) in listing.processes.iter().enumerate() {
        let branch = if screen.is_some() { branch(&listing.processes, at) } else { "  ".repeat(process.depth) };
        let dash = || "-".to_owned();
        table.add_row([
            process.pid.to_string(),
            format!("{}{}", if process.daemonic { "D" } else { "N" }, if process.announced { "" } else { "*" }),
            process.pool.clone().unwrap_or_else(dash),
            process.actor.clone().unwrap_or_else(dash),
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
    let tasks = if listing.tasks == 1 { "1 task runs".to_owned() } else { format!("{} tasks run", listing.tasks) };
    let processes = listing.processes.len();
    let title = format!("{} (pid {}): {tasks}, {processes} processes", listing.workflow, listing.pid);
    let mut text = String::new();
    for line in [title.as_str()].into_iter().chain(table.to_string().lines()) {
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
    let command = plain(&process.command);
    match process.kind {
        ProcessKind::Guardian => format!("{command} (guardian)"),
        ProcessKind::Supervisor => format!("{command} (supervisor)"),
        ProcessKind::Stray => format!("{command} (its parent is gone)"),
        _ => command,
    }
}

/// The lines in front of a process: `│  ├─ `.
fn branch(processes: &[ListedProcess], at: usize) -> String {
    let depth = processes[at].depth;
    let mut text = String::new();
    for level in 1..=depth {
        // Whether another process follows on this level before the tree goes back above it.
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

    fn process(pid: i32, depth: usize, kind: ProcessKind, command: &str) -> ListedProcess {
        ListedProcess {
            pid,
            parent: pid - 1,
            depth,
            kind,
            daemonic: kind == ProcessKind::Child,
            announced: kind != ProcessKind::Stray,
            pool: (depth > 1).then(|| "default".to_owned()),
            actor: (depth > 2).then(|| "index".to_owned()),
            run: (depth > 2).then_some(3),
            control_group: None,
            cpu_usage_nsec: 61_500_000_000 * depth as u64,
            memory_current: (kind != ProcessKind::Stray).then_some(1_500_000 * pid as u64),
            age_msec: 3_700_000,
            command: command.to_owned(),
        }
    }

    fn listing() -> Listing {
        Listing {
            workflow: "integrate".to_owned(),
            pid: 10,
            supervisor: 11,
            tasks: 1,
            strays: (0, 0),
            processes: vec![
                process(10, 0, ProcessKind::Guardian, "pushflow run"),
                process(11, 1, ProcessKind::Supervisor, "pushflow run"),
                process(12, 2, ProcessKind::Worker, "python3 (worker)"),
                process(13, 3, ProcessKind::Child, "sh -c \x1b[2J\nxds"),
                process(900, 2, ProcessKind::Stray, "[daemon]"),
            ],
        }
    }

    #[test]
    fn a_pipe_gets_plain_lines() {
        insta::assert_snapshot!(as_tables(&[listing()], None));
    }

    #[test]
    fn a_terminal_gets_a_tree_that_fits() {
        insta::assert_snapshot!(as_tables(&[listing()], Some(&Screen { columns: 90, rows: 24 })));
    }

    #[test]
    fn a_screen_that_is_too_small_says_how_much_is_missing() {
        let screen = Screen { columns: 80, rows: 4 };
        let drawn = screen.redrawn("one\ntwo\nthree\nfour\nfive\n", false);
        assert_eq!(drawn, "\x1b[Hone\x1b[K\ntwo\x1b[K\n… 3 more lines\x1b[K\n\x1b[J");
    }
}
