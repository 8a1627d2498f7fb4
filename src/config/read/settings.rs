//! Reads the tables `[workflow]`, `[pool]`, `[pools.NAME]`, `[service]`, `[history]` and `[record]`.

use std::path::PathBuf;
use std::time::Duration;

use super::draft::DraftPool;
use super::home;
use super::names::check_name;
use super::table::Table;
use crate::config::diagnostics::problems::Problems;
use crate::config::diagnostics::suggest::quoted;
use crate::config::schema::keys::POOL;
use crate::config::schema::words::RecordWord;
use crate::config::toml::source::Located;
use crate::graph::{
    KeepHistory, Limits, PoolSpec, PoolType, Record, RecordType, RecordUrl, Recording, Service, Workers,
};

/// Reads the pools of a file. The default pool comes first.
pub(in crate::config) fn pools(file: &Table<'_>, gevent: bool, problems: &mut Problems) -> Vec<DraftPool> {
    let default = file.table("pool", problems);
    let mut pools = vec![pool("default", default.as_ref(), gevent, problems)];
    let Some(node) = file.get("pools") else { return pools };
    let Some(table) = node.tables(&POOL, problems) else { return pools };
    for node in table.nodes() {
        let name = Located { value: node.key.to_owned(), at: node.key_at };
        if name.value == "default" {
            problems
                .error(name.at, "the default pool cannot be written as [pools.default]")
                .label("reserved name")
                .help("write it as [pool]");
            continue;
        }
        check_name("a pool", &name, problems);
        if let Some(table) = node.table(&POOL, problems) {
            pools.push(pool(&name.value, Some(&table), false, problems));
        }
    }
    pools
}

fn pool(name: &str, table: Option<&Table<'_>>, gevent: bool, problems: &mut Problems) -> DraftPool {
    let mut spec = PoolSpec {
        name: name.to_owned(),
        kind: if gevent { PoolType::Gevent } else { PoolType::default() },
        gevent,
        context: Default::default(),
        workers: Workers::Scaling { cap: default_cap() },
        max_tasks_per_worker: None,
        idle_timeout: Duration::from_secs(10),
        grace: Duration::from_secs(5),
        start_timeout: None,
        preload: true,
        launcher: Vec::new(),
        python: None,
        limits: Limits::default(),
    };
    let mut one_per_actor = false;
    let Some(table) = table else { return DraftPool { spec, one_per_actor } };
    table.check_keys(problems);
    if let Some(kind) = table.word("type", problems) {
        spec.kind = kind;
    }
    spec.gevent = spec.kind == PoolType::Gevent;
    match table.bool("gevent", problems) {
        Some(false) if spec.kind == PoolType::Gevent => {
            if let Some(node) = table.get("gevent") {
                problems
                    .error(node.at, "a pool of type `gevent` is always monkey-patched by gevent")
                    .label("contradicts the type")
                    .help("remove this line, or choose another type");
            }
        }
        Some(patched) => spec.gevent = patched,
        None => {}
    }
    spec.context = table.word("context", problems).unwrap_or_default();
    let cap = table.count("scaling_cap", problems);
    match table.integer("max_workers", problems) {
        Some(-1) => one_per_actor = true,
        Some(most) => spec.workers = Workers::Fixed(most as u32),
        None => spec.workers = Workers::Scaling { cap: cap.unwrap_or_else(default_cap) },
    }
    if let Some(node) = table.get("scaling_cap").filter(|_| table.has("scaling_cap") && table.has("max_workers")) {
        problems.warning(node.key_at, "`scaling_cap` has no effect beside `max_workers`").help("remove one of the two");
    }
    spec.max_tasks_per_worker = table.count("max_tasks_per_worker", problems);
    spec.idle_timeout = table.duration("idle_timeout", problems).unwrap_or(spec.idle_timeout);
    spec.grace = table.duration("grace", problems).unwrap_or(spec.grace);
    spec.start_timeout = table.duration("start_timeout", problems);
    spec.preload = table.bool("preload", problems).unwrap_or(true);
    spec.launcher = values(table.texts("launcher", problems));
    spec.python = python(table, problems);
    spec.limits = limits(table, problems);
    DraftPool { spec, one_per_actor }
}

/// The default of `scaling_cap`: four workers per CPU, at least 16. Tasks of beamline workflows mostly wait for other programs.
fn default_cap() -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get());
    u32::try_from(cpus.saturating_mul(4)).unwrap_or(u32::MAX).max(16)
}

/// The limits in the table of a pool or an exec actor.
pub(in crate::config) fn limits(table: &Table<'_>, problems: &mut Problems) -> Limits {
    Limits {
        memory_max: table.size("memory_max", problems),
        memory_high: table.size("memory_high", problems),
        cpu_max: table.cpus("cpu_max", problems),
        cpu_weight: table.count("cpu_weight", problems),
        pids_max: table.integer("pids_max", problems).map(i64::cast_unsigned),
        io_weight: table.count("io_weight", problems),
    }
}

/// Reads `[service]`.
pub(in crate::config) fn service(file: &Table<'_>, problems: &mut Problems) -> Service {
    let default = Service::default();
    let Some(table) = file.table("service", problems) else { return default };
    table.check_keys(problems);
    Service {
        mode: table.word("mode", problems).unwrap_or(default.mode),
        max_concurrent_runs: table.count("max_concurrent_runs", problems).unwrap_or(default.max_concurrent_runs),
        max_queued_runs: table.count("max_queued_runs", problems).unwrap_or(default.max_queued_runs),
        stop_timeout: table.duration("stop_timeout", problems).unwrap_or(default.stop_timeout),
        on_crash: table.word("on_crash", problems).unwrap_or(default.on_crash),
    }
}

