//! The first frame to an interpreter: the modules of the workflow, where they are, and what kind of worker it becomes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use crate::graph::{Context, Kind, PoolId, Script, Workflow};
use crate::payload::{ERROR_KEY, Key, Plain, Value};
use crate::process::sys;
use crate::supervisor::template;

/// What the Python side needs to know about the workflow, as a pickled dict.
pub(in crate::supervisor) fn setup(workflow: &Workflow, pool: PoolId, preload: bool, queued: bool) -> Value {
    let text = |text: &str| Plain::Text(text.to_owned());
    let path = |path: &Path| Plain::Text(path.to_string_lossy().into_owned());
    let mut paths: Vec<&Path> = workflow.paths.iter().map(PathBuf::as_path).chain([&*workflow.directory]).collect();
    // Several actors can have the same script.
    let mut scripts = Vec::new();
    let mut numbers = FxHashMap::default();
    let mut actors = Vec::new();
    for (index, actor) in workflow.actors.iter().enumerate() {
        let Kind::Python(script) = &actor.kind else { continue };
        let number = *numbers.entry(script).or_insert_with(|| {
            scripts.push(Plain::Tuple(match script {
                Script::File { path: file, module } => {
                    paths.extend(file.parent());
                    vec![text(module), path(file)]
                }
                Script::Module(module) => vec![text(module), Plain::None],
            }));
            scripts.len() - 1
        });
        actors.push((Plain::Int(index as i64), Plain::Int(number as i64)));
    }
    let mut known = HashSet::new();
    paths.retain(|path| known.insert(*path));
    Plain::Dict(vec![
        (text("supervisor"), Plain::Int(i64::from(sys::Pid::this().as_raw()))),
        (text("paths"), Plain::List(paths.into_iter().map(path).collect())),
        (text("scripts"), Plain::List(scripts)),
        (text("actors"), Plain::Dict(actors)),
        (text("routing_keys"), Plain::List(routing_keys(workflow))),
        (text("announces"), Plain::Bool(true)),
        (text("queued"), Plain::Bool(queued)),
        (text("records"), Plain::Bool(workflow.record.record().is_some())),
        (text("preload"), Plain::Bool(preload)),
        (text("inherit"), Plain::Bool(workflow.pool(pool).context == Context::Fork)),
        (text("launched"), Plain::Bool(!workflow.pool(pool).launcher.is_empty())),
        (text("gevent"), Plain::Bool(workflow.pool(pool).gevent)),
        (text("type"), text(workflow.pool(pool).kind.word())),
    ])
    .to_value()
}

/// The keys whose values Rust has to look into: items of routers, keys in commands, and the error.
fn routing_keys(workflow: &Workflow) -> Vec<Plain> {
    let mut keys = vec![Plain::Text(ERROR_KEY.to_owned())];
    for actor in &workflow.actors {
        match &actor.kind {
            Kind::Router(router) => keys.push(plain_key(router.item.clone())),
            // `{0}` can be a position or a name.
            Kind::Exec(exec) => {
                keys.extend(template::keys(exec).flat_map(|key| [plain_key(Key::from_written(&key)), Plain::Text(key)]))
            }
            _ => {}
        }
    }
    keys
}

fn plain_key(key: Key) -> Plain {
    match key {
        Key::Text(name) => Plain::Text((*name).to_owned()),
        Key::Position(position) => Plain::Int(position),
    }
}
