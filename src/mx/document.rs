//! The document of a run: pypushflow's fields, in its order, from the history.

use chrono::{Local, TimeZone};
use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use pushflow::engine::Status;
use pushflow::graph::RecordType;
use pushflow::history::{RunRecord, RunStatus, TaskRecord, TaskStatus};
use serde_json::{Map, Value as Json};

use crate::{identity, value};

/// What is recorded of runs besides what the history contains.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What documents look like.
    pub kind: RecordType,
    /// The input that holds the request id.
    pub request_id_from: String,
    /// The request id where a run has none of its own (`PYPUSHFLOW_OBJECTID`).
    pub request_id: Option<String>,
    /// The initiator.
    pub initiator: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The port.
    pub port: Option<String>,
}

/// A run's request id and the `_id` of its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// `_id`.
    pub id: ObjectId,
    /// `Request ID`.
    pub request: String,
    /// The run has no request id: one was made.
    pub made_up: bool,
}

impl Asked {
    /// The request id and `_id` of a run's document.
    pub fn name(&self, history: &str, run: &RunRecord) -> Name {
        let given =
            run.requester.request_id.clone().or_else(|| self.among_inputs(run)).or_else(|| self.request_id.clone());
        match given.filter(|request| !request.is_empty()) {
            Some(request) => Name { id: identity::of_request(&request), request, made_up: false },
            None => {
                let id = identity::of_number(history, run.id, None, run.queued_at);
                Name { id, request: id.to_hex(), made_up: true }
            }
        }
    }

    fn among_inputs(&self, run: &RunRecord) -> Option<String> {
        match object(&run.inputs).get(&self.request_id_from)? {
            Json::String(text) => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The document of a run that has begun, without its actors.
    pub fn begun(&self, name: &Name, run: &RunRecord) -> Document {
        let mut document = doc! { "_id": name.id };
        let besdb = self.kind == RecordType::BesDb;
        let of_this = |said: &Option<String>, run: &Option<String>| run.clone().or_else(|| said.clone());
        let said = [
            ("initiator", of_this(&self.initiator, &run.requester.initiator)),
            ("host", of_this(&self.host, &run.requester.host)),
            ("port", of_this(&self.port, &run.requester.port)),
        ];
        for (key, text) in said {
            match text {
                Some(text) => _ = document.insert(key, text),
                None if besdb => _ = document.insert(key, ""),
                None => {}
            }
        }
        document.insert("Request ID", &name.request);
        document.insert("name", &run.workflow);
        document.insert("status", status(run));
        document.insert("startTime", time(started(run)));
        document
    }

    /// The fields that change during the run, without its actors.
    pub fn now(&self, run: &RunRecord) -> Document {
        let mut document = doc! { "status": status(run) };
        if let Some(ended) = run.ended_at {
            document.insert("stopTime", time(ended));
        }
        document
    }
}

/// When a run began; one that never did, when it was accepted.
pub fn started(run: &RunRecord) -> u64 {
    run.started_at.unwrap_or(run.queued_at)
}

/// An actor of the document: one execution.
pub fn actor(history: &str, task: &TaskRecord) -> Document {
    let mut document = doc! {
        "_id": identity::of_number(history, task.run, Some(task.id), task.queued_at),
        "name": &task.path,
        "status": task_status(task),
        "inData": value::document(&object(&task.inputs)),
        "script": script(task),
        "startTime": time(task.queued_at),
    };
    let Some(ended) = task.ended_at else { return document };
    document.insert("stopTime", time(ended));
    if let Some(message) = &task.error {
        let lines: Vec<Bson> = lines(task.traceback.as_deref().unwrap_or_default()).map(Bson::from).collect();
        document.insert("outData", doc! { "errorMessage": message, "traceBack": lines });
    } else if let Some(outputs) = &task.outputs {
        let outputs = value::document(&object(outputs));
        for (from, to) in [("workflowLogFile", "logFile"), ("workflowDebugLogFile", "debugLogFile")] {
            if let Some(path) = outputs.get(from) {
                document.insert(to, path.clone());
            }
        }
        document.insert("outData", outputs);
    }
    document
}

/// The same without inputs and outputs, if there is no room for them.
pub fn actor_in_short(history: &str, task: &TaskRecord) -> Document {
    let mut document = actor(history, task);
    for key in ["inData", "outData"] {
        if document.contains_key(key) {
            document.insert(key, doc! { "not recorded": "the document would be too large" });
        }
    }
    document
}

/// pypushflow's word for the status of a run. It has none for a word of a `status` actor: such a run is `finished`.
fn status(run: &RunRecord) -> String {
    let word = match &run.status {
        RunStatus::Queued | RunStatus::Running => "started",
        RunStatus::Ended(Status::Error | Status::Failed) => "error",
        RunStatus::Ended(Status::Finished | Status::Word(_)) => "finished",
        status @ (RunStatus::Ended(Status::Timeout | Status::Stopped | Status::Aborted) | RunStatus::Interrupted) => {
            status.word()
        }
    };
    word.to_owned()
}

fn task_status(task: &TaskRecord) -> &'static str {
    match task.status {
        TaskStatus::Running => "started",
        TaskStatus::Finished => "finished",
        TaskStatus::Unrecorded => "unknown",
        _ => "error",
    }
}

/// As pypushflow's workflows write it: a module has the ending of its file.
fn script(task: &TaskRecord) -> String {
    match serde_json::from_str::<Vec<String>>(&task.script) {
        Ok(command) if task.kind == "exec" => command.join(" "),
        _ if task.kind == "python" && !task.script.contains('/') => format!("{}.py", task.script),
        _ => task.script.clone(),
    }
}

/// The items of Python's `traceback.format_exception`: each frame with its source line is one.
fn lines(traceback: &str) -> impl Iterator<Item = String> + '_ {
    let mut lines = traceback.split_inclusive('\n').peekable();
    std::iter::from_fn(move || {
        let mut item = lines.next()?.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with("    ")) {
            item.push_str(more);
        }
        Some(item)
    })
}

/// pypushflow takes the local time and pymongo takes it for UTC: its documents have the time on the wall.
pub fn time(micros: u64) -> DateTime {
    let utc = i64::try_from(micros).unwrap_or(i64::MAX);
    let wall = Local.timestamp_micros(utc).single().map(|time| time.naive_local().and_utc().timestamp_micros());
    DateTime::from_millis(wall.unwrap_or(utc).div_euclid(1000))
}

fn object(text: &str) -> Map<String, Json> {
    serde_json::from_str(text).unwrap_or_default()
}
