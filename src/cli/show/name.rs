//! Finds the run that a text names.

use anyhow::anyhow;

use crate::cli::history::{Found, WhereArgs, all};
use crate::cli::{Exit, Failure};
use crate::history::RunRecord;

/// The run that a text names: `data-reduction/12`, `12` if it is unique, or its D-Bus object path.
pub(super) fn find(text: &str, place: WhereArgs) -> Result<(Found, RunRecord), Failure> {
    let (workflow, number) = match text.rsplit_once('/') {
        Some((before, number)) if !before.starts_with('/') => (Some(before), number),
        Some((_, number)) => (None, number),
        None => (None, text),
    };
    let Ok(number) = number.parse::<u64>() else {
        let why = anyhow!("{text} names no run: write the workflow and the number, as in data-reduction/12");
        return Err(Failure::Because(Exit::Usage, why));
    };
    let mut runs = Vec::new();
    for found in all(place, workflow)? {
        if let Some(run) = found.reader.run(number).map_err(anyhow::Error::from)? {
            runs.push((found, run));
        }
    }
    // One of several files of the same name has no number.
    if let Some(name) = workflow
        && runs.iter().any(|(found, _)| found.name == name)
    {
        runs.retain(|(found, _)| found.name == name);
    }
    if runs.len() > 1 {
        let names: Vec<_> = runs.iter().map(|(found, run)| format!("{}/{}", found.name, run.id)).collect();
        let same = names.windows(2).all(|pair| pair[0] == pair[1]);
        let help = if same { "add --user or --system" } else { "say which" };
        return Err(Failure::Because(
            Exit::Usage,
            anyhow!("several runs are called {text}: {}; {help}", names.join(", ")),
        ));
    }
    runs.pop().ok_or_else(|| {
        let help = "`pushflow history` lists those that there are";
        Failure::Because(Exit::NotFound, anyhow!("no run {text} is recorded; {help}"))
    })
}
