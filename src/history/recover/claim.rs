//! Claiming the runs that an earlier process left unfinished: each is ended, queued again, or resumed.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Result, TransactionBehavior, params};
use tracing::warn;

use crate::accounting::ordinal;
use crate::graph::OnCrash;
use crate::history::entry::{NewRun, RunEnd};
use crate::history::file::statements::{Rows, Statements, delete_runs};
use crate::history::read::{RUN, run};
use crate::history::recovered::{KeptResult, RecoveredRun, Recovery};
use crate::history::values::codec;
use crate::history::{RunError, RunRecord, RunStatus, Settings, TaskStatus, Withdrawal, is_alive, now};
use crate::payload::Payload;

/// A run that was running at so many crashes is not started again: it may cause them.
const MAX_STARTS: u32 = 5;

/// The claimed runs.
pub(in crate::history) struct Claimed {
    pub(in crate::history) runs: Vec<RecoveredRun>,
    /// The unfinished ones, as a new file would need them.
    pub(in crate::history) live: Vec<(u64, Arc<NewRun>)>,
    /// The highest number of a run.
    pub(in crate::history) last_run: u64,
}

/// Claims the runs whose process is gone, in one transaction. Runs that were running are ended or resumed, and queued runs are queued
/// again, as the settings say.
pub(in crate::history) fn claim(file: &mut Connection, owner: &str, settings: &Settings) -> Result<Claimed> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let last: Option<i64> =
        transaction.query_row("SELECT max(seq) FROM sqlite_sequence WHERE name = 'runs'", [], |row| row.get(0))?;
    let mut found = Claimed {
        runs: Vec::new(),
        live: Vec::new(),
        last_run: last.and_then(|last| u64::try_from(last).ok()).unwrap_or_default(),
    };
    let change = transaction.query_row("SELECT change FROM state", [], |row| row.get(0))?;
    let mut rows = Rows::default();
    let workflow = settings.file.to_string_lossy();
    let mut statements = Statements { connection: &transaction, rows: &mut rows, change, owner, file: &workflow };
    let refused = settings.refused.read();
    for record in unfinished(&transaction)? {
        if is_alive(&record.owner) {
            continue;
        }
        if refused.contains(&(record.owner.clone(), record.queued_at)) {
            delete_runs(&transaction, &[record.id])?;
        } else {
            claim_one(&mut statements, record, settings, &mut found)?;
        }
    }
    let after = statements.change;
    if after != change {
        transaction.execute("UPDATE state SET change = ?1", [after])?;
    }
    transaction.commit()?;
    settings.refused.forget();
    Ok(found)
}

fn unfinished(file: &Connection) -> Result<Vec<RunRecord>> {
    let query =
        format!("SELECT {RUN} FROM runs WHERE status IN ('queued', 'running') AND ended_at IS NULL ORDER BY id");
    file.prepare(&query)?.query_map([], run)?.collect()
}

fn claim_one(
    statements: &mut Statements<'_>,
    mut record: RunRecord,
    settings: &Settings,
    found: &mut Claimed,
) -> Result<()> {
    let kept: Option<(Vec<u8>, Option<String>, Option<String>)> = statements
        .connection
        .query_row("SELECT inputs, definition, stopping FROM kept_runs WHERE run = ?1", [record.id as i64], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    if settings.on_crash.is_none() && kept.is_some() {
        // It belongs to the service that accepted it.
        return Ok(());
    }
    let inputs = kept.as_ref().and_then(|(inputs, ..)| codec::read_payload(inputs));
    let (definition, stopping) = kept.map_or((None, None), |(_, definition, stopping)| (definition, stopping));
    statements.close_tasks(record.id, TaskStatus::Lost)?;
    let why = match (settings.on_crash, &inputs, stopping) {
        (_, _, Some(_)) => Err("the supervisor ended before the run, which was being stopped".to_owned()),
        (None, ..) | (_, None, _) => Err("the supervisor ended before the run did".to_owned()),
        (Some(_), Some(_), None) if record.status == RunStatus::Queued => Ok(()),
        (Some(OnCrash::Interrupt), ..) => Err("the supervisor died while the run was in progress".to_owned()),
        (Some(OnCrash::Rerun | OnCrash::Resume), ..) if record.begun >= MAX_STARTS => Err(format!(
            "the supervisor died while the run was in progress, for the {} time: it is not begun again",
            ordinal(record.begun)
        )),
        (Some(OnCrash::Rerun | OnCrash::Resume), ..) => Ok(()),
    };
    let inputs = match (why, inputs) {
        (Ok(()), Some(inputs)) => inputs,
        (why, _) => {
            let why = why.err().unwrap_or_default();
            let at = now();
            end(statements, &record, &why, at)?;
            warn!(run = record.id, "run {} of {} was interrupted: {why}", record.id, record.workflow);
            record.status = RunStatus::Interrupted;
            record.ended_at = Some(at);
            record.error = Some(RunError { actor: String::new(), message: why, traceback: String::new() });
            found.runs.push(RecoveredRun { record, recovery: Recovery::Over });
            return Ok(());
        }
    };
    let resumes = settings.on_crash == Some(OnCrash::Resume) && record.status == RunStatus::Running;
    let results = if resumes { results(statements.connection, record.id)? } else { Vec::new() };
    // Results after a gap are not used: their numbers will be used again.
    statements.connection.execute(
        "DELETE FROM kept_results WHERE run = ?1 AND position >= ?2",
        params![record.id as i64, results.len() as i64],
    )?;
    if !resumes || results.is_empty() {
        statements.wait_again(record.id)?;
    } else {
        statements.begin_run(record.id, now())?;
    }
    found.live.push((record.id, Arc::new(new_run(&record, &inputs, definition.clone()))));
    let recovery = match definition {
        Some(definition) if !results.is_empty() => Recovery::Resumed { inputs, definition, results },
        _ => Recovery::Queued(inputs),
    };
    found.runs.push(RecoveredRun { record, recovery });
    Ok(())
}

fn end(statements: &mut Statements<'_>, record: &RunRecord, why: &str, at: u64) -> Result<()> {
    statements.end_run(&RunEnd {
        run: record.id,
        status: RunStatus::Interrupted,
        at,
        outputs: None,
        error: Some(RunError { actor: String::new(), message: why.to_owned(), traceback: String::new() }),
        figures: record.figures.clone(),
        actors: Vec::new(),
    })
}

/// The results of a run, up to the first that is missing or cannot be read.
fn results(file: &Connection, run: u64) -> Result<Vec<KeptResult>> {
    let mut statement =
        file.prepare("SELECT position, number, outcome FROM kept_results WHERE run = ?1 ORDER BY position")?;
    let mut rows = statement.query([run as i64])?;
    let mut results = Vec::new();
    while let Some(row) = rows.next()? {
        let (position, number, outcome): (i64, i64, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let read = codec::read_outcome(&outcome).filter(|_| position == results.len() as i64);
        let Some((path, outcome)) = read else { break };
        results.push(KeptResult { number: number as u64, path, outcome });
    }
    Ok(results)
}

fn new_run(record: &RunRecord, inputs: &Payload, definition: Option<String>) -> NewRun {
    NewRun {
        request: Arc::new(record.request(inputs.clone())),
        workflow: record.workflow.clone(),
        begins: false,
        survives: true,
        definition,
        withdrawal: Withdrawal::default(),
    }
}
