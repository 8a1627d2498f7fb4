//! `pushflow submit`: asks a running service for a run.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::io::{self, IsTerminal};
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_core::Stream;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value as Json, json};
use zbus::message::Type as MessageType;
use zbus::{MatchRule, Message, MessageStream, OwnedObjectPath, Variant};

use super::PlaceArgs;
use super::client::{Client, Clients};
use super::text::{print, print_json, print_json_text, text};
use crate::bus::{MAX_INPUTS, names, too_large};
use crate::cli::inputs::InputArgs;
use crate::cli::{Exit, Failure};
use crate::config::parse_duration;
use crate::engine::Status;
use crate::service::MAX_LABEL;
use crate::text as safe;

/// The arguments of `pushflow submit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pushflow submit integrate -i image=/data/a.cbf
  pushflow submit integrate --inputs inputs.json --wait > result.json

With --wait the exit status is that of the run, as with `pushflow run`. Ctrl-C ends the waiting, not the run.")]
pub(in crate::cli) struct SubmitArgs {
    /// The service
    name: String,

    #[command(flatten)]
    inputs: InputArgs,

    /// End the run after this long: 90s, 30m, 1h30m, or seconds [default: the file's]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,

    /// Runs with a higher one start first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,

    /// What to call the run
    #[arg(long, value_name = "TEXT", value_parser = label)]
    label: Option<String>,

    /// Wait for its end, and print its output
    #[arg(long)]
    wait: bool,

