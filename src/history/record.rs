//! What stands in a history, as it is read. Times are microseconds since the epoch; what is not known is none.

use std::time::Duration;

use super::requester::Requester;
use super::{RunRequest, RunStatus, TaskStatus};
use crate::accounting::{Origins, Totals, Usage};
use crate::payload::Payload;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Its number.
    pub id: u64,
    /// Its last change.
    pub change: u64,
    /// The workflow's name.
    pub workflow: String,
    /// The workflow file that ran.
    pub file: Option<String>,
    /// Its status.
    pub status: RunStatus,
    /// What who asked for it called it.
    pub label: String,
    /// Higher ones start first.
    pub priority: i32,
    /// Who asked for it.
    pub uid: Option<u32>,
    /// How long it may take, where that was asked for.
    pub timeout: Option<Duration>,
    /// When it was accepted.
    pub queued_at: u64,
    /// When it began, for the last time.
    pub started_at: Option<u64>,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// How often it has begun.
    pub begun: u32,
    /// Its inputs, a JSON object.
    pub inputs: String,
    /// Its output, a JSON object.
    pub outputs: Option<String>,
    /// What went wrong.
    pub error: Option<RunError>,
    /// Who is behind it, where that was said.
    pub requester: Requester,
    /// How many tasks have ended.
    pub tasks: u64,
    /// How many of those in an error.
    pub failed_tasks: u64,
    /// How many of those ended are not among its tasks.
    pub left_out: u64,
    /// What its tasks have used together.
    pub figures: Figures,
    /// The process that has it: see [`is_alive`](super::is_alive).
    pub owner: String,
}

impl RunRecord {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.ended_at.is_some()
    }

    /// The request that it was made of, with these exact inputs.
    pub fn request(&self, inputs: Payload) -> RunRequest {
        RunRequest {
            inputs,
            inputs_json: self.inputs.as_str().into(),
            timeout: self.timeout,
            priority: self.priority,
            label: self.label.clone(),
            uid: self.uid,
            requester: self.requester.clone(),
            queued_at: self.queued_at,
        }
    }
}

/// What went wrong in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// In which actor; empty where it is none's.
    pub actor: String,
    /// In one line.
    pub message: String,
    /// Python's traceback, or the last lines of a program; empty where there is none.
    pub traceback: String,
}

/// An actor of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorRecord {
    /// `/workflow/submodel/actor`.
    pub path: String,
    /// The path without the workflow.
    pub name: String,
    /// `python` or `exec`.
    pub kind: String,
    /// The script's file or module; of a program its command as a JSON list.
    pub script: String,
    /// Its pool.
    pub pool: String,
    /// How many of its tasks have ended.
    pub tasks: u64,
    /// How many of those in an error.
    pub failed_tasks: u64,
    /// For how long they ran in all.
    pub time: Duration,
    /// For how long the longest ran.
    pub longest: Duration,
    /// What they have used together.
    pub figures: Figures,
}

/// One attempt to execute an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRecord {
    /// Its number in the file: in the order in which they were first written.
    pub id: u64,
    /// Its last change.
    pub change: u64,
    /// Its run.
    pub run: u64,
    /// Its actor's path, `/workflow/submodel/actor`.
    pub path: String,
    /// The path without the workflow.
    pub actor: String,
    /// `python` or `exec`.
    pub kind: String,
    /// The script's file or module; of a program its command as a JSON list.
    pub script: String,
    /// Its pool.
    pub pool: String,
    /// Which task of its run.
    pub number: u64,
    /// Which attempt, from 0.
    pub attempt: u32,
    /// Its status.
    pub status: TaskStatus,
    /// When its inputs arrived.
    pub queued_at: u64,
    /// When a worker got it.
    pub started_at: Option<u64>,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// The worker's or program's process number.
    pub worker: Option<i32>,
    /// What it was given, a JSON object.
    pub inputs: String,
    /// What it returned, a JSON object.
    pub outputs: Option<String>,
    /// The message of one that failed.
    pub error: Option<String>,
    /// Python's traceback, or the last lines of a program.
    pub traceback: Option<String>,
    /// What it has used, where that is known by itself.
    pub figures: Figures,
}

/// What was used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// CPU time in user mode.
    pub cpu_user: Option<Duration>,
    /// CPU time in the kernel.
    pub cpu_system: Option<Duration>,
    /// The most memory at once, bytes.
    pub memory_peak: Option<u64>,
    /// Bytes read from block devices.
    pub read: Option<u64>,
    /// Bytes written to block devices.
    pub written: Option<u64>,
    /// Where these were read: `cgroup`, `rusage`, `proc`, joined by `+`.
    pub origin: Option<String>,
}

impl From<&Usage> for Figures {
    fn from(usage: &Usage) -> Self {
        let mut totals = Totals::default();
        totals.add(usage);
        Figures::from(&totals)
    }
}

impl From<&Totals> for Figures {
    fn from(totals: &Totals) -> Self {
        let mut origins = Origins::default();
        for part in [totals.cpu_user.origins, totals.cpu_system.origins, totals.memory_peak.origins] {
            origins.add_all(part);
        }
        origins.add_all(totals.read.origins);
        origins.add_all(totals.written.origins);
        let origin = origins.to_string();
        Figures {
            cpu_user: totals.cpu_user.value,
            cpu_system: totals.cpu_system.value,
            memory_peak: totals.memory_peak.value,
            read: totals.read.value,
            written: totals.written.value,
            origin: (!origin.is_empty()).then_some(origin),
        }
    }
}
