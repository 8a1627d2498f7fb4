//! What the writer is told, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use super::{Figures, Offer, Requester, json};
use crate::engine::Failure;
use crate::graph::{ActorId, Workflow};
use crate::payload::{Key, Payload, Value};

/// Values that are larger are not written, bytes: what they are and how large is.
pub(super) const LARGEST_VALUE: usize = 64 << 10;
/// So much of the beginning of a large value is looked at.
const LOOKED_AT: usize = 256;

/// A run that was accepted.
#[derive(Debug)]
pub struct NewRun {
    /// The workflow's name.
    pub workflow: String,
    /// What who asked for it calls it.
    pub label: String,
    /// Higher ones start first.
    pub priority: i32,
    /// Who asked for it.
    pub uid: Option<u32>,
    /// How long it may take, where that was asked for.
    pub timeout: Option<Duration>,
    /// When it was accepted, microseconds since the epoch.
    pub queued_at: u64,
    /// Whether it begins as soon as it is kept, and not after others.
    pub begins: bool,
    /// Its whole inputs.
    pub inputs: Payload,
    /// The same as JSON.
    pub inputs_json: Arc<str>,
    /// Who is behind it.
    pub requester: Requester,
    /// Whether it runs after a crash: its exact inputs are kept then.
    pub survives: bool,
    /// What the workflow is, where the run may go on from its results.
    pub definition: Option<String>,
    /// Who offers it may take it back until it is kept.
    pub offer: Offer,
}

/// A piece of news for the writer.
#[derive(Debug)]
pub(super) enum Entry {
    /// Answered with the number that it gets.
    New { ticket: u64, run: Arc<NewRun> },
    /// A run that waited begins. Answered.
    Begun { ticket: u64, run: u64, at: u64 },
    /// Somebody wants a run to end.
    Stopping { run: u64, reason: String },
    /// A worker got a task.
    TaskStarted(Attempt),
    /// An attempt is over.
    TaskEnded(Attempt, End),
    /// A run is over. Answered.
    Ended { ticket: u64, end: Box<RunEnd> },
}

impl Entry {
    /// The run that it is of; none for one that has no number yet.
    pub(super) fn run(&self) -> Option<u64> {
        match self {
            Entry::New { .. } => None,
            Entry::Begun { run, .. } | Entry::Stopping { run, .. } => Some(*run),
            Entry::TaskStarted(attempt) | Entry::TaskEnded(attempt, _) => Some(attempt.run),
            Entry::Ended { end, .. } => Some(end.run),
        }
    }

    /// What is answered with, where somebody waits.
    pub(super) fn ticket(&self) -> Option<u64> {
        match self {
            Entry::New { ticket, .. } | Entry::Begun { ticket, .. } | Entry::Ended { ticket, .. } => Some(*ticket),
            Entry::Stopping { .. } | Entry::TaskStarted(_) | Entry::TaskEnded(..) => None,
        }
    }
}

/// An attempt to execute an actor.
#[derive(Debug)]
pub struct Attempt {
    /// Unique in this process.
    pub job: u64,
    /// Its run.
    pub run: u64,
    /// Which task of the run.
    pub number: u64,
    /// Which attempt, from 0.
    pub attempt: u32,
    /// The workflow,
    pub workflow: Arc<Workflow>,
    /// and the actor in it.
    pub actor: ActorId,
    /// When its inputs arrived, microseconds since the epoch.
    pub queued_at: u64,
    /// When a worker got it.
    pub started_at: Option<u64>,
    /// The worker's or program's process number.
    pub worker: Option<i32>,
    /// What it was given.
    pub inputs: Recorded,
}

/// How an attempt ended.
#[derive(Debug)]
pub struct End {
    /// When, microseconds since the epoch.
    pub at: u64,
    /// What it returned, or how it failed.
    pub outcome: Result<Recorded, Box<Failure>>,
    /// Where it stands among the ends of its run, if the run may go on from its results.
    pub position: Option<u64>,
    /// What it has used.
    pub figures: Figures,
}

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// Its number.
    pub run: u64,
    /// The word for it.
    pub status: String,
    /// When, microseconds since the epoch.
    pub at: u64,
    /// Its output, a JSON object.
    pub outputs: Option<Arc<str>>,
    /// What went wrong.
    pub error: Option<super::RunError>,
    /// What it has used.
    pub figures: Figures,
    /// What its actors have used, by their paths.
    pub actors: Vec<(String, Figures)>,
}

