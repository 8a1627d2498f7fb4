//! Log lines on standard error, together with a progress line.

use std::fmt;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use indicatif::ProgressBar;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::history::TimeOfDay;
use crate::config::Style;
use crate::log_queue::{self, Source};
use crate::systemd::journal::{Journal, one_line, whose};
use crate::text;

/// Display order: these options are common to all verbs, and come last in `--help`.
const LAST: usize = 900;

/// The log level.
#[derive(Debug, clap::Args)]
pub(super) struct LoggingArgs {
    /// Log more: start and end of each actor
    #[arg(short, long, global = true, display_order = LAST)]
    verbose: bool,

    /// Log only warnings and errors, no output of tasks
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = LAST)]
    quiet: bool,
}

/// The progress line. Log lines are written above it.
static PROGRESS: OnceLock<ProgressBar> = OnceLock::new();

/// Starts logging. `usual` is the default level. A service logs to the journal if its standard error goes there.
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
        .with_writer(Queued)
        .event_format(Lines { runs: service.is_some() })
        .init();
}

/// Writes lines to the log queue.
struct Queued;

/// Writes one line to the log queue.
struct QueuedLine(Source);

impl<'a> MakeWriter<'a> for Queued {
    type Writer = QueuedLine;

    fn make_writer(&'a self) -> QueuedLine {
        QueuedLine(Source::Pushflow)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> QueuedLine {
        QueuedLine(if metadata.target() == "task" { Source::Task } else { Source::Pushflow })
    }
}

impl Write for QueuedLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        say_as(self.0, bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a text to standard error, after the log lines that came before; nobody waits for that.
pub(super) fn say(text: impl Into<Vec<u8>>) {
    say_as(Source::Pushflow, text.into());
}

fn say_as(source: Source, text: Vec<u8>) {
    log_queue::write(source, text.len(), move || match PROGRESS.get() {
        Some(progress) => progress.suspend(|| write_to_stderr(&text)),
        None => write_to_stderr(&text),
    });
}

/// The lock of standard error is not taken: who waits for a reader must not hold up others.
fn write_to_stderr(mut text: &[u8]) {
    let stderr = io::stderr();
    while !text.is_empty() {
        match nix::unistd::write(&stderr, text) {
            Ok(count) => text = &text[count..],
            Err(Errno::EINTR) => {}
            // Whoever has the same file open may have set that it does not block.
            Err(Errno::EAGAIN) => {
                let _ = poll(&mut [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
            }
            // What cannot be written has nowhere else to go, and is no reason to end a run.
            Err(_) => return,
        }
    }
}

/// The progress line, as whoever draws it shows it: the loop says what it is, and does not wait until it is drawn.
#[derive(Debug, Clone)]
pub(super) struct ProgressLine {
    bar: ProgressBar,
    /// What is to be drawn next, until it is.
    next: Arc<Mutex<Option<String>>>,
}

impl ProgressLine {
    /// From now on log lines are written above this progress line.
    pub(super) fn new(bar: ProgressBar) -> Self {
        // There is one run a process, and so one progress line.
        let _ = PROGRESS.set(bar.clone());
        ProgressLine { bar, next: Arc::default() }
    }

    pub(super) fn show(&self, line: String) {
        let size = line.len();
        if self.next().replace(line).is_some() {
            return;
        }
        let this = self.clone();
        let taken = log_queue::write(Source::Task, size, move || {
            // Taken before it is drawn: what is said meanwhile is drawn next.
            let line = this.next().take();
            this.bar.set_message(line.unwrap_or_default());
            this.bar.tick();
        });
        if !taken {
            // Nobody would draw it: the next one is tried again.
            self.next().take();
        }
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        let bar = self.bar.clone();
        log_queue::write(Source::Pushflow, 0, move || bar.finish_and_clear());
    }

    fn next(&self) -> MutexGuard<'_, Option<String>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `12:00:01 error integrate: no spots found`: the time, the level where it is not the usual one, the actor, the text. The
/// runs of a service overlap: there it is `run 9 integrate`.
struct Lines {
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
        TimeOfDay.format_time(&mut out)?;
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
