//! Reads actors, links and submodels: of the workflow file, of submodels in it, and of submodels in files of their own.

use std::io::ErrorKind;
use std::path::Path;
use std::rc::Rc;

use super::actors;
use super::draft::{Draft, DraftActor, DraftFile, DraftLink, DraftSubmodel, ReadContext};
use super::files;
use super::inputs;
use super::names::{Name, check_name};
use super::scripts::similar_file;
use super::settings;
use super::table::Table;
use crate::config::diagnostics::problems::Problems;
use crate::config::diagnostics::suggest::{did_you_mean, quoted};
use crate::config::schema::keys::{FILE, LINK, SUBMODEL, actor_section};
use crate::config::schema::words::KindWord;
use crate::config::toml::source::Located;
use crate::config::toml::tree::TomlValue;
use crate::graph::{OnTimeout, Recording};

/// Maximum nesting of submodels. Reading is recursive: this is far from the end of the stack.
const MAX_DEPTH: usize = 64;

/// Reads the actors, links and submodels of a file or of a submodel's table.
fn graph(table: &Table<'_>, depth: usize, context: &mut ReadContext) -> Draft {
    let actors = read_actors(table, context);
    let at = ["links", "actors"].iter().find_map(|key| table.get(key)).map(|node| node.key_at);
    let (links, lost_links) = read_links(table, &mut context.problems);
    let submodels = read_submodels(table, depth, context);
    Draft { actors, links, submodels, on_error: Vec::new(), at, lost_links }
}

fn read_actors(table: &Table<'_>, context: &mut ReadContext) -> Vec<DraftActor> {
    let Some(node) = table.get("actors") else { return Vec::new() };
    // The section of each actor depends on its kind.
    let section = actor_section(KindWord::Python);
    let Some(actors) = node.tables(section, &mut context.problems) else { return Vec::new() };
    actors.nodes().map(|node| actors::actor(node, context)).collect()
}

fn read_links(table: &Table<'_>, problems: &mut Problems) -> (Vec<DraftLink>, bool) {
    let Some(node) = table.get("links") else { return (Vec::new(), false) };
    let tables = node.list(&LINK, problems);
    let links = tables.iter().map(|table| read_link(table, problems)).collect();
    let lost = !matches!(node.value, TomlValue::List(list) if list.items.len() == tables.len());
    (links, lost)
}

fn read_link(table: &Table<'_>, problems: &mut Problems) -> DraftLink {
    table.check_keys(problems);
    let port = table.port("port", problems);
    let on_error = table.bool("on_error", problems).unwrap_or(false);
    if let (Some(port), true) = (&port, on_error) {
        problems
            .error(port.at, "a link cannot have both `port` and `on_error`")
            .label("this port")
            .help("write two links");
    }
    DraftLink { at: table.at, from: table.name("from", problems), to: table.name("to", problems), port, on_error }
}

fn read_submodels(table: &Table<'_>, depth: usize, context: &mut ReadContext) -> Vec<DraftSubmodel> {
    let Some(node) = table.get("submodels") else { return Vec::new() };
    let Some(submodels) = node.tables(&SUBMODEL, &mut context.problems) else { return Vec::new() };
    if depth >= MAX_DEPTH {
        context
            .problems
            .error(node.key_at, format!("submodels are nested more than {MAX_DEPTH} deep"))
            .label("too deep");
        return Vec::new();
    }
    let tables: Vec<_> = submodels.nodes().collect();
    tables
        .into_iter()
        .map(|node| {
            let name = Located { value: Name::new(node.key), at: node.key_at };
            check_name("a submodel", &name, &mut context.problems);
            match node.table(&SUBMODEL, &mut context.problems) {
                Some(table) => submodel(name, &table, depth, context),
                None => DraftSubmodel { name, ports: Vec::new(), on_error: Vec::new(), body: Rc::default() },
            }
        })
        .collect()
}

