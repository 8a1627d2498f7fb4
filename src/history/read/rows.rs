//! The columns of runs, actors and tasks, and what is read from them.

use std::time::Duration;

use rusqlite::Row;

use crate::history::RunStatus;
use crate::history::record::{ActorRecord, Figures, RunError, RunRecord, TaskRecord};
use crate::history::requester::Requester;

pub(super) const FIGURES: &str = "cpu_user_us, cpu_system_us, memory_peak, read_bytes, written_bytes, origin";

/// The columns of a run in a file of version 1, which has not been written since,
pub(super) const RUN_1: &str = "id, change, workflow, status, label, priority, uid, timeout_us, queued_at, started_at, ended_at, \
    begun, inputs, outputs, error_actor, error, traceback, request_id, initiator, host, port, tasks, failed_tasks, \
    left_out, owner, cpu_user_us, cpu_system_us, memory_peak, read_bytes, written_bytes, origin, NULL";

/// and of today.
pub(in crate::history) const RUN: &str = "id, change, workflow, status, label, priority, uid, timeout_us, queued_at, started_at, ended_at, \
    begun, inputs, outputs, error_actor, error, traceback, request_id, initiator, host, port, tasks, failed_tasks, \
    left_out, owner, cpu_user_us, cpu_system_us, memory_peak, read_bytes, written_bytes, origin, file";

pub(super) const TASK: &str = "tasks.id, tasks.change, tasks.run, path, name, kind, script, pool, number, attempt, status, \
    queued_at, started_at, ended_at, worker, inputs, outputs, error, traceback, tasks.cpu_user_us, tasks.cpu_system_us, \
    tasks.memory_peak, tasks.read_bytes, tasks.written_bytes, tasks.origin \
    FROM tasks JOIN actors ON actors.id = tasks.actor";

pub(in crate::history) fn run(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let error = match (row.get(14)?, row.get(15)?, row.get(16)?) {
        (Some(actor), Some(message), traceback) => {
            Some(RunError { actor, message, traceback: Option::unwrap_or_default(traceback) })
        }
        _ => None,
    };
    let ended_at = maybe(row, 10)?;
    Ok(RunRecord {
        id: count(row, 0)?,
        change: count(row, 1)?,
        workflow: row.get(2)?,
        file: row.get(31)?,
        status: RunStatus::of_word(row.get_ref(3)?.as_str()?, ended_at.is_some()),
        label: row.get(4)?,
        priority: row.get(5)?,
        uid: row.get(6)?,
        timeout: time(row, 7)?,
        queued_at: count(row, 8)?,
        started_at: maybe(row, 9)?,
        ended_at,
        begun: row.get(11)?,
        inputs: row.get(12)?,
        outputs: row.get(13)?,
        error,
        requester: Requester {
            request_id: row.get(17)?,
            initiator: row.get(18)?,
            host: row.get(19)?,
            port: row.get(20)?,
        },
        tasks: count(row, 21)?,
        failed_tasks: count(row, 22)?,
        left_out: count(row, 23)?,
        owner: row.get(24)?,
        figures: figures(row, 25)?,
    })
}

pub(super) fn actor(row: &Row<'_>) -> rusqlite::Result<ActorRecord> {
    Ok(ActorRecord {
        path: row.get(0)?,
        name: row.get(1)?,
        kind: row.get(2)?,
        script: row.get(3)?,
        pool: row.get(4)?,
        tasks: count(row, 5)?,
        failed_tasks: count(row, 6)?,
        time: Duration::from_micros(count(row, 7)?),
        longest: Duration::from_micros(count(row, 8)?),
        figures: figures(row, 9)?,
    })
}

pub(super) fn task(row: &Row<'_>) -> rusqlite::Result<TaskRecord> {
    Ok(TaskRecord {
        id: count(row, 0)?,
        change: count(row, 1)?,
        run: count(row, 2)?,
        path: row.get(3)?,
        actor: row.get(4)?,
        kind: row.get(5)?,
        script: row.get(6)?,
        pool: row.get(7)?,
        number: count(row, 8)?,
        attempt: row.get(9)?,
        status: row.get(10)?,
        queued_at: count(row, 11)?,
        started_at: maybe(row, 12)?,
        ended_at: maybe(row, 13)?,
        worker: row.get(14)?,
        inputs: row.get(15)?,
        outputs: row.get(16)?,
        error: row.get(17)?,
        traceback: row.get(18)?,
        figures: figures(row, 19)?,
    })
}

fn figures(row: &Row<'_>, first: usize) -> rusqlite::Result<Figures> {
    Ok(Figures {
        cpu_user: time(row, first)?,
        cpu_system: time(row, first + 1)?,
        memory_peak: maybe(row, first + 2)?,
        read: maybe(row, first + 3)?,
        written: maybe(row, first + 4)?,
        origin: row.get(first + 5)?,
    })
}

/// An unsigned integer: SQLite's have a sign.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|value| value.try_into().unwrap_or_default())
}

fn maybe(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let value: Option<i64> = row.get(column)?;
    Ok(value.map(|value| value.try_into().unwrap_or_default()))
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Duration>> {
    Ok(maybe(row, column)?.map(Duration::from_micros))
}
