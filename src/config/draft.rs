//! A graph as its file writes it: checked key by key, names not yet resolved.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::actors;
use super::diagnostics::Problems;
use super::files;
use super::keys::{LINK, SUBMODEL, actor_section};
use super::names::{Name, check_name};
use super::raw::RawValue;
use super::scripts::Scripts;
use super::source::{At, Place};
use super::suggest::quoted;
use super::table::{PortWord, Table};
use super::words::KindWord;
use crate::graph::{Kind, Retry};

/// The actors, links and submodels of a workflow or a submodel.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub actors: Vec<DraftActor>,
    pub submodels: Vec<DraftSubmodel>,
    pub links: Vec<DraftLink>,
    /// `on_error` of a file's own `[workflow]`: actors inside.
    pub on_error: Vec<At<Name>>,
    /// Where its links, or else its actors, are written.
    pub at: Option<Place>,
    /// Some links are too wrong to be read: what is reached cannot be told.
    pub lost_links: bool,
}

/// An actor.
#[derive(Debug)]
pub(super) struct DraftActor {
    pub name: At<Name>,
    /// None where its table is too wrong to tell what it is.
    pub kind: Option<Kind>,
    pub timeout: Option<Duration>,
    pub retry: Retry,
    pub bubble_errors: bool,
    pub pool: Option<At<Name>>,
    pub leave_children: bool,
}

/// A link.
#[derive(Debug)]
pub(super) struct DraftLink {
    pub at: Place,
    pub from: Option<At<Name>>,
    pub to: Option<At<Name>>,
    pub port: Option<At<PortWord>>,
    pub on_error: bool,
}

/// A submodel.
#[derive(Debug)]
pub(super) struct DraftSubmodel {
    pub name: At<Name>,
    pub ports: Vec<At<Name>>,
    /// Actors around it.
    pub on_error: Vec<At<Name>>,
    pub body: Rc<Draft>,
}

/// What reading needs to know beside the text.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub problems: Problems,
    pub scripts: Scripts,
    /// Folders on `sys.path`: the workflow's, then those of submodels' files.
    pub paths: Vec<PathBuf>,
    /// The files that are being read, outermost first.
    pub open: Vec<PathBuf>,
    /// Submodels' files that were read.
    pub read: HashMap<PathBuf, Rc<Draft>>,
}

/// How deep submodels may nest: beyond what anyone draws, and far from the end of the stack.
const DEEPEST: usize = 64;

/// Reads the actors, links and submodels of a file or of a submodel's table.
pub(super) fn graph(table: &Table<'_>, depth: usize, around: &mut Surroundings) -> Draft {
    let actors = read_actors(table, around);
    let at = ["links", "actors"].iter().find_map(|key| table.get(key)).map(|node| node.key_at);
    let (links, lost_links) = read_links(table, &mut around.problems);
    let submodels = read_submodels(table, depth, around);
    Draft { actors, links, submodels, on_error: Vec::new(), at, lost_links }
}

fn read_actors(table: &Table<'_>, around: &mut Surroundings) -> Vec<DraftActor> {
    let Some(node) = table.get("actors") else { return Vec::new() };
    // The section of each actor follows from its kind.
    let section = actor_section(KindWord::Python);
    let Some(actors) = node.tables(section, &mut around.problems) else { return Vec::new() };
    actors.nodes().map(|node| actors::actor(node, around)).collect()
}

fn read_links(table: &Table<'_>, problems: &mut Problems) -> (Vec<DraftLink>, bool) {
    let Some(node) = table.get("links") else { return (Vec::new(), false) };
    let tables = node.list(&LINK, problems);
    let links = tables.iter().map(|table| read_link(table, problems)).collect();
    let lost = !matches!(node.value, RawValue::List(list) if list.items.len() == tables.len());
    (links, lost)
}

fn read_link(table: &Table<'_>, problems: &mut Problems) -> DraftLink {
    table.check_keys(problems);
    let port = table.port("port", problems);
    let on_error = table.bool("on_error", problems).unwrap_or(false);
    if let (Some(port), true) = (&port, on_error) {
        problems
            .error(port.at, "a link has a port or fires on error, not both")
            .label("this port")
            .help("write two links");
    }
    DraftLink { at: table.at, from: table.name("from", problems), to: table.name("to", problems), port, on_error }
}

fn read_submodels(table: &Table<'_>, depth: usize, around: &mut Surroundings) -> Vec<DraftSubmodel> {
    let Some(node) = table.get("submodels") else { return Vec::new() };
    let Some(submodels) = node.tables(&SUBMODEL, &mut around.problems) else { return Vec::new() };
    if depth >= DEEPEST {
        around
            .problems
            .error(node.key_at, format!("submodels are nested more than {DEEPEST} deep"))
            .label("the level that is too deep");
        return Vec::new();
    }
    let tables: Vec<_> = submodels.nodes().collect();
    tables
        .into_iter()
        .map(|node| {
            let name = At { value: Name::new(node.key), at: node.key_at };
            check_name("a submodel", &name, &mut around.problems);
            match node.table(&SUBMODEL, &mut around.problems) {
                Some(table) => submodel(name, &table, depth, around),
                None => DraftSubmodel { name, ports: Vec::new(), on_error: Vec::new(), body: Rc::default() },
            }
        })
        .collect()
}

fn submodel(name: At<Name>, table: &Table<'_>, depth: usize, around: &mut Surroundings) -> DraftSubmodel {
    table.check_keys(&mut around.problems);
    let mut ports = table.names("ports", &mut around.problems).unwrap_or_default();
    for port in &ports {
        check_name("a port", port, &mut around.problems);
    }
    ports.retain(|port| port.value != "In" && port.value != "Out");
    let on_error = table.names("on_error", &mut around.problems).unwrap_or_default();
    let body = match table.text("file", &mut around.problems) {
        Some(file) => {
            for key in ["actors", "links", "submodels"] {
                if let Some(node) = table.get(key) {
                    around
                        .problems
                        .error(
                            node.key_at,
                            format!("{} has a file, and {} of its own", quoted(&name.value), quoted(key)),
                        )
                        .label("one too many")
                        .help("write the submodel here, or in the file");
                }
            }
            files::submodel(&file, depth, around)
        }
        None if table.says("file") => Rc::default(),
        None => Rc::new(graph(table, depth + 1, around)),
    };
    DraftSubmodel { name, ports, on_error, body }
}
