//! The statements that write the tables. They are executed inside a transaction.

use std::borrow::Cow;
use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Result, params};

use super::tally::Tally;
use crate::graph::{ActorId, Kind, Script, Workflow};
use crate::history::entry::{Attempt, End, NewRun, RunEnd};
use crate::history::values::{codec, json};
use crate::history::{Figures, RunStatus, TaskStatus};

/// The rows that the writer remembers between transactions.
#[derive(Debug, Clone, Default)]
pub(in crate::history) struct Rows {
    /// The rows of attempts that have not ended, by job: run and row.
    pub(in crate::history) open: HashMap<u64, (u64, i64)>,
    /// The rows of actors of unfinished runs.
    actors: HashMap<(u64, ActorId), i64>,
}

/// The statements of one transaction.
pub(in crate::history) struct Statements<'c> {
    pub(in crate::history) connection: &'c Connection,
    pub(in crate::history) rows: &'c mut Rows,
    /// The last change number.
    pub(in crate::history) change: i64,
    pub(in crate::history) owner: &'c str,
    /// The workflow file whose runs these are.
    pub(in crate::history) file: &'c str,
}

impl Statements<'_> {
    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }

    fn next_change(&mut self) -> i64 {
        self.change += 1;
        self.change
    }

    /// Inserts an accepted run, with this number if there is one. Returns its number.
    pub(in crate::history) fn put_run(
        &mut self,
        run: &NewRun,
        number: Option<u64>,
        begun_at: Option<u64>,
    ) -> Result<u64> {
        let change = self.next_change();
        let status = if begun_at.is_some() { RunStatus::Running } else { RunStatus::Queued };
        self.prepare(
            "INSERT INTO runs (id, change, workflow, status, label, priority, uid, timeout_us, queued_at, started_at, \
             begun, inputs, request_id, initiator, host, port, owner, file) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        )?
        .execute(params![
            number.map(|number| number as i64),
            change,
            run.workflow,
            status.word(),
            run.request.label,
            run.request.priority,
            run.request.uid,
            run.request.timeout.map(|time| time.as_micros() as i64),
            run.request.queued_at as i64,
            begun_at.map(|at| at as i64),
            i64::from(begun_at.is_some()),
            &*run.request.inputs_json,
            run.request.requester.request_id,
            run.request.requester.initiator,
            run.request.requester.host,
            run.request.requester.port,
            self.owner,
            self.file,
        ])?;
        let id = self.connection.last_insert_rowid();
        if run.survives {
            // Inputs come over the bus or from a file, and are not in shared memory.
            let exact = codec::payload(&run.request.inputs).unwrap_or_default();
            self.prepare("INSERT INTO kept_runs (run, inputs, definition) VALUES (?1, ?2, ?3)")?.execute(params![
                id,
                exact,
                run.definition
            ])?;
        }
        Ok(id as u64)
    }

    /// A run that waited begins.
    pub(in crate::history) fn begin_run(&mut self, run: u64, at: u64) -> Result<()> {
        let change = self.next_change();
        self.prepare(
            "UPDATE runs SET change = ?2, status = 'running', started_at = ?3, begun = begun + 1, owner = ?4 WHERE id = ?1",
        )?
        .execute(params![run as i64, change, at as i64, self.owner])?;
        Ok(())
    }

    /// A run that was running is queued again. Nothing that it did counts.
    pub(in crate::history) fn wait_again(&mut self, run: u64) -> Result<()> {
        let change = self.next_change();
        self.prepare("UPDATE runs SET change = ?2, status = 'queued', started_at = NULL, owner = ?3 WHERE id = ?1")?
            .execute(params![run as i64, change, self.owner])?;
        Ok(())
    }

    pub(in crate::history) fn put_stopping(&self, run: u64, reason: &str) -> Result<()> {
        self.prepare("UPDATE kept_runs SET stopping = ?2 WHERE run = ?1")?.execute(params![run as i64, reason])?;
        Ok(())
    }

    pub(in crate::history) fn end_run(&mut self, end: &RunEnd) -> Result<()> {
        let run = end.run as i64;
        self.close_tasks(end.run, TaskStatus::Unrecorded)?;
        for (path, figures) in &end.actors {
            let figures = Row::of(figures);
            self.prepare(
                "UPDATE actors SET cpu_user_us = ?3, cpu_system_us = ?4, memory_peak = ?5, read_bytes = ?6, \
                 written_bytes = ?7, origin = ?8 WHERE run = ?1 AND path = ?2",
            )?
            .execute(params![run, path, figures.0, figures.1, figures.2, figures.3, figures.4, figures.5])?;
        }
        let change = self.next_change();
        let figures = Row::of(&end.figures);
        self.prepare(
            "UPDATE runs SET change = ?2, status = ?3, ended_at = ?4, outputs = ?5, error_actor = ?6, error = ?7, \
             traceback = ?8, cpu_user_us = ?9, cpu_system_us = ?10, memory_peak = ?11, read_bytes = ?12, \
             written_bytes = ?13, origin = ?14 WHERE id = ?1",
        )?
        .execute(params![
            run,
            change,
            end.status.word(),
            end.at as i64,
            end.outputs.as_deref(),
            end.error.as_ref().map(|error| &error.actor),
            end.error.as_ref().map(|error| &error.message),
            end.error.as_ref().map(|error| &error.traceback),
            figures.0,
            figures.1,
            figures.2,
            figures.3,
            figures.4,
            figures.5,
        ])?;
        self.delete_recovery_data(end.run)?;
        self.rows.actors.retain(|(its, _), _| *its != end.run);
        Ok(())
    }

    pub(in crate::history) fn delete_recovery_data(&self, run: u64) -> Result<()> {
        self.prepare("DELETE FROM kept_runs WHERE run = ?1")?.execute([run as i64])?;
        self.prepare("DELETE FROM kept_results WHERE run = ?1")?.execute([run as i64])?;
        Ok(())
    }

    /// Ends the attempts of a run of which nothing more will come.
    pub(in crate::history) fn close_tasks(&mut self, run: u64, status: TaskStatus) -> Result<()> {
        let open: Vec<i64> = self
            .prepare("SELECT id FROM tasks WHERE run = ?1 AND ended_at IS NULL AND status = 'running'")?
            .query_map([run as i64], |row| row.get(0))?
            .collect::<Result<_>>()?;
        for id in open {
            let change = self.next_change();
            self.prepare("UPDATE tasks SET change = ?2, status = ?3 WHERE id = ?1")?.execute(params![
                id,
                change,
                status.word()
            ])?;
        }
        self.rows.open.retain(|_, (its, _)| *its != run);
        Ok(())
    }

    /// Writes an attempt that has not ended.
    pub(in crate::history) fn put_running(&mut self, attempt: &Attempt) -> Result<()> {
        if let Some((_, row)) = self.rows.open.get(&attempt.job).copied() {
            // It was retracted before it began, and has started again.
            let change = self.next_change();
            self.prepare("UPDATE tasks SET change = ?2, started_at = ?3, worker = ?4 WHERE id = ?1")?
                .execute(params![row, change, attempt.started_at.map(|at| at as i64), attempt.worker,])?;
            return Ok(());
        }
        self.insert_task(attempt, None)?;
        self.rows.open.insert(attempt.job, (attempt.run, self.connection.last_insert_rowid()));
        Ok(())
    }

    /// Writes an attempt that has ended, whether it was written before or not.
    pub(in crate::history) fn put_ended(&mut self, attempt: &Attempt, end: &End) -> Result<()> {
        match self.rows.open.remove(&attempt.job) {
            None => self.insert_task(attempt, Some(end))?,
            Some((_, row)) => {
                let change = self.next_change();
                let ended = Ended::of(end);
                let figures = Row::of(&end.figures);
                self.prepare(
                    "UPDATE tasks SET change = ?2, status = ?3, ended_at = ?4, outputs = ?5, error = ?6, traceback = ?7, \
                     cpu_user_us = ?8, cpu_system_us = ?9, memory_peak = ?10, read_bytes = ?11, written_bytes = ?12, \
                     origin = ?13, started_at = ?14, worker = ?15 WHERE id = ?1",
                )?
                .execute(params![
                    row,
                    change,
                    ended.status.word(),
                    end.at as i64,
                    ended.outputs,
                    ended.error,
                    ended.traceback,
                    figures.0,
                    figures.1,
                    figures.2,
                    figures.3,
                    figures.4,
                    figures.5,
                    attempt.started_at.map(|at| at as i64),
                    attempt.worker,
                ])?;
            }
        }
        if let Some(position) = end.position {
            let path = &attempt.workflow.actor(attempt.actor).path;
            if let Some(outcome) = codec::outcome(path, end.outcome.as_ref().map_err(|failure| &**failure)) {
                self.prepare("INSERT INTO kept_results (run, position, number, outcome) VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![attempt.run as i64, position as i64, attempt.number as i64, outcome])?;
            }
        }
        Ok(())
    }

    fn insert_task(&mut self, attempt: &Attempt, end: Option<&End>) -> Result<()> {
        let actor = self.actor_row(attempt.run, &attempt.workflow, attempt.actor)?;
        let change = self.next_change();
        let ended = end.map(Ended::of);
        let figures = end.map_or_else(Row::default, |end| Row::of(&end.figures));
        let ended = ended.as_ref();
        self.prepare(
            "INSERT INTO tasks (change, run, actor, number, attempt, status, queued_at, started_at, ended_at, worker, \
             inputs, outputs, error, traceback, cpu_user_us, cpu_system_us, memory_peak, read_bytes, written_bytes, \
             origin) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
        )?
        .execute(params![
            change,
            attempt.run as i64,
            actor,
            attempt.number as i64,
            attempt.attempt,
            ended.map_or(TaskStatus::Running, |ended| ended.status).word(),
            attempt.queued_at as i64,
            attempt.started_at.map(|at| at as i64),
            end.map(|end| end.at as i64),
            attempt.worker,
            json::written(&attempt.inputs),
            ended.and_then(|ended| ended.outputs.as_deref()),
            ended.and_then(|ended| ended.error),
            ended.and_then(|ended| ended.traceback.as_deref()),
            figures.0,
            figures.1,
            figures.2,
            figures.3,
            figures.4,
            figures.5,
        ])?;
        Ok(())
    }

    /// The row of an actor of a run. It is inserted on first use.
    pub(in crate::history) fn actor_row(&mut self, run: u64, workflow: &Workflow, id: ActorId) -> Result<i64> {
        if let Some(row) = self.rows.actors.get(&(run, id)) {
            return Ok(*row);
        }
        let actor = workflow.actor(id);
        let found: Option<i64> = self
            .prepare("SELECT id FROM actors WHERE run = ?1 AND path = ?2")?
            .query_row(params![run as i64, actor.path], |row| row.get(0))
            .optional()?;
        let row = match found {
            Some(row) => row,
            None => {
                let script = match &actor.kind {
                    Kind::Python(Script::File { path, .. }) => path.to_string_lossy().into_owned(),
                    Kind::Python(Script::Module(module)) => module.to_string(),
                    Kind::Exec(exec) => serde_json::Value::from(exec.command.clone()).to_string(),
                    _ => String::new(),
                };
                let (kind, pool) = (actor.kind.word(), &workflow.pool(actor.pool).name);
                self.prepare(
                    "INSERT INTO actors (run, path, name, kind, script, pool) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![run as i64, actor.path, actor.display_name(), kind, script, pool])?;
                self.connection.last_insert_rowid()
            }
        };
        self.rows.actors.insert((run, id), row);
        Ok(row)
    }

    /// Adds to the sums of a run and of its actor.
    pub(in crate::history) fn add(
        &mut self,
        run: u64,
        workflow: &Workflow,
        actor: ActorId,
        tally: &Tally,
    ) -> Result<()> {
        let row = self.actor_row(run, workflow, actor)?;
        self.prepare(
            "UPDATE actors SET tasks = tasks + ?2, failed_tasks = failed_tasks + ?3, time_us = time_us + ?4, \
             longest_us = max(longest_us, ?5) WHERE id = ?1",
        )?
        .execute(params![
            row,
            tally.tasks as i64,
            tally.failed as i64,
            tally.time_us as i64,
            tally.longest_us as i64
        ])?;
        let change = self.next_change();
        self.prepare(
            "UPDATE runs SET change = ?2, tasks = tasks + ?3, failed_tasks = failed_tasks + ?4, \
             left_out = left_out + ?5 WHERE id = ?1",
        )?
        .execute(params![
            run as i64,
            change,
            tally.tasks as i64,
            tally.failed as i64,
            tally.left_out as i64
        ])?;
        Ok(())
    }
}

/// How an attempt ended, as columns.
struct Ended<'e> {
    status: TaskStatus,
    outputs: Option<Cow<'e, str>>,
    error: Option<&'e str>,
    traceback: Option<String>,
}

impl<'e> Ended<'e> {
    fn of(end: &'e End) -> Self {
        match &end.outcome {
            Ok(result) => Ended {
                status: TaskStatus::Finished,
                outputs: Some(json::written(result)),
                error: None,
                traceback: None,
            },
            Err(failure) => Ended {
                status: failure.kind.into(),
                outputs: None,
                error: Some(&failure.error.message),
                traceback: Some(failure.error.traceback.concat()),
            },
        }
    }
}

/// Figures as columns.
#[derive(Default)]
struct Row<'f>(Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<&'f str>);

impl<'f> Row<'f> {
    fn of(figures: &'f Figures) -> Self {
        Row(
            figures.cpu_user.map(|time| time.as_micros() as i64),
            figures.cpu_system.map(|time| time.as_micros() as i64),
            figures.memory_peak.map(|bytes| bytes as i64),
            figures.read.map(|bytes| bytes as i64),
            figures.written.map(|bytes| bytes as i64),
            figures.origin.as_deref(),
        )
    }
}

/// Deletes runs of which nobody was told.
pub(in crate::history) fn delete_runs(connection: &Connection, runs: &[u64]) -> Result<()> {
    for run in runs {
        for statement in ["DELETE FROM kept_runs WHERE run = ?1", "DELETE FROM runs WHERE id = ?1"] {
            connection.prepare_cached(statement)?.execute([*run as i64])?;
        }
    }
    Ok(())
}