    /// Print the run as JSON (without --wait)
    #[arg(long, conflicts_with = "wait")]
    json: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

pub(in crate::cli) fn submit(args: &SubmitArgs) -> Result<Exit, Failure> {
    let inputs = Json::Object(args.inputs.object().map_err(Failure::usage)?).to_string();
    if inputs.len() > MAX_INPUTS {
        return Err(Failure::usage(anyhow!(too_large(inputs.len()))));
    }
    zbus::block_on(async {
        let clients = Clients::connect(&args.place).await?;
        let client = clients.the_one_with(&args.name).await?;
        // Signals are requested before the run, so that none is missed.
        let signals = if args.wait { Some(listen(client, &args.name).await?) } else { None };
        let mut options = HashMap::from([("priority", Variant::new(args.priority))]);
        options.extend(args.timeout.map(|timeout| ("timeout", Variant::new(timeout.as_secs_f64()))));
        options.extend(args.label.as_deref().map(|label| ("label", Variant::new(label))));
        let workflow = client.workflow(&args.name).await?;
        let path = workflow.run_json(&inputs, options).await.map_err(|error| client.explain(&args.name, &error))?;
        let id = path.as_str().rsplit('/').next().unwrap_or_default();
        let Some(signals) = signals else {
            match args.json {
                true => print_json(&json!({ "run": id.parse::<u64>().ok(), "path": path.as_str() }))?,
                false => print(&format!("run {id} of {} is accepted", args.name))?,
            }
            return Ok(Exit::Finished);
        };
        wait(client, &args.name, path.as_str(), id, signals).await
    })
}

fn label(text: &str) -> Result<String, String> {
    match text.chars().count() {
        ..=MAX_LABEL => Ok(text.to_owned()),
        length => Err(format!("it has {length} characters, and {MAX_LABEL} are the most")),
    }
}

async fn listen(client: &Client, name: &str) -> Result<MessageStream, Failure> {
    let service = names::service(name);
    let rule = || MatchRule::builder().msg_type(MessageType::Signal);
    client.add_match(rule().sender(service.as_str())).await?;
    let owner_changed = rule().sender("org.freedesktop.DBus").member("NameOwnerChanged");
    client.add_match(owner_changed.add_arg(service.as_str())).await?;
    Ok(MessageStream::from(&client.connection))
}

/// What a signal means while waiting for one run.
enum Heard {
    Started(String),
    Finished(String),
    Over,
    ServiceGone,
    Nothing,
}

async fn wait(client: &Client, name: &str, path: &str, id: &str, signals: MessageStream) -> Result<Exit, Failure> {
    let mut signals = pin!(signals);
    let mut progress = Progress::new(name, id);
    let unit = format!("{} PUSHFLOW_RUN={id}", client.place.journalctl(name));
    loop {
        let message = poll_fn(|context| signals.as_mut().poll_next(context)).await;
        let message = message.ok_or_else(|| anyhow!("the bus has closed the connection; run {id} goes on"))?;
        let message = message.context("a message of the bus is not understood")?;
        match hear(&message, path).unwrap_or(Heard::Nothing) {
            Heard::Started(actor) => progress.started(actor),
            Heard::Finished(actor) => progress.finished(&actor),
            Heard::Over => break,
            Heard::ServiceGone => {
                progress.bar.finish_and_clear();
                let kept = format!("`pushflow show {name}/{id}` tells what became of it");
                return Err(anyhow!("the service {name} has ended before run {id}: {kept}; see also {unit}").into());
            }
            Heard::Nothing => {}
        }
    }
    progress.bar.finish_and_clear();
    let run = client.properties(name, path, names::RUN).await?;
    let (status, output) = (text(&run, "Status"), text(&run, "Outputs"));
    print_json_text(if output.is_empty() { "null" } else { output })?;
    if is_cut(output) {
        eprintln!(
            "pushflow: the output of run {id} is too large for D-Bus: of its largest values only the type and the size are \
             printed. `pushflow show {name}/{id}` prints the whole output, if {name} keeps a history."
        );
    }
    let exit = exit_of(status);
    if exit != Exit::Finished {
        let why = match text(&run, "Error") {
            "" => String::new(),
            error => format!(": {}", message_in(error)),
        };
        return Err(Failure::Because(exit, anyhow!("run {id} of {name} ended: {status}{why}")));
    }
    Ok(exit)
}

/// Whether the service has replaced a value by its type and size.
fn is_cut(output: &str) -> bool {
    let is_size = |value: &Json| value.as_object().is_some_and(|it| it.len() == 2 && it.contains_key("$bytes"));
    match serde_json::from_str(output) {
        Ok(Json::Object(values)) => values.values().any(is_size),
        _ => false,
    }
}

/// The message in the error of a run.
fn message_in(error: &str) -> String {
    let json: Json = serde_json::from_str(error).unwrap_or_default();
    let field = |name: &str| json.get(name).and_then(Json::as_str);
    match (field("actor"), field("message").or(field("errorMessage"))) {
        (Some(actor), Some(message)) => format!("{actor}: {message}"),
        (None, Some(message)) => message.to_owned(),
        _ => error.to_owned(),
    }
}

fn exit_of(status: &str) -> Exit {
    let bad = [Status::Error, Status::Failed, Status::Timeout, Status::Stopped, Status::Aborted];
    let status = bad.into_iter().find(|bad| bad.word() == status).unwrap_or(Status::Finished);
    Exit::of_run(&status, None)
}

fn hear(message: &Message, path: &str) -> Option<Heard> {
    let header = message.header();
    let body = message.body();
    let (from, member) = (header.path()?.as_str(), header.member()?.as_str());
    let of_this_run = |run: &OwnedObjectPath| run.as_str() == path;
    Some(match member {
        "Completed" if from == path => Heard::Over,
        "ActorStarted" => {
            let (run, actor) = body.deserialize::<(OwnedObjectPath, String)>().ok()?;
            if of_this_run(&run) { Heard::Started(actor) } else { Heard::Nothing }
        }
        "ActorFinished" => {
            let (run, actor, _) = body.deserialize::<(OwnedObjectPath, String, String)>().ok()?;
            if of_this_run(&run) { Heard::Finished(actor) } else { Heard::Nothing }
        }
        "NameOwnerChanged" => {
            let (_, _, new) = body.deserialize::<(String, String, String)>().ok()?;
            if new.is_empty() { Heard::ServiceGone } else { Heard::Nothing }
        }
        _ => Heard::Nothing,
    })
}

/// The progress line on a terminal.
struct Progress {
    bar: ProgressBar,
    done: u64,
    running: BTreeMap<String, u64>,
}

impl Progress {
    fn new(name: &str, id: &str) -> Self {
        let bar = if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let template = "{prefix} · {elapsed} · {wide_msg}";
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(safe::line(&format!("{name} run {id}")).into_owned());
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        } else {
            ProgressBar::hidden()
        };
        Progress { bar, done: 0, running: BTreeMap::new() }
    }

    fn started(&mut self, actor: String) {
        *self.running.entry(actor).or_default() += 1;
        self.show();
    }

    fn finished(&mut self, actor: &str) {
        self.done += 1;
        if let Some(count) = self.running.get_mut(actor) {
            *count -= 1;
            if *count == 0 {
                self.running.remove(actor);
            }
        }
        self.show();
    }

    fn show(&self) {
        let running: Vec<&str> = self.running.keys().map(String::as_str).collect();
        let running = if running.is_empty() { "nothing".to_owned() } else { running.join(", ") };
        let line = format!("{} done · running: {running}", self.done);
        self.bar.set_message(safe::short(&line, safe::LINE).into_owned());
    }
}