/// A payload as it waits to be written: without what is large, which would keep memory and descriptors occupied.
#[derive(Debug)]
pub enum Recorded {
    /// Its JSON: a few numbers and short texts, which are written sooner than handles on them are passed to another thread
    /// and let go of there.
    Json(Box<str>),
    /// All of it is small.
    Whole(Payload),
    /// Some of it is not.
    Parts(Vec<(Key, Part)>),
}

/// One value of it.
#[derive(Debug)]
pub enum Part {
    /// A small one.
    Value(Value),
    /// A large one: its size, and how its pickle begins.
    Large(u64, Box<[u8]>),
    /// One that its maker has said as JSON, for records in MongoDB.
    Said(Box<str>),
}

impl Recorded {
    /// What the history says of it.
    pub fn of(payload: &Payload) -> Self {
        match json::of_scalars(payload) {
            Some(text) => Recorded::Json(text.into()),
            None => Self::exactly(payload),
        }
    }

    /// What the history says of it, and if it is small, its exact values: takes handles on what is small.
    pub fn exactly(payload: &Payload) -> Self {
        if payload.iter().all(|(_, value)| small(value).is_some()) {
            return Recorded::Whole(payload.clone());
        }
        let part = |value: &Value| match (small(value), value.form()) {
            (Some(_), _) => Part::Value(value.clone()),
            (None, Some(form)) => Part::Said(form.into()),
            (None, None) => {
                let size = value.stream().len() + value.buffers().iter().map(|chunk| chunk.len()).sum::<u64>();
                let start = value.stream().bytes().unwrap_or_default();
                Part::Large(size, start[..start.len().min(LOOKED_AT)].into())
            }
        };
        Recorded::Parts(payload.iter().map(|(key, value)| (key.clone(), part(value))).collect())
    }

    /// About how much memory it keeps occupied, bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Recorded::Json(text) => text.len(),
            Recorded::Whole(payload) => payload.iter().map(|(_, value)| 64 + small(value).unwrap_or_default()).sum(),
            Recorded::Parts(parts) => parts
                .iter()
                .map(|(_, part)| match part {
                    Part::Value(value) => 64 + small(value).unwrap_or_default(),
                    Part::Large(..) => 64 + LOOKED_AT,
                    Part::Said(form) => 64 + form.len(),
                })
                .sum(),
        }
    }
}

/// How many bytes a small value has; none for one that is not.
fn small(value: &Value) -> Option<usize> {
    value
        .buffers()
        .is_empty()
        .then(|| value.stream().bytes())
        .flatten()
        .map(<[u8]>::len)
        .filter(|it| *it <= LARGEST_VALUE)
}

/// A run that an earlier process has left.
#[derive(Debug)]
pub struct LeftRun {
    /// What stands in the history of it.
    pub record: super::RunRecord,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a run that an earlier process has left.
#[derive(Debug)]
pub enum Fate {
    /// It was in progress, and is over now.
    Over,
    /// It waits for its turn: its exact inputs.
    Waits(Payload),
    /// It goes on from these results, oldest first.
    GoesOn {
        /// Its exact inputs.
        inputs: Payload,
        /// What the workflow was.
        definition: String,
        /// What its tasks had returned.
        results: Vec<KeptResult>,
    },
}

/// The kept result of an attempt.
#[derive(Debug)]
pub struct KeptResult {
    /// Which task of its run.
    pub number: u64,
    /// Its actor's path.
    pub path: String,
    /// What it returned, or how it failed.
    pub outcome: Result<Payload, Failure>,
}

/// What the writer says.
#[derive(Debug)]
pub enum Word {
    /// The history is open; these runs an earlier process has left.
    Open(Vec<LeftRun>),
    /// It cannot be used for now, for this reason. It is tried again.
    Unusable(String),
    /// What this ticket was given for is on the disk, or cannot be written: the run's number, or why not.
    Done(u64, Result<u64, String>),
}
