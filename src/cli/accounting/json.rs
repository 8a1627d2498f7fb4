//! Resource usage as JSON. Figures that are unknown are left out.

use std::time::Duration;

use serde::Serialize;

use crate::accounting::{Figure, Origins, Peak, Sum, TaskAccount, Totals};
use crate::graph::Workflow;

/// The usage of one run.
#[derive(Serialize)]
pub(super) struct RunUsage<'r> {
    pub workflow: &'r str,
    pub status: &'r str,
    pub duration_seconds: f64,
    /// Usage of concurrent tasks of several actors in one process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub several_actors: Option<TotalUsage>,
    pub workers: TotalUsage,
    pub supervisor: TotalUsage,
    pub total: TotalUsage,
    pub actors: Vec<ActorUsage<'r>>,
    pub last_tasks: &'r [TaskUsage],
}

/// The usage of one actor.
#[derive(Serialize)]
pub(super) struct ActorUsage<'r> {
    pub actor: &'r str,
    pub tasks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_seconds: Option<f64>,
    pub some_is_shared: bool,
    #[serde(flatten)]
    pub totals: TotalUsage,
}

/// Sums and peaks over many tasks.
#[derive(Default, Serialize)]
pub(super) struct TotalUsage {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_user_seconds: Option<Entry<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_system_seconds: Option<Entry<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled_cpu_seconds: Option<Entry<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled_memory_seconds: Option<Entry<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled_io_seconds: Option<Entry<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_bytes: Option<Entry<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written_bytes: Option<Entry<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_peak_bytes: Option<Entry<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes_peak: Option<Entry<u64>>,
}

/// The usage of one task.
#[derive(Default, Serialize)]
pub(super) struct TaskUsage {
    actor: String,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_user_seconds: Option<Entry<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_system_seconds: Option<Entry<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled_cpu_seconds: Option<Entry<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled_memory_seconds: Option<Entry<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled_io_seconds: Option<Entry<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<Entry<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_peak_bytes: Option<Entry<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_bytes: Option<Entry<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written_bytes: Option<Entry<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<Entry<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes_peak: Option<Entry<u64>>,
}

/// One figure.
#[derive(Serialize)]
struct Entry<T> {
    value: T,
    origin: String,
    /// Whether parts of the sum are missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    incomplete: bool,
}

impl<T> Entry<T> {
    fn new(value: T, origins: Origins, incomplete: bool) -> Self {
        Entry { value, origin: origins.to_string(), incomplete }
    }
}

impl From<&Totals> for TotalUsage {
    fn from(totals: &Totals) -> Self {
        let seconds = |sum: &Sum<Duration>| Some(Entry::new(sum.value?.as_secs_f64(), sum.origins, sum.incomplete));
        let count = |sum: &Sum<u64>| Some(Entry::new(sum.value?, sum.origins, sum.incomplete));
        let peak = |peak: &Peak| Some(Entry::new(peak.value?, peak.origins, false));
        TotalUsage {
            cpu_user_seconds: seconds(&totals.cpu_user),
            cpu_system_seconds: seconds(&totals.cpu_system),
            stalled_cpu_seconds: seconds(&totals.stalled_cpu),
            stalled_memory_seconds: seconds(&totals.stalled_memory),
            stalled_io_seconds: seconds(&totals.stalled_io),
            read_bytes: count(&totals.read),
            written_bytes: count(&totals.written),
            memory_peak_bytes: peak(&totals.memory_peak),
            processes_peak: peak(&totals.processes_peak),
        }
    }
}

impl TaskUsage {
    pub fn new(workflow: &Workflow, task: &TaskAccount) -> Self {
        let actor = workflow.actor(task.actor).display_name().to_owned();
        let seconds = task.time.as_secs_f64();
        let Some(usage) = &task.usage else { return TaskUsage { actor, seconds, ..TaskUsage::default() } };
        let time = |figure: Option<Figure<Duration>>| {
            figure.map(|it| Entry::new(it.value.as_secs_f64(), it.origin.into(), false))
        };
        let count = |figure: Option<Figure<u64>>| figure.map(|it| Entry::new(it.value, it.origin.into(), false));
        TaskUsage {
            actor,
            seconds,
            cpu_user_seconds: time(usage.cpu_user),
            cpu_system_seconds: time(usage.cpu_system),
            stalled_cpu_seconds: time(usage.stalled_cpu),
            stalled_memory_seconds: time(usage.stalled_memory),
            stalled_io_seconds: time(usage.stalled_io),
            memory_bytes: count(usage.memory),
            memory_peak_bytes: count(usage.memory_peak),
            read_bytes: count(usage.read),
            written_bytes: count(usage.written),
            processes: count(usage.processes),
            processes_peak: count(usage.processes_peak),
        }
    }
}
