//! Reading files: the workflow's, the defaults beneath it, and those of submodels.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::diagnostics::Problems;
use super::draft::{self, Draft, Surroundings};
use super::keys::{DEFAULTS, FILE, Section, WORKFLOW_DEFAULTS};
use super::names::check_name;
use super::plain;
use super::raw::{RawTable, RawValue};
use super::scripts::{Scripts, near_file};
use super::settings::{self, DraftPool, directory_of};
use super::source::{At, Place, Source};
use super::suggest::{did_you_mean, quoted};
use super::syntax::{self, Syntax};
use super::table::Table;
use crate::graph::{KeepHistory, OnTimeout, Recording, Service};
use crate::payload::Payload;

/// A whole file, read.
#[derive(Debug)]
pub(super) struct DraftFile {
    pub name: Option<String>,
    pub description: Option<String>,
    pub python: Option<PathBuf>,
    pub timeout: Option<std::time::Duration>,
    pub on_timeout: OnTimeout,
    pub gevent: bool,
    pub inputs: Payload,
    pub pools: Vec<DraftPool>,
    pub service: Service,
    pub history: KeepHistory,
    pub record: Recording,
    pub graph: Draft,
}

/// Larger files are no workflows: one of 100,000 actors has 10 MiB.
const LARGEST: u64 = 64 << 20;

/// The text of a file that is to be a workflow. Nothing is waited for: what is no file (a pipe, a device) has no end that could be
/// relied on.
///
/// # Errors
/// Where it cannot be read, is no file, is too large, or no UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read_bytes(path)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "the file is not UTF-8 text"))
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() { "it is a folder" } else { "it is a pipe or a device, and not a file" };
        return Err(io::Error::other(what));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        let what = format!("it is larger than {} MiB, which no workflow file is", LARGEST >> 20);
        return Err(io::Error::new(ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

/// Reads a file's text. A name of a file that is not there is for the caller to report.
pub(super) fn read(name: &str, path: &Path, problems: &mut Problems) -> Result<(u32, Arc<Source>), ErrorKind> {
    match read_bytes(path).map(String::from_utf8) {
        Ok(Ok(text)) => Ok(problems.add_source(Source::new(name, path, text))),
        Ok(Err(error)) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let (id, _) = problems.add_source(Source::new(name, path, text));
            problems
                .error(Place::new(id, at..at + 1), "the file is not UTF-8 text")
                .label("the first byte that is not")
                .help("save it as UTF-8");
            Err(ErrorKind::InvalidData)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ErrorKind::NotFound),
        Err(error) => {
            let (id, _) = problems.add_source(Source::new(name, path, ""));
            problems.file_error(id, format!("cannot read the file: {error}"));
            Err(error.kind())
        }
    }
}

/// Parses a text. Where its syntax is wrong nothing more is said about it: what a broken line means is a guess.
/// Something that is there twice is no such case: the second one is left out.
pub(super) fn parse<'s>(id: u32, source: &'s Source, problems: &mut Problems) -> Option<RawTable<'s>> {
    let Syntax { table, wrong } = syntax::read(id, source.text());
    let mut last_line = None;
    for (at, message) in &wrong.broken {
        // The first error of a line often makes the others.
        let line = source.line(at.span().start);
        if last_line.replace(line) != Some(line) {
            problems.error(*at, format!("this is not TOML: {message}")).label("here");
        }
    }
    let links_twice = report_doubled(source, &wrong.doubled, problems);
    if !wrong.broken.is_empty() || links_twice {
        return None;
    }
    // The reader puts the keys of a second table into the first one, where they do not belong.
    match without_tables(source, &wrong.doubled) {
        None => Some(table),
        Some(text) => {
            let Syntax { table, wrong } = syntax::read(id, source.set_reduced(text));
            wrong.broken.is_empty().then_some(table)
        }
    }
}

/// Reports what is there twice; says whether it is the list of links, without which nothing can be said of the graph.
fn report_doubled(source: &Source, doubled: &[Place], problems: &mut Problems) -> bool {
    let mut links_twice = false;
    for at in doubled {
        let key = &source.text()[at.span()];
        let help = match key {
            "links" if links_twice => continue,
            "links" => {
                links_twice = true;
                "write all links one way: each below [[links]], or in one list"
            }
            _ => "take one of the two out, or give it another name",
        };
        problems.error(*at, format!("{} is there twice", quoted(key))).label("the second one").help(help);
    }
    links_twice
}

