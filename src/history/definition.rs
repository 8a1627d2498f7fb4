//! Whether a workflow is still the one that a run began with.

use serde_json::{Value as Json, json};

use crate::graph::{Actor, Exec, Kind, Limits, Link, Port, Retry, Router, Scope, Script, Stdin, Stdout, Workflow};
use crate::payload::Key;

/// The version of the written form. It changes when something else of the graph is written.
const FORM: u32 = 1;

/// What a run depends on, in a few characters: the version of pushflow, and a hash of the workflow's file name, actors, links, retries
/// and limits. The contents of scripts are not part of it: a script that was corrected is to be used.
pub fn definition(workflow: &Workflow) -> String {
    let text = written(workflow).to_string();
    // FNV-1a. It distinguishes versions of a file, and does not protect against forgery.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{}:{FORM}:{hash:016x}", env!("CARGO_PKG_VERSION"))
}

/// The written form. It names the fields of the graph one by one: a new field does not compile until it is considered here.
fn written(workflow: &Workflow) -> Json {
    let Workflow { file, actors, scopes, start, stop, .. } = workflow;
    json!({
        "file": file.to_string_lossy(),
        "actors": actors.iter().map(actor).collect::<Vec<_>>(),
        "scopes": scopes.iter().map(scope).collect::<Vec<_>>(),
        "start": start.index(),
        "stop": stop.index(),
    })
}

fn scope(scope: &Scope) -> Json {
    let Scope { name, path, parent, on_error } = scope;
    json!([name, path, parent.map(|parent| parent.index()), links(on_error)])
}

fn actor(actor: &Actor) -> Json {
    let Actor {
        name,
        path,
        scope,
        kind,
        links: success,
        on_error,
        bubble_errors,
        retry: Retry { times, delay },
        timeout,
        pool,
        leave_children,
    } = actor;
    json!({
        "name": name,
        "path": path,
        "scope": scope.index(),
        "kind": [kind.word(), details(kind)],
        "links": links(success),
        "on_error": links(on_error),
        "bubble_errors": bubble_errors,
        "retry": [times, delay.as_nanos().to_string()],
        "timeout": timeout.map(|timeout| timeout.as_nanos().to_string()),
        "pool": pool.index(),
        "leave_children": leave_children,
    })
}

fn details(kind: &Kind) -> Json {
    match kind {
        Kind::Start | Kind::Stop | Kind::Fork | Kind::ErrorHandler | Kind::Boundary => Json::Null,
        Kind::Python(Script::File { path, module }) => json!(["file", path.to_string_lossy(), &**module]),
        Kind::Python(Script::Module(module)) => json!(["module", &**module]),
        Kind::Exec(exec) => program(exec),
        Kind::Join { arrivals } => json!(arrivals),
        Kind::Router(Router { item, routes, other }) => json!([
            key(item),
            routes.iter().map(|route| json!([port(&route.port), links(&route.links)])).collect::<Vec<_>>(),
            other.as_deref().map(links),
        ]),
        Kind::Status(word) => json!(word),
    }
}

fn key(key: &Key) -> Json {
    match key {
        Key::Position(position) => json!(position),
        Key::Text(name) => json!(&**name),
    }
}

fn port(port: &Port) -> Json {
    match port {
        Port::Null => Json::Null,
        Port::Bool(value) => json!(value),
        Port::Int(value) => json!(value),
        Port::Text(text) => json!(text),
    }
}

fn program(exec: &Exec) -> Json {
    let Exec { command, env, directory, stdin, stdout, returncode_key, success_codes, limits } = exec;
    let Limits { memory_max, memory_high, cpu_max, cpu_weight, pids_max, io_weight } = limits;
    let stdin = match stdin {
        Stdin::Null => "null",
        Stdin::Json => "json",
    };
    let stdout = match stdout {
        Stdout::Log => json!("log"),
        Stdout::Json => json!("json"),
        Stdout::Key(key) => json!(["key", key]),
    };
    json!({
        "command": command,
        "env": env,
        "directory": directory.to_string_lossy(),
        "stdin": stdin,
        "stdout": stdout,
        "returncode_key": returncode_key,
        "success_codes": success_codes,
        "limits": [memory_max, memory_high, cpu_max, cpu_weight, pids_max, io_weight],
    })
}

fn links(links: &[Link]) -> Json {
    links.iter().map(|Link { to }| to.index()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    const FILE: &str = r#"
links = [{ from = "start", to = "a" }, { from = "a", to = "stop" }]
[workflow]
name = "w"
[actors.a]
kind = "exec"
command = ["true"]
retries = 1
"#;

    fn workflow(text: &str) -> Workflow {
        crate::config::load_str(text, Path::new("/w.toml")).map_err(|errors| format!("{errors:?}")).unwrap().workflow
    }

    #[test]
    fn a_definition_changes_with_the_graph_and_with_nothing_else() {
        let first = definition(&workflow(FILE));
        assert_eq!(definition(&workflow(&format!("# A comment.\n{FILE}"))), first);
        assert_eq!(definition(&workflow(&format!("{FILE}[service]\nstop_timeout = \"1s\"\n"))), first);
        assert_ne!(definition(&workflow(&FILE.replace("retries = 1", "retries = 2"))), first);
        assert_ne!(definition(&workflow(&FILE.replace("true", "false"))), first);
        assert!(first.starts_with(concat!(env!("CARGO_PKG_VERSION"), ":1:")), "{first}");
    }
}
