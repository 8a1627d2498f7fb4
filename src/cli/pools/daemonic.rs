//! `pushflow check-daemonic`: compares what workers of each type of pool report about themselves with the process list of the
//! supervisor.

use std::io::{self, Write};

use anyhow::Context as _;
use serde_json::{Value as Json, json};

use super::super::{Exit, Failure};
use super::table::Notes;
use super::trial::{Ending, Trials};
use super::{Candidate, CurrentTest, PoolsArgs};
use crate::text::json as safe;

/// The arguments of `pushflow check-daemonic`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A daemonic worker is terminated at the end, and Python does not let it have children. A non-daemonic one is waited for.

Examples:
  pushflow check-daemonic
  pushflow check-daemonic --python /opt/env --pool billiard --json

Exit status 1 if worker and supervisor disagree.")]
pub(crate) struct CheckDaemonicArgs {
    #[command(flatten)]
    pools: PoolsArgs,
}

/// One row of the table.
struct Row {
    candidate: Candidate,
    /// What multiprocessing and billiard report in the worker, or the error.
    said: Result<Json, String>,
    /// What the process list of the supervisor contains.
    listed: Option<bool>,
}

impl Row {
    /// Whether worker and supervisor agree. `None` if the worker could not answer.
    fn agrees(&self) -> Option<bool> {
        let said = self.said.as_ref().ok()?;
        Some(Some(said["multiprocessing"].as_bool()?) == self.listed)
    }
}

pub(crate) fn run(args: &CheckDaemonicArgs) -> Result<Exit, Failure> {
    let candidates = args.pools.candidates();
    let (line, trials) = (CurrentTest::new(), Trials::new(&args.pools)?);
    let all = candidates.len();
    let mut rows = Vec::new();
    for (done, candidate) in candidates.into_iter().enumerate() {
        line.show(done, all, candidate, "daemonic?");
        let mut trial = trials.pool(candidate)?;
        let said = match trial.run("flags")? {
            Ending::Returned(said) => Ok(said),
            Ending::Raised(why) => Err(why),
            Ending::TimedOut => Err("no answer in time".to_owned()),
        };
        let pid = said.as_ref().ok().and_then(|said| said["pid"].as_i64());
        let listed = pid.and_then(|pid| trial.listed_as_daemonic(pid));
        trial.end()?;
        rows.push(Row { candidate, said, listed });
    }
    drop(line);
    let text = if args.pools.json { safe(&as_json(&rows)).into_owned() } else { as_table(&rows) };
    io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?;
    let good = rows.iter().all(|row| match &row.said {
        Ok(_) => row.agrees() == Some(true),
        Err(why) => why.contains("needs the package"),
    });
    Ok(if good { Exit::Finished } else { Exit::Error })
}

fn as_json(rows: &[Row]) -> String {
    let rows = rows.iter().map(|row| {
        let said = row.said.as_ref().ok();
        json!({
            "pool": row.candidate.kind.word(),
            "context": row.candidate.context_word(),
            "gevent": row.candidate.gevent,
            "multiprocessing": said.map(|said| &said["multiprocessing"]),
            "billiard": said.map(|said| &said["billiard"]),
            "supervisor": row.listed,
            "agree": row.agrees(),
            "why": row.said.as_ref().err(),
        })
    });
    format!("{}\n", Json::from(rows.collect::<Vec<_>>()))
}

fn as_table(rows: &[Row]) -> String {
    let mut table = Notes::new(&["pool", "context", "gevent", "multiprocessing", "billiard", "supervisor", "agree"]);
    let word = |daemonic: Option<bool>| match daemonic {
        Some(true) => "daemonic".to_owned(),
        Some(false) => "non-daemonic".to_owned(),
        None => "–".to_owned(),
    };
    for row in rows {
        let (multiprocessing, billiard) = match &row.said {
            Ok(said) => (word(said["multiprocessing"].as_bool()), word(said["billiard"].as_bool())),
            Err(why) => (table.noted("none", why), "–".to_owned()),
        };
        let agree = match row.agrees() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "–",
        };
        table.row(vec![
            row.candidate.kind.word().to_owned(),
            row.candidate.context_word().to_owned(),
            if row.candidate.gevent { "patched" } else { "" }.to_owned(),
            multiprocessing,
            billiard,
            word(row.listed),
            agree.to_owned(),
        ]);
    }
    table.text()
}