/// The text with spaces in place of the tables whose heads are at these places; none where there is no such table.
fn without_tables(source: &Source, heads: &[Place]) -> Option<String> {
    let text = source.text();
    let mut reduced: Option<Vec<u8>> = None;
    for head in heads {
        let start = source.line_span(head.span().start).start;
        if !text[start..].trim_start().starts_with('[') {
            continue;
        }
        let end = text[head.span().end..].find("\n[").map_or(text.len(), |length| head.span().end + length);
        let bytes = reduced.get_or_insert_with(|| text.as_bytes().to_vec());
        bytes[start..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    reduced.and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Reads the workflow's own file, with the defaults beneath it.
pub(super) fn workflow(
    (id, source): (u32, Arc<Source>),
    defaults: Option<(u32, Arc<Source>)>,
    mut problems: Problems,
) -> (Option<DraftFile>, Surroundings) {
    let mut under = defaults.as_ref().and_then(|(id, source)| Some((parse(*id, source, &mut problems)?, *id)));
    let over = parse(id, &source, &mut problems);
    if let Some((table, id)) = &mut under {
        check_defaults(&Table::root(table, *id, None, &DEFAULTS), &mut problems);
        // What does not belong there has no effect either.
        keep_known(table, &DEFAULTS);
        if let Some(RawValue::Table(workflow)) = table.get_mut("workflow").map(|item| &mut item.value) {
            keep_known(workflow, &WORKFLOW_DEFAULTS);
        }
    }
    let scripts = Scripts::new(directory_of(id, &problems));
    let open = source.path().canonicalize().into_iter().collect();
    let mut around = Surroundings { problems, scripts, paths: Vec::new(), open, read: HashMap::new() };
    let Some(over) = over else { return (None, around) };
    let table = Table::root(&over, id, under.as_ref().map(|(table, _)| table), &FILE);
    (Some(file(&table, 0, &mut around)), around)
}

fn keep_known(table: &mut RawTable<'_>, section: &Section) {
    table.retain(|key| section.key(key).is_some());
}

/// Reads the defaults for themselves, so that what is wrong there is said even where a workflow file hides it.
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

fn file(table: &Table<'_>, depth: usize, around: &mut Surroundings) -> DraftFile {
    table.check_keys(&mut around.problems);
    let problems = &mut around.problems;
    let mut on_error = Vec::new();
    let mut draft = DraftFile {
        name: None,
        description: None,
        python: None,
        timeout: None,
        on_timeout: OnTimeout::default(),
        gevent: false,
        inputs: table.get("inputs").map(|node| plain::inputs(node, problems)).unwrap_or_default(),
        pools: Vec::new(),
        service: settings::service(table, problems),
        history: settings::history(table, problems),
        record: settings::record(table, problems),
        graph: Draft::default(),
    };
    if table.says("record") && draft.record == Recording::NotSaid {
        settings::nothing_recorded(table, problems);
    }
    if let Some(workflow) = table.table("workflow", problems) {
        workflow.check_keys(problems);
        draft.name = workflow.text("name", problems).map(|name| {
            check_name("a workflow", &name, problems);
            name.value
        });
        draft.description = workflow.text("description", problems).map(|text| text.value);
        draft.python = settings::python(&workflow, problems);
        draft.timeout = workflow.duration("timeout", problems);
        draft.on_timeout = workflow.word("on_timeout", problems).unwrap_or_default();
        draft.gevent = workflow.bool("gevent", problems).unwrap_or(false);
        on_error = workflow.names("on_error", problems).unwrap_or_default();
        for path in settings::paths(&workflow, problems) {
            if !around.paths.contains(&path) {
                around.paths.push(path);
            }
        }
    }
    draft.pools = settings::pools(table, draft.gevent, &mut around.problems);
    draft.graph = draft::graph(table, depth, around);
    draft.graph.on_error = on_error;
    draft
}

/// Reads the file that a submodel names. What only a whole workflow has (inputs, pools, the service) is checked and has
/// no effect; its `paths` are added to the workflow's, because its scripts need them.
pub(super) fn submodel(file_name: &At<String>, depth: usize, around: &mut Surroundings) -> Rc<Draft> {
    let directory = directory_of(file_name.at.source, &around.problems);
    let naming = Path::new(around.problems.source(file_name.at.source).name());
    let name = naming.parent().unwrap_or(Path::new("")).join(&file_name.value);
    let path = settings::beside(file_name, &around.problems);
    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
    if let Some(first) = around.open.iter().position(|open| *open == real) {
        let chain: Vec<_> = around.open[first..].iter().chain([&real]).filter_map(|path| path.file_name()).collect();
        let chain: Vec<_> = chain.iter().map(|name| name.to_string_lossy()).collect();
        around
            .problems
            .error(file_name.at, format!("{} would contain itself", quoted(&file_name.value)))
            .label("a file that this one is part of")
            .help(chain.join(" has "));
        return Rc::default();
    }
    if let Some(draft) = around.read.get(&real) {
        return draft.clone();
    }
    let (id, source) = match read(&name.to_string_lossy(), &path, &mut around.problems) {
        Ok(source) => source,
        Err(kind) => {
            report_unreadable(file_name, kind, &directory, &mut around.problems);
            return Rc::new(Draft { lost_links: true, ..Draft::default() });
        }
    };
    let draft = match parse(id, &source, &mut around.problems) {
        Some(table) => {
            around.open.push(real.clone());
            let draft = file(&Table::root(&table, id, None, &FILE), depth + 1, around).graph;
            around.open.pop();
            Rc::new(draft)
        }
        None => Rc::new(Draft { lost_links: true, ..Draft::default() }),
    };
    around.read.insert(real, draft.clone());
    draft
}

fn report_unreadable(file_name: &At<String>, kind: ErrorKind, directory: &Path, problems: &mut Problems) {
    if kind != ErrorKind::NotFound {
        return;
    }
    let near = near_file(&file_name.value, directory, ".toml", problems);
    let help = did_you_mean(near.as_deref()).unwrap_or_else(|| "its path is relative to this file".to_owned());
    problems
        .error(file_name.at, format!("there is no file {}", quoted(&file_name.value)))
        .label("not there")
        .help(help);
}