fn submodel(name: Located<Name>, table: &Table<'_>, depth: usize, context: &mut ReadContext) -> DraftSubmodel {
    table.check_keys(&mut context.problems);
    let mut ports = table.names("ports", &mut context.problems).unwrap_or_default();
    for port in &ports {
        check_name("a port", port, &mut context.problems);
    }
    ports.retain(|port| port.value != "In" && port.value != "Out");
    let on_error = table.names("on_error", &mut context.problems).unwrap_or_default();
    let body = match table.text("file", &mut context.problems) {
        Some(file) => {
            for key in ["actors", "links", "submodels"] {
                if let Some(node) = table.get(key) {
                    context
                        .problems
                        .error(node.key_at, format!("{} has both `file` and {}", quoted(&name.value), quoted(key)))
                        .label("not allowed beside `file`")
                        .help("write the submodel either here or in its file");
                }
            }
            submodel_file(&file, depth, context)
        }
        None if table.has("file") => Rc::default(),
        None => Rc::new(graph(table, depth + 1, context)),
    };
    DraftSubmodel { name, ports, on_error, body }
}

/// Reads a whole file.
pub(super) fn file(table: &Table<'_>, depth: usize, context: &mut ReadContext) -> DraftFile {
    table.check_keys(&mut context.problems);
    let problems = &mut context.problems;
    let mut on_error = Vec::new();
    let mut draft = DraftFile {
        name: None,
        description: None,
        python: None,
        timeout: None,
        on_timeout: OnTimeout::default(),
        gevent: false,
        inputs: table.get("inputs").map(|node| inputs::inputs(node, problems)).unwrap_or_default(),
        pools: Vec::new(),
        service: settings::service(table, problems),
        history: settings::history(table, problems),
        record: settings::record(table, problems),
        graph: Draft::default(),
    };
    if table.has("record") && draft.record == Recording::Unset {
        settings::warn_of_record_without_type(table, problems);
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
            if !context.paths.contains(&path) {
                context.paths.push(path);
            }
        }
    }
    draft.pools = settings::pools(table, draft.gevent, &mut context.problems);
    draft.graph = graph(table, depth, context);
    draft.graph.on_error = on_error;
    draft
}

/// Reads the file of a submodel. Sections that only a workflow has (inputs, pools, service) are checked but have no effect. Its
/// `paths` are added to those of the workflow, because its scripts need them.
fn submodel_file(file_name: &Located<String>, depth: usize, context: &mut ReadContext) -> Rc<Draft> {
    let directory = context.problems.directory_of(file_name.at.source);
    let naming = Path::new(context.problems.source(file_name.at.source).name());
    let name = naming.parent().unwrap_or(Path::new("")).join(&file_name.value);
    let path = context.problems.resolve(file_name);
    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
    if let Some(first) = context.open.iter().position(|open| *open == real) {
        let chain: Vec<_> = context.open[first..].iter().chain([&real]).filter_map(|path| path.file_name()).collect();
        let chain: Vec<_> = chain.iter().map(|name| name.to_string_lossy()).collect();
        context
            .problems
            .error(file_name.at, format!("{} contains itself", quoted(&file_name.value)))
            .label("this file contains the submodel")
            .help(chain.join(" contains "));
        return Rc::default();
    }
    if let Some(draft) = context.read.get(&real) {
        return draft.clone();
    }
    let (id, source) = match files::read(&name.to_string_lossy(), &path, &mut context.problems) {
        Ok(source) => source,
        Err(kind) => {
            report_unreadable(file_name, kind, &directory, &mut context.problems);
            return Rc::new(Draft { lost_links: true, ..Draft::default() });
        }
    };
    let draft = match files::parse(id, &source, &mut context.problems) {
        Some(table) => {
            context.open.push(real.clone());
            let draft = file(&Table::root(&table, id, None, &FILE), depth + 1, context).graph;
            context.open.pop();
            Rc::new(draft)
        }
        None => Rc::new(Draft { lost_links: true, ..Draft::default() }),
    };
    context.read.insert(real, draft.clone());
    draft
}

fn report_unreadable(file_name: &Located<String>, kind: ErrorKind, directory: &Path, problems: &mut Problems) {
    if kind != ErrorKind::NotFound {
        return;
    }
    let near = similar_file(&file_name.value, directory, ".toml", problems);
    let help = did_you_mean(near.as_deref()).unwrap_or_else(|| "the path is relative to this file".to_owned());
    problems
        .error(file_name.at, format!("there is no file {}", quoted(&file_name.value)))
        .label("no such file")
        .help(help);
}
