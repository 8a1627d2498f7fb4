//! The journal: each line has its workflow, run, actor, pool and process as fields, and some have a MESSAGE_ID.

use std::borrow::Cow;
use std::env;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use tracing::field::{Field, Value, Visit};
use tracing::{Event, Subscriber};
use tracing_journald::{Layer as Lines, Priority, PriorityMappings};
use tracing_subscriber::layer::{Context, Layered, SubscriberExt};
use tracing_subscriber::{Layer, Registry, registry};

use crate::log_queue::{self, Source};
use crate::text;

/// The targets of events that have a MESSAGE_ID, which `packaging/journal/pushflow.catalog` explains.
const MESSAGE_IDS: [(&str, &str); 4] = [
    ("run_started", "a9824655f9a44733a497d895a6694070"),
    ("run_finished", "9a5d6473818f4be8a2cc651bd072d388"),
    ("task_lost", "1e3d75ec90bc42148ff448e8efccf15b"),
    ("task_out_of_memory", "561d9fdd0f3c4dbc88ba767040d5b10f"),
];

/// The prefix of fields: `run`, `actor`, `pool` and `worker_pid` of an event become `PUSHFLOW_RUN` and so on.
const PREFIX: &str = "PUSHFLOW";

/// Writes events to the journal through the log queue, because journald may not answer.
pub struct Journal {
    plain: Sink,
    /// Sinks with a MESSAGE_ID, by target.
    marked: Vec<(&'static str, Sink)>,
}

/// Sends events to journald. It is not a subscriber of this process: the writing thread passes events to it.
type Sink = Arc<Layered<Lines, Registry>>;

impl Journal {
    /// The journal, if standard error is connected to it (`$JOURNAL_STREAM`, systemd.exec(5)). Each line has the workflow's name.
    pub fn of_this_service(workflow: &str) -> Option<Self> {
        if !prints_to_the_journal() {
            return None;
        }
        log_queue::set_reader("the journal did not answer");
        let plain = lines(workflow, None).ok()?;
        let marked = MESSAGE_IDS.iter().map(|(target, id)| Ok((*target, lines(workflow, Some(id))?)));
        Some(Journal { plain, marked: marked.collect::<io::Result<_>>().ok()? })
    }
}

fn lines(workflow: &str, message_id: Option<&str>) -> io::Result<Sink> {
    let fields = [("PUSHFLOW_WORKFLOW", workflow)].into_iter().chain(message_id.map(|id| ("MESSAGE_ID", id)));
    let lines = tracing_journald::layer()?
        .with_field_prefix(Some(PREFIX.to_owned()))
        .with_syslog_identifier("pushflow".to_owned())
        .with_priority_mappings(PriorityMappings {
            info: Priority::Informational,
            debug: Priority::Debug,
            ..PriorityMappings::new()
        })
        .with_custom_fields(fields);
    Ok(Arc::new(registry().with(lines)))
}

/// Whether standard error is connected to the journal.
fn prints_to_the_journal() -> bool {
    let stream = env::var("JOURNAL_STREAM").ok();
    let stderr = io::stderr().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    match (stream, stderr) {
        (Some(stream), Ok(found)) => stream == format!("{}:{}", found.dev(), found.ino()),
        _ => false,
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let target = metadata.target();
        let marked = self.marked.iter().find(|(marked, _)| *marked == target);
        let lines = Arc::clone(marked.map_or(&self.plain, |(_, lines)| lines));
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.complete_the_message(target == "task");
        let source = if target == "task" { Source::Task } else { Source::Pushflow };
        log_queue::write(source, fields.0.iter().map(|(_, text)| text.len()).sum(), move || {
            let Some(first) = fields.0.first() else { return };
            let mut values: [(&Field, Option<&dyn Value>); MOST_FIELDS] = [(&first.0, None); MOST_FIELDS];
            for (place, (field, text)) in values.iter_mut().zip(&fields.0) {
                *place = (field, Some(text));
            }
            lines.event(&Event::new(metadata, &metadata.fields().value_set(&values)));
        });
    }
}

/// Maximum number of fields of an event.
const MOST_FIELDS: usize = 12;

/// The fields of an event, as text.
#[derive(Default)]
struct Fields(Vec<(Field, String)>);

impl Fields {
    /// Adds run, actor and details to the message, because `systemctl status` and `journalctl -u` show only the message.
    fn complete_the_message(&mut self, is_printed: bool) {
        let find = |name: &str| self.0.iter().find(|(field, _)| field.name() == name).map(|(_, value)| value.as_str());
        let message = one_line(find("message").unwrap_or_default(), is_printed);
        let mut whole = whose(is_printed, find("run"), find("actor"), find("pool"), &message);
        whole.push_str(match (whole.is_empty(), is_printed) {
            (true, _) => "",
            (false, true) => " | ",
            (false, false) => ": ",
        });
        whole.push_str(&message);
        if let Some(detail) = find("detail") {
            whole.push('\n');
            whole.push_str(&text::lines(detail));
        }
        self.0.retain(|(field, _)| field.name() != "detail");
        if let Some((_, message)) = self.0.iter_mut().find(|(field, _)| field.name() == "message") {
            *message = whole;
        }
    }
}

/// A message on one line. Output of a task already is one line ([`text::printed`]).
pub fn one_line(message: &str, is_printed: bool) -> Cow<'_, str> {
    if is_printed { Cow::Borrowed(message) } else { text::line(message) }
}

/// The prefix of a message: `run 9 index`. The run is left out if the message begins with it. Output that no task has printed has the
/// pool instead.
pub fn whose(is_printed: bool, run: Option<&str>, actor: Option<&str>, pool: Option<&str>, message: &str) -> String {
    let mut words = Vec::new();
    let says_so = |run: &String| !is_printed && message.strip_prefix(&**run).is_some_and(|rest| rest.starts_with(' '));
    words.extend(run.map(|run| format!("run {run}")).filter(|run| !says_so(run)));
    words.extend(actor.map(|actor| text::short(actor, text::CELL).into_owned()));
    if words.is_empty() && is_printed {
        words.push(format!("pool {}", text::short(pool.unwrap_or("?"), text::CELL)));
    }
    words.join(" ")
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.clone(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push((field.clone(), format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::whose;

    #[test]
    fn a_message_says_whose_it_is_once() {
        assert_eq!(whose(true, Some("9"), Some("index"), Some("default"), "index"), "run 9 index");
        assert_eq!(whose(true, None, None, Some("default"), "a module prints"), "pool default");
        assert_eq!(whose(false, Some("9"), Some("index"), None, "no beam"), "run 9 index");
        assert_eq!(whose(false, Some("9"), None, None, "run 9 started"), "");
        assert_eq!(whose(false, Some("9"), None, None, "run 90 started"), "run 9");
        assert_eq!(whose(false, None, Some("a\nb"), None, "no beam"), "a\\nb");
        assert_eq!(whose(false, None, None, None, "ready"), "");
    }
}