/// Reads `[history]`.
pub(in crate::config) fn history(file: &Table<'_>, problems: &mut Problems) -> KeepHistory {
    let default = KeepHistory::default();
    let Some(table) = file.table("history", problems) else { return default };
    table.check_keys(problems);
    KeepHistory {
        enabled: table.bool("enabled", problems).unwrap_or(default.enabled),
        keep: table.duration("keep", problems).unwrap_or(default.keep),
        max_size: table.size("max_size", problems).unwrap_or(default.max_size),
    }
}

/// Reads `[record]`.
pub(in crate::config) fn record(file: &Table<'_>, problems: &mut Problems) -> Recording {
    let Some(table) = file.table("record", problems) else { return Recording::Unset };
    table.check_unknown(problems, |problems, node| {
        let is_address = matches!(node.key, "url" | "uri");
        if is_address {
            // The location is that of the table: the line of the key would be printed, with the password in it.
            problems
                .error(
                    table.at,
                    format!(
                        "[record] must not contain the server's address ({}): everyone can read this file",
                        quoted(node.key)
                    ),
                )
                .label("contains the address")
                .help("write the address to a file of its own, and set url_file = \"FILE\"");
        }
        is_address
    });
    let kind = table.word::<RecordWord>("type", problems);
    if let Some(node) = table.get("credential").filter(|_| table.has("credential") && table.has("url_file")) {
        problems
            .error(node.key_at, "[record] cannot have both `url_file` and `credential`")
            .label("second source of the address")
            .help("remove one of the two lines");
    }
    let text = |key: &str, problems: &mut Problems| table.text(key, problems).map(|text| text.value);
    let credential = text("credential", problems);
    let url = match (&credential, table.text("url_file", problems)) {
        // The defaults of the host may set one of the two, and the workflow the other. The workflow wins.
        (Some(name), Some(_)) if table.has("credential") => RecordUrl::Credential(name.clone()),
        (_, Some(path)) => RecordUrl::File(problems.resolve(&path)),
        (Some(name), None) => RecordUrl::Credential(name.clone()),
        (None, None) => RecordUrl::Credential(Record::CREDENTIAL.to_owned()),
    };
    let record = Record {
        kind: if kind == Some(RecordWord::MongoDb) { RecordType::MongoDb } else { RecordType::BesDb },
        database: text("database", problems).unwrap_or_else(|| Record::DEFAULT_NAME.to_owned()),
        collection: text("collection", problems).unwrap_or_else(|| Record::DEFAULT_NAME.to_owned()),
        url,
        request_id_from: text("request_id_from", problems).unwrap_or_else(|| "request_id".to_owned()),
        initiator: text("initiator", problems),
        host: text("host", problems),
        port: table.integer("port", problems).and_then(|port| u16::try_from(port).ok()),
    };
    match kind {
        None => Recording::Unset,
        Some(RecordWord::None) => Recording::Never,
        Some(RecordWord::BesDb | RecordWord::MongoDb) => Recording::In(record),
    }
}

/// Warns of `[record]` without a type: it has no effect.
pub(in crate::config) fn warn_of_record_without_type(file: &Table<'_>, problems: &mut Problems) {
    let Some(table) = file.table("record", problems).filter(|table| table.get("type").is_none()) else { return };
    problems
        .warning(table.at, "[record] has no `type`, so nothing is recorded")
        .label("`type` is missing")
        .help("add type = \"besdb\" or type = \"mongodb\"");
}

/// Reads `python`. A path is relative to the file; a name without a slash that is not beside the file is found in `PATH` later.
pub(in crate::config) fn python(table: &Table<'_>, problems: &mut Problems) -> Option<PathBuf> {
    let text = table.text("python", problems)?;
    if !text.value.contains('/') && !text.value.starts_with('~') {
        let folder = problems.resolve(&text);
        return Some(if folder.is_dir() { folder } else { PathBuf::from(text.value) });
    }
    let path = expanded(&text, problems)?;
    if !path.exists() {
        problems
            .warning(text.at, format!("{} does not exist on this host", quoted(&text.value)))
            .label("does not exist")
            .help("write the path of an interpreter, or the folder of a virtual or conda environment");
    }
    Some(path)
}

/// Reads `paths`. The folders are absolute.
pub(in crate::config) fn paths(table: &Table<'_>, problems: &mut Problems) -> Vec<PathBuf> {
    let texts = table.texts("paths", problems).unwrap_or_default();
    texts
        .into_iter()
        .filter_map(|text| {
            let path = expanded(&text, problems)?;
            if !path.is_dir() {
                problems
                    .warning(text.at, format!("the folder {} does not exist on this host", quoted(&text.value)))
                    .label("does not exist");
            }
            Some(path)
        })
        .collect()
}

/// Resolves a path that may begin with `~`.
fn expanded(text: &Located<String>, problems: &mut Problems) -> Option<PathBuf> {
    if !text.value.starts_with('~') {
        return Some(problems.resolve(text));
    }
    home::expand(&text.value)
        .map_err(|error| {
            problems.error(text.at, format!("cannot expand {}: {error}", quoted(&text.value))).label("here");
        })
        .ok()
}

pub(in crate::config) fn values(texts: Option<Vec<Located<String>>>) -> Vec<String> {
    texts.unwrap_or_default().into_iter().map(|text| text.value).collect()
}
