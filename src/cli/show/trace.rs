//! Tasks in the trace event format of chrome://tracing and Perfetto. Each task is an event, workers are threads, pools are processes.
//! Times are microseconds since the start of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde_json::{Value as Json, json};

use super::ShownRun;
use crate::text;

pub(super) fn write(shown: &ShownRun, out: &mut impl Write) -> anyhow::Result<()> {
    let start = shown.run.started_at.unwrap_or(shown.run.queued_at);
    let mut pools: BTreeMap<String, usize> = BTreeMap::new();
    let mut workers: BTreeSet<(usize, i32)> = BTreeSet::new();
    let mut first = true;
    writeln!(out, "{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
    let mut put = |out: &mut dyn Write, event: Json| {
        let comma = if std::mem::take(&mut first) { "" } else { ",\n" };
        write!(out, "{comma}{}", text::json(&event.to_string()))
    };
    shown.each_task(|task| {
        let Some(from) = task.started_at else { return Ok(()) };
        let next = pools.len() + 1;
        let pool = match pools.get(&task.pool) {
            Some(pool) => *pool,
            None => {
                pools.insert(task.pool.clone(), next);
                let name = json!({ "name": format!("pool {}", task.pool) });
                put(out, json!({ "name": "process_name", "ph": "M", "pid": next, "args": name }))?;
                next
            }
        };
        let worker = task.worker.unwrap_or_default();
        if workers.insert((pool, worker)) {
            let name = json!({ "name": format!("worker {worker}") });
            put(out, json!({ "name": "thread_name", "ph": "M", "pid": pool, "tid": worker, "args": name }))?;
        }
        let event = json!({
            "name": task.actor,
            "cat": task.kind,
            "ph": "X",
            "ts": from.saturating_sub(start),
            "dur": task.ended_at.unwrap_or(from).saturating_sub(from),
            "pid": pool,
            "tid": worker,
            "args": {
                "task": task.number,
                "attempt": task.attempt,
                "status": task.status.word(),
                "waited_us": from.saturating_sub(task.queued_at),
                "error": task.error,
            },
        });
        put(out, event)?;
        Ok(())
    })?;
    writeln!(out, "\n]}}")?;
    Ok(())
}
