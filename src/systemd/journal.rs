//! The journal: every line with its workflow, run, actor, pool and process as fields, some with a MESSAGE_ID.

use std::env;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::field::{Field, Value, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_journald::{Layer as Lines, Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The targets of events that have a MESSAGE_ID, which `packaging/journal/pushflow.catalog` explains.
const MESSAGE_IDS: [(&str, &str); 4] = [
    ("run_started", "a9824655f9a44733a497d895a6694070"),
    ("run_finished", "9a5d6473818f4be8a2cc651bd072d388"),
    ("task_lost", "1e3d75ec90bc42148ff448e8efccf15b"),
    ("task_out_of_memory", "561d9fdd0f3c4dbc88ba767040d5b10f"),
];

/// The fields that an event carries as `run`, `actor`, `pool` and `worker_pid` are `PUSHFLOW_RUN` and so on there.
const PREFIX: &str = "PUSHFLOW";

/// Writes events to the journal.
pub struct Journal {
    plain: Lines,
    /// The same with a MESSAGE_ID each.
    marked: Vec<(&'static str, Lines)>,
}

impl Journal {
    /// The journal, if it reads what this process prints anyway (`$JOURNAL_STREAM`, systemd.exec(5)). Every line carries
    /// the workflow's name.
    pub fn of_this_service(workflow: &str) -> Option<Self> {
        if !prints_to_the_journal() {
            return None;
        }
        let plain = lines(workflow, None).ok()?;
        let marked = MESSAGE_IDS.iter().map(|(target, id)| Ok((*target, lines(workflow, Some(id))?)));
        Some(Journal { plain, marked: marked.collect::<io::Result<_>>().ok()? })
    }
}

fn lines(workflow: &str, message_id: Option<&str>) -> io::Result<Lines> {
    let fields = [("PUSHFLOW_WORKFLOW", workflow)].into_iter().chain(message_id.map(|id| ("MESSAGE_ID", id)));
    Ok(tracing_journald::layer()?
        .with_field_prefix(Some(PREFIX.to_owned()))
        .with_syslog_identifier("pushflow".to_owned())
        .with_priority_mappings(PriorityMappings {
            info: Priority::Informational,
            debug: Priority::Debug,
            ..PriorityMappings::new()
        })
        .with_custom_fields(fields))
}

/// Whether standard error is the journal's stream.
fn prints_to_the_journal() -> bool {
    let stream = env::var("JOURNAL_STREAM").ok();
    let stderr = io::stderr().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    match (stream, stderr) {
        (Some(stream), Ok(found)) => stream == format!("{}:{}", found.dev(), found.ino()),
        _ => false,
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let target = event.metadata().target();
        let marked = self.marked.iter().find(|(marked, _)| *marked == target);
        let lines = marked.map_or(&self.plain, |(_, lines)| lines);
        // What a task prints stays as it is.
        if *event.metadata().level() > Level::WARN || target == "task" {
            return lines.on_event(event, context);
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.name_the_actor();
        let Some(first) = fields.0.first() else { return lines.on_event(event, context) };
        let mut values: [(&Field, Option<&dyn Value>); MOST_FIELDS] = [(&first.0, None); MOST_FIELDS];
        for (place, (field, text)) in values.iter_mut().zip(&fields.0) {
            *place = (field, Some(text));
        }
        lines.on_event(&Event::new(event.metadata(), &event.metadata().fields().value_set(&values)), context);
    }
}

/// More than any event has.
const MOST_FIELDS: usize = 12;

/// The fields of an event, as text.
#[derive(Default)]
struct Fields(Vec<(Field, String)>);

impl Fields {
    /// `systemctl status` shows the text alone: which actor has failed is part of it, if it is not already.
    fn name_the_actor(&mut self) {
        let actor = self.0.iter().find(|(field, _)| field.name() == "actor").map(|(_, actor)| actor.clone());
        let message = self.0.iter_mut().find(|(field, _)| field.name() == "message");
        if let (Some(actor), Some((_, message))) = (actor, message)
            && !message.starts_with(&actor)
        {
            message.insert_str(0, &format!("{actor}: "));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.clone(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push((field.clone(), format!("{value:?}")));
    }
}
