//! What must be on the disk before it counts: a run before who asked for it is told that it was accepted, its beginning
//! before its first task starts, its end before anybody is told. So a supervisor that is killed at any moment has left all that the next
//! one must know, and nothing happens twice.
//!
//! The loop does not wait: each of these is a ticket given to the history, and goes on when the history says so. Without a
//! history, at once. What cannot be written is refused where it is new, and goes on where it was accepted; so is what a disk that
//! hangs does not write in time ([`mod@super::hanging`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tracing::{info, warn};

use super::board::RunFacts;
use super::hanging::HANGS;
use super::queue::Waiting;
use super::running::EndFacts;
use super::{Answer, End, Notice, Refusal, Service};
use crate::engine::Status;
use crate::graph::{OnCrash, ServiceMode};
use crate::history::{
    Fate, Figures, History, LeftRun, NewRun, Offer, Refused, Requester, RunEnd, RunError, RunRecord, Word, definition,
    now,
};
use crate::supervisor::RunId;

/// At its start, a service waits so long for the history to be opened.
const PATIENCE_AT_START: Duration = Duration::from_secs(20);

/// Where an answer goes.
pub(super) type Reply = async_channel::Sender<Result<Answer, Refusal>>;

/// Answers, if somebody waits for it.
pub(super) fn reply(answer: Option<Reply>, what: Result<Answer, Refusal>) {
    if let Some(answer) = answer {
        // Who asked may have gone.
        let _ = answer.try_send(what);
    }
}

/// A run that is about to be accepted.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) facts: RunFacts,
    pub(super) waiting: Waiting,
    pub(super) requester: Requester,
    /// It begins at once.
    pub(super) begins: bool,
    /// It is the one run of the service.
    pub(super) own: bool,
}

/// The history, and what it was given and has not written yet.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    pub(super) history: Option<History>,
    /// With the moment from which each is waited for.
    pub(super) tickets: BTreeMap<u64, (Instant, Pending)>,
    /// How many of them are runs that are about to begin,
    beginning: usize,
    /// and how many are runs that have ended, which nobody has been told.
    ending: usize,
    /// What runs have used that have ended, and their actors, by path.
    used: BTreeMap<RunId, (Figures, Vec<(String, Figures)>)>,
    /// When the last run was accepted: no two at once.
    last_accepted: u64,
    /// The disk does not answer.
    pub(super) hangs: bool,
    /// The tickets of runs that were refused while they were written,
    pub(super) taken_back: BTreeSet<u64>,
    /// and where that is noted.
    pub(super) refused: Refused,
}

#[derive(Debug)]
pub(super) enum Pending {
    Accept(Box<Accepting>, Option<Reply>, Arc<NewRun>),
    /// A run that waited begins, or is over before it has.
    Begin(RunId, Box<Waiting>, Option<Status>),
    End(RunId, Box<EndFacts>, Option<Reply>),
}

impl Pending {
    fn begins(&self) -> bool {
        match self {
            Pending::Accept(accepting, ..) => accepting.begins,
            Pending::Begin(..) => true,
            Pending::End(..) => false,
        }
    }

    fn ends(&self) -> bool {
        matches!(self, Pending::End(..))
    }
}

impl Keeping {
    fn put(&mut self, ticket: u64, pending: Pending) {
        self.beginning += usize::from(pending.begins());
        self.ending += usize::from(pending.ends());
        self.tickets.insert(ticket, (Instant::now(), pending));
    }

    pub(super) fn take(&mut self, ticket: u64) -> Option<Pending> {
        let (_, pending) = self.tickets.remove(&ticket)?;
        self.beginning -= usize::from(pending.begins());
        self.ending -= usize::from(pending.ends());
        Some(pending)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.tickets.is_empty()
    }

    /// How many runs are about to begin.
    pub(super) fn beginning(&self) -> usize {
        self.beginning
    }

    /// How many runs have ended, which nobody has been told.
    pub(super) fn ending(&self) -> usize {
        self.ending
    }

    /// When a run is said to have been accepted.
    fn moment(&mut self, at: u64) -> u64 {
        self.last_accepted = at.max(self.last_accepted + 1);
        self.last_accepted
    }
}

impl Service {
    /// Waits for the history to be opened: runs that an earlier process has left come first.
    pub(super) fn hear_first_word(&mut self) {
        let Some(history) = &self.keeping.history else { return };
        match history.wait_for_word(PATIENCE_AT_START) {
            Some(word) => self.on_word(word),
            None => {
                warn!("the disk of the history does not answer: the service begins, and takes no runs until it does");
                self.keeping.hangs = true;
            }
        }
    }

    /// Hears what the history has said meanwhile.
    pub(super) fn hear_history(&mut self) {
        while let Some(word) = self.keeping.history.as_ref().and_then(History::word) {
            self.on_word(word);
        }
    }

