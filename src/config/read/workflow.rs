//! Reads the workflow file, with the defaults of the host below it.

use std::collections::HashMap;
use std::sync::Arc;

use super::draft::{DraftFile, ReadContext};
use super::files::parse;
use super::graph;
use super::scripts::Scripts;
use super::settings;
use super::table::Table;
use crate::config::diagnostics::problems::Problems;
use crate::config::schema::keys::{DEFAULTS, FILE, Section, WORKFLOW_DEFAULTS};
use crate::config::toml::source::Source;
use crate::config::toml::tree::{TomlTable, TomlValue};

/// Reads the workflow file. The defaults apply to keys that it does not have.
pub(in crate::config) fn workflow(
    (id, source): (u32, Arc<Source>),
    defaults: Option<(u32, Arc<Source>)>,
    mut problems: Problems,
) -> (Option<DraftFile>, ReadContext) {
    let mut base = defaults.as_ref().and_then(|(id, source)| Some((parse(*id, source, &mut problems)?, *id)));
    let own = parse(id, &source, &mut problems);
    if let Some((table, id)) = &mut base {
        check_defaults(&Table::root(table, *id, None, &DEFAULTS), &mut problems);
        // Unknown keys have been reported. They have no effect.
        keep_known(table, &DEFAULTS);
        if let Some(TomlValue::Table(workflow)) = table.get_mut("workflow").map(|item| &mut item.value) {
            keep_known(workflow, &WORKFLOW_DEFAULTS);
        }
    }
    let scripts = Scripts::new(problems.directory_of(id));
    let open = source.path().canonicalize().into_iter().collect();
    let mut context = ReadContext { problems, scripts, paths: Vec::new(), open, read: HashMap::new() };
    let Some(own) = own else { return (None, context) };
    let table = Table::root(&own, id, base.as_ref().map(|(table, _)| table), &FILE);
    (Some(graph::file(&table, 0, &mut context)), context)
}

fn keep_known(table: &mut TomlTable<'_>, section: &Section) {
    table.retain(|key| section.key(key).is_some());
}

/// Checks the defaults by themselves, so that mistakes in them are reported even if the workflow file overrides them.
fn check_defaults(table: &Table<'_>, problems: &mut Problems) {
    table.check_keys(problems);
    if let Some(workflow) = table.table("workflow", problems) {
        workflow.check_keys(problems);
    }
    settings::pools(table, false, problems);
    settings::service(table, problems);
    settings::history(table, problems);
    settings::record(table, problems);
}
