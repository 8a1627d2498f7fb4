//! Log lines for people on standard error, which share the terminal with a progress line.

use std::fmt;
use std::io::{self, Write};
use std::sync::OnceLock;

use indicatif::ProgressBar;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{ChronoLocal, FormatTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Style;
use crate::systemd::journal::{Journal, one_line, whose};
use crate::text;

/// The options of every verb stand below those of one.
const LAST: usize = 900;

/// How much is logged.
#[derive(Debug, clap::Args)]
pub(super) struct LoggingArgs {
    /// Log more: each actor's start and end.
    #[arg(short, long, global = true, display_order = LAST)]
    verbose: bool,

    /// Log only warnings and errors, and not what tasks print.
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = LAST)]
    quiet: bool,
}

/// The progress line, while there is one: log lines are written above it.
static PROGRESS: OnceLock<ProgressBar> = OnceLock::new();

/// From now on log lines are written above this progress line.
pub(super) fn write_above(progress: ProgressBar) {
    // There is one run a process, and so one progress line.
    let _ = PROGRESS.set(progress);
}

/// Starts logging; `usual` is the level where the command line says nothing. The lines of a service go to the journal,
/// where standard error goes there too.
pub(super) fn init(args: &LoggingArgs, usual: &str, service: Option<&str>) {
    let level = match args {
        LoggingArgs { quiet: true, .. } => "warn",
        LoggingArgs { verbose: true, .. } => "debug",
        _ => usual,
    };
    let filter = EnvFilter::try_from_env("PUSHFLOW_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    if let Some(journal) = service.and_then(Journal::of_this_service) {
        tracing_subscriber::registry().with(journal.with_filter(filter)).init();
        return;
    }
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(Style::colours_on_stderr())
        .with_writer(|| AboveProgress)
        .event_format(Lines { clock: ChronoLocal::new("%H:%M:%S".to_owned()), runs: service.is_some() })
        .init();
}

struct AboveProgress;

impl Write for AboveProgress {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A line that cannot be written has nowhere else to go, and is no reason to end a run.
        let _ = match PROGRESS.get() {
            Some(progress) => progress.suspend(|| io::stderr().write_all(bytes)),
            None => io::stderr().write_all(bytes),
        };
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `12:00:01 error integrate: no spots found`: the time, the level where it is not the usual one, the actor, the text. The
/// runs of a service overlap: there it is `run 9 integrate`.
struct Lines {
    clock: ChronoLocal,
    runs: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (dim, reset) = if out.has_ansi_escapes() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        write!(out, "{dim}")?;
        self.clock.format_time(&mut out)?;
        write!(out, "{reset} ")?;
        let (word, colour) = match *event.metadata().level() {
            Level::ERROR => ("error ", "\x1b[1;31m"),
            Level::WARN => ("warning ", "\x1b[33m"),
            _ => ("", ""),
        };
        match (word, out.has_ansi_escapes()) {
            ("", _) => {}
            (_, true) => write!(out, "{colour}{word}{reset}")?,
            (_, false) => write!(out, "{word}")?,
        }
        let is_printed = event.metadata().target() == "task";
        let message = one_line(&fields.message, is_printed);
        let run = fields.run.as_deref().filter(|_| self.runs);
        let whose = whose(is_printed, run, fields.actor.as_deref(), fields.pool.as_deref(), &message);
        match (whose.as_str(), is_printed) {
            ("", _) => {}
            (whose, true) if out.has_ansi_escapes() => write!(out, "\x1b[36m{whose}\x1b[0m │ ")?,
            (whose, true) => write!(out, "{whose} | ")?,
            (whose, false) => write!(out, "{whose}: ")?,
        }
        writeln!(out, "{message}")?;
        match fields.detail {
            Some(detail) => writeln!(out, "{}", text::lines(&detail)),
            None => Ok(()),
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    run: Option<String>,
    actor: Option<String>,
    pool: Option<String>,
    /// Lines that belong to the message, such as a traceback.
    detail: Option<String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "run" => self.run = Some(value.to_owned()),
            "actor" => self.actor = Some(value.to_owned()),
            "detail" => self.detail = Some(value.to_owned()),
            "pool" => self.pool = Some(value.to_owned()),
            "message" => self.message = value.to_owned(),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