    fn on_word(&mut self, word: Word) {
        self.disk_answers();
        match word {
            Word::Open(left) => left.into_iter().for_each(|run| self.take_over(run)),
            // It has said so itself.
            Word::Unusable(_) => {}
            Word::Done(ticket, result) => match self.keeping.take(ticket) {
                Some(pending) => self.go_on(pending, result),
                None => self.heard_late(ticket),
            },
        }
    }

    /// What waited for the disk goes on: it is there, or it is not, for this reason.
    pub(super) fn go_on(&mut self, pending: Pending, result: Result<u64, String>) {
        match pending {
            Pending::Accept(accepting, answer, _) => self.on_kept(*accepting, answer, result),
            Pending::Begin(run, waiting, None) => self.begin(run, *waiting),
            Pending::Begin(run, _, Some(status)) => self.put_end(run, &status, None, None),
            Pending::End(run, facts, answer) => {
                self.tell_end(run, *facts);
                reply(answer, Ok(Answer::Done));
            }
        }
    }

    /// A run is to be accepted.
    pub(super) fn keep_run(&mut self, mut accepting: Accepting, answer: Option<Reply>) {
        accepting.facts.queued_at = self.keeping.moment(accepting.facts.queued_at);
        let workflow = Arc::clone(self.supervisor.workflow());
        let Some(history) = &mut self.keeping.history else {
            let id = self.supervisor.new_run_id();
            return self.take_run(id, accepting, answer);
        };
        if !accepting.begins {
            self.queue.reserve(accepting.waiting.bytes);
        }
        if self.keeping.hangs {
            return self.on_kept(accepting, answer, Err(HANGS.to_owned()));
        }
        let resumes = workflow.service.on_crash == OnCrash::Resume;
        let run = Arc::new(NewRun {
            workflow: workflow.name.clone(),
            label: accepting.facts.label.clone(),
            priority: accepting.facts.priority,
            uid: accepting.facts.uid,
            timeout: accepting.waiting.timeout,
            queued_at: accepting.facts.queued_at,
            begins: accepting.begins,
            inputs: accepting.waiting.inputs.clone(),
            inputs_json: Arc::clone(&accepting.facts.inputs),
            requester: accepting.requester.clone(),
            survives: true,
            definition: resumes.then(|| definition(&workflow)),
            offer: Offer::default(),
        });
        let ticket = history.accept(Arc::clone(&run));
        self.keeping.put(ticket, Pending::Accept(Box::new(accepting), answer, run));
    }

    fn on_kept(&mut self, accepting: Accepting, answer: Option<Reply>, result: Result<u64, String>) {
        if !accepting.begins {
            self.queue.release(accepting.waiting.bytes);
        }
        match result {
            Ok(id) => self.take_run(RunId(id), accepting, answer),
            // The service was started for it: nobody else would.
            Err(_) if accepting.own => {
                let id = self.supervisor.new_run_id();
                self.take_run(id, accepting, answer);
            }
            Err(why) => {
                let why = format!("the run is not accepted, since it could not be kept over a crash: {why}");
                reply(answer, Err(Refusal::NotKept(why)));
            }
        }
    }

    /// A run is accepted.
    fn take_run(&mut self, id: RunId, accepting: Accepting, answer: Option<Reply>) {
        let Accepting { facts, waiting, begins, own, .. } = accepting;
        let priority = facts.priority;
        if own {
            self.only = Some(id);
        }
        self.board.with(|state| state.runs.insert(id, facts));
        self.tell(Notice::Accepted(id));
        reply(answer, Ok(Answer::Run(id)));
        if let Some(signal) = self.stop.signal() {
            // It was stopped meanwhile.
            let status = if signal == signal_hook::consts::SIGINT { Status::Aborted } else { Status::Stopped };
            self.put_end(id, &status, None, None);
            if own {
                self.end = End::Run(status, Some(signal));
            }
        } else if begins && self.replacement.is_none() {
            self.begin(id, waiting);
        } else {
            self.queue.push(id, priority, waiting);
        }
    }

    /// A run that waited is to begin.
    pub(super) fn keep_beginning(&mut self, id: RunId, waiting: Waiting) {
        match &mut self.keeping.history {
            None => self.begin(id, waiting),
            Some(history) => {
                let ticket = history.begin(id.0, now());
                self.wait_for(ticket, Pending::Begin(id, Box::new(waiting), None));
            }
        }
    }

    /// Ends a run that is about to begin, or all that are. Whether there was one.
    pub(super) fn end_beginning(&mut self, run: Option<RunId>, status: &Status) -> bool {
        let mut found = false;
        for (_, pending) in self.keeping.tickets.values_mut() {
            if let Pending::Begin(id, _, ends) = pending
                && run.is_none_or(|run| run == *id)
            {
                *ends = Some(status.clone());
                found = true;
            }
        }
        found
    }

