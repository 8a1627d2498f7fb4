//! Runs that an earlier process has left: what becomes of them.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Result, TransactionBehavior, params};
use tracing::warn;

use super::entry::{Fate, KeptResult, LeftRun, NewRun};
use super::reader::{RUN, run};
use super::store::{Rows, Store};
use super::{Offer, RunRecord, Settings, exact, is_alive, now, offer};
use crate::accounting::ordinal;
use crate::graph::OnCrash;

/// A run that was in progress at so many crashes is not begun again: it may be what causes them.
const MOST_BEGINNINGS: u32 = 5;

/// What was found.
pub(super) struct Leftovers {
    pub(super) runs: Vec<LeftRun>,
    /// Those that are not over, as a new file would need them.
    pub(super) live: Vec<(u64, Arc<NewRun>)>,
    /// The highest number that a run has had.
    pub(super) last_run: u64,
}

/// Looks for runs whose process is gone: ends those that were in progress, and takes over those that wait or go on, as
/// the settings say. One transaction.
pub(super) fn claim(file: &mut Connection, owner: &str, settings: &Settings) -> Result<Leftovers> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let last: Option<i64> =
        transaction.query_row("SELECT max(seq) FROM sqlite_sequence WHERE name = 'runs'", [], |row| row.get(0))?;
    let mut found = Leftovers {
        runs: Vec::new(),
        live: Vec::new(),
        last_run: last.and_then(|last| u64::try_from(last).ok()).unwrap_or_default(),
    };
    let change = transaction.query_row("SELECT change FROM state", [], |row| row.get(0))?;
    let mut rows = Rows::default();
    let workflow = settings.file.to_string_lossy();
    let mut store = Store { connection: &transaction, rows: &mut rows, change, owner, file: &workflow };
    let refused = settings.refused.read();
    for record in unfinished(&transaction)? {
        if is_alive(&record.owner) {
            continue;
        }
        if refused.contains(&(record.owner.clone(), record.queued_at)) {
            offer::delete(&transaction, &[record.id])?;
        } else {
            claim_one(&mut store, record, settings, &mut found)?;
        }
    }
    let after = store.change;
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

fn claim_one(store: &mut Store<'_>, mut record: RunRecord, settings: &Settings, found: &mut Leftovers) -> Result<()> {
    let kept: Option<(Vec<u8>, Option<String>, Option<String>)> = store
        .connection
        .query_row("SELECT inputs, definition, stopping FROM kept_runs WHERE run = ?1", [record.id as i64], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    if settings.on_crash.is_none() && kept.is_some() {
        // It waits for the service that has accepted it.
        return Ok(());
    }
    let inputs = kept.as_ref().and_then(|(inputs, ..)| exact::read_payload(inputs));
    let (definition, stopping) = kept.map_or((None, None), |(_, definition, stopping)| (definition, stopping));
    store.close_tasks(record.id, "lost")?;
    let why = match (settings.on_crash, &inputs, stopping) {
        (_, _, Some(_)) => Err("the supervisor ended before the run, which was being stopped".to_owned()),
        (None, ..) | (_, None, _) => Err("the supervisor ended before the run did".to_owned()),
        (Some(_), Some(_), None) if record.status == "queued" => Ok(()),
        (Some(OnCrash::Interrupt), ..) => Err("the supervisor died while the run was in progress".to_owned()),
        (Some(OnCrash::Rerun | OnCrash::Resume), ..) if record.begun >= MOST_BEGINNINGS => Err(format!(
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
            end(store, &record, &why, at)?;
            warn!(run = record.id, "run {} of {} was interrupted: {why}", record.id, record.workflow);
            record.status = "interrupted".to_owned();
            record.ended_at = Some(at);
            record.error = Some(super::RunError { actor: String::new(), message: why, traceback: String::new() });
            found.runs.push(LeftRun { record, fate: Fate::Over });
            return Ok(());
        }
    };
    let resumes = settings.on_crash == Some(OnCrash::Resume) && record.status == "running";
    let results = if resumes { results(store.connection, record.id)? } else { Vec::new() };
    // What comes after a gap is not used: it would be numbered as what is missing.
    store.connection.execute(
        "DELETE FROM kept_results WHERE run = ?1 AND position >= ?2",
        params![record.id as i64, results.len() as i64],
    )?;
    if !resumes || results.is_empty() {
        store.wait_again(record.id)?;
    } else {
        store.begin_run(record.id, now())?;
    }
    found.live.push((record.id, Arc::new(new_run(&record, &inputs, definition.clone()))));
    let fate = match definition {
        Some(definition) if !results.is_empty() => Fate::GoesOn { inputs, definition, results },
        _ => Fate::Waits(inputs),
    };
    found.runs.push(LeftRun { record, fate });
    Ok(())
}

fn end(store: &mut Store<'_>, record: &RunRecord, why: &str, at: u64) -> Result<()> {
    store.end_run(&super::entry::RunEnd {
        run: record.id,
        status: "interrupted".to_owned(),
        at,
        outputs: None,
        error: Some(super::RunError { actor: String::new(), message: why.to_owned(), traceback: String::new() }),
        figures: record.figures.clone(),
        actors: Vec::new(),
    })
}

/// The results of a run up to the first that is missing or cannot be read.
fn results(file: &Connection, run: u64) -> Result<Vec<KeptResult>> {
    let mut statement =
        file.prepare("SELECT position, number, outcome FROM kept_results WHERE run = ?1 ORDER BY position")?;
    let mut rows = statement.query([run as i64])?;
    let mut results = Vec::new();
    while let Some(row) = rows.next()? {
        let (position, number, outcome): (i64, i64, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let read = exact::read_outcome(&outcome).filter(|_| position == results.len() as i64);
        let Some((path, outcome)) = read else { break };
        results.push(KeptResult { number: number as u64, path, outcome });
    }
    Ok(results)
}

fn new_run(record: &RunRecord, inputs: &crate::payload::Payload, definition: Option<String>) -> NewRun {
    NewRun {
        workflow: record.workflow.clone(),
        label: record.label.clone(),
        priority: record.priority,
        uid: record.uid,
        timeout: record.timeout,
        queued_at: record.queued_at,
        begins: false,
        inputs: inputs.clone(),
        inputs_json: record.inputs.as_str().into(),
        requester: record.requester.clone(),
        survives: true,
        definition,
        offer: Offer::default(),
    }
}