    /// A run is to be stopped: it is not begun again.
    pub(super) fn keep_stopping(&self, run: RunId, reason: &str) {
        if let Some(history) = &self.keeping.history {
            history.stopping(run.0, reason);
        }
    }

    /// A run is over.
    pub(super) fn keep_end(&mut self, run: RunId, facts: EndFacts, answer: Option<Reply>) {
        let said = self.board.run(run, |run| run.error.clone()).flatten().or_else(|| facts.error.clone());
        let (figures, actors) = self.keeping.used.remove(&run).unwrap_or_default();
        let end = RunEnd {
            run: run.0,
            status: facts.status.clone(),
            at: facts.at,
            outputs: facts.outputs.clone(),
            error: said.as_deref().and_then(error_of),
            figures,
            actors,
        };
        match &mut self.keeping.history {
            None => {
                self.tell_end(run, facts);
                reply(answer, Ok(Answer::Done));
            }
            Some(history) => {
                let ticket = history.end(end);
                self.wait_for(ticket, Pending::End(run, Box::new(facts), answer));
            }
        }
    }

    /// What was accepted goes on when that is on the disk; at once where that hangs.
    fn wait_for(&mut self, ticket: u64, pending: Pending) {
        match self.keeping.hangs {
            true => self.go_on(pending, Err(HANGS.to_owned())),
            false => self.keeping.put(ticket, pending),
        }
    }

    /// A run has ended: what it has used is known now, and asked for once.
    pub(super) fn note_what_was_used(&mut self, run: RunId) {
        if let (Some(_), Some(used)) = (&self.keeping.history, self.supervisor.figures(run)) {
            self.keeping.used.insert(run, used);
        }
    }

    /// A run that an earlier process has left.
    fn take_over(&mut self, left: LeftRun) {
        let LeftRun { record, fate } = left;
        let id = RunId(record.id);
        self.board.with(|state| state.runs.insert(id, facts_of(&record)));
        self.tell(Notice::Accepted(id));
        if self.mode == ServiceMode::Run && !matches!(fate, Fate::Over) {
            self.only.get_or_insert(id);
        }
        let bytes = 2 * record.inputs.len();
        match fate {
            Fate::Over => {
                let error = record.error.map(|error| error_text(&error.actor, &error.message));
                let at = record.ended_at.unwrap_or_default();
                let facts = EndFacts { status: record.status, went_well: false, outputs: None, shown: None, error, at };
                self.tell_end(id, facts);
            }
            Fate::Waits(inputs) => {
                info!(run = id.0, "run {id} was accepted before the supervisor ended: it waits for its turn");
                self.queue.push(id, record.priority, Waiting { inputs, timeout: record.timeout, bytes });
            }
            Fate::GoesOn { inputs, definition: was, results } => {
                let done = results.len();
                let workflow = Arc::clone(self.supervisor.workflow());
                let resumed = match was == definition(&workflow) {
                    true => self.supervisor.resume_run_as(id, inputs, record.timeout, results),
                    false => Err("the workflow file, or pushflow, is not the one that it began with".to_owned()),
                };
                match resumed {
                    Ok(()) => {
                        info!(run = id.0, "run {id} goes on after {done} tasks whose results were recorded");
                        self.show_beginning(id);
                        self.board.with(|state| {
                            if let Some(run) = state.runs.get_mut(&id) {
                                run.done = done as u64;
                            }
                        });
                    }
                    Err(why) => {
                        let why = format!("the run cannot go on where it was: {why}");
                        warn!(run = id.0, "{why}");
                        let error = Some(error_text("", &why));
                        let status = "interrupted".to_owned();
                        self.keep_end(
                            id,
                            EndFacts { status, went_well: false, outputs: None, shown: None, error, at: now() },
                            None,
                        );
                    }
                }
            }
        }
    }
}

fn facts_of(record: &RunRecord) -> RunFacts {
    RunFacts {
        status: "queued".to_owned(),
        label: record.label.clone(),
        uid: record.uid,
        priority: record.priority,
        queued_at: record.queued_at,
        started_at: record.started_at,
        inputs: record.inputs.as_str().into(),
        ..RunFacts::default()
    }
}

fn error_text(actor: &str, message: &str) -> Arc<str> {
    serde_json::json!({ "actor": actor, "message": message }).to_string().into()
}

/// What went wrong, from the JSON that is shown of it: of the service's own making, or an error's summary as Python has it.
fn error_of(json: &str) -> Option<RunError> {
    let json: Json = serde_json::from_str(json).ok()?;
    let text = |key: &str| json.get(key).and_then(Json::as_str).map(str::to_owned);
    let lines = json.get("traceBack").and_then(Json::as_array);
    let traceback = lines.into_iter().flatten().filter_map(Json::as_str).collect();
    Some(RunError {
        actor: text("actor").unwrap_or_default(),
        message: text("message").or_else(|| text("errorMessage"))?,
        traceback,
    })
}
