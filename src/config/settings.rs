//! Reading `[workflow]`, `[pool]`, `[pools.NAME]`, `[service]`, `[history]` and `[record]`.

use std::path::PathBuf;
use std::time::Duration;

use super::diagnostics::Problems;
use super::home;
use super::keys::POOL;
use super::names::check_name;
use super::source::At;
use super::suggest::quoted;
use super::table::Table;
use crate::graph::{
    KeepHistory, Limits, PoolSpec, PoolType, Record, RecordType, RecordUrl, Recording, Service, Workers,
};

/// A pool before the number of python actors is known.
#[derive(Debug)]
pub(super) struct DraftPool {
    pub spec: PoolSpec,
    /// `max_workers = -1`.
    pub one_per_actor: bool,
}

/// The pools of a file, the default pool first.
pub(super) fn pools(file: &Table<'_>, gevent: bool, problems: &mut Problems) -> Vec<DraftPool> {
    let default = file.table("pool", problems);
    let mut pools = vec![pool("default", default.as_ref(), gevent, problems)];
    let Some(node) = file.get("pools") else { return pools };
    let Some(table) = node.tables(&POOL, problems) else { return pools };
    for node in table.nodes() {
        let name = At { value: node.key.to_owned(), at: node.key_at };
        if name.value == "default" {
            problems
                .error(name.at, "the default pool is not one of [pools]")
                .label("this name is taken")
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
                    .error(node.at, "a pool of type `gevent` is always patched by gevent")
                    .label("contradicts the type")
                    .help("take this line out, or choose another type");
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
    if let Some(node) = table.get("scaling_cap").filter(|_| table.says("scaling_cap") && table.says("max_workers")) {
        problems
            .warning(node.key_at, "`scaling_cap` does nothing here: `max_workers` says how many workers there are")
            .help("take one of the two out");
    }
    spec.max_tasks_per_worker = table.count("max_tasks_per_worker", problems);
    spec.idle_timeout = table.duration("idle_timeout", problems).unwrap_or(spec.idle_timeout);
    spec.grace = table.duration("grace", problems).unwrap_or(spec.grace);
    spec.start_timeout = table.duration("start_timeout", problems);
    spec.preload = table.bool("preload", problems).unwrap_or(true);
    spec.launcher = plain_texts(table.texts("launcher", problems));
    spec.python = python(table, problems);
    spec.limits = limits(table, problems);
    DraftPool { spec, one_per_actor }
}

/// Four workers per CPU, at least 16: tasks of beamline workflows mostly wait for other programs.
fn default_cap() -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get());
    u32::try_from(cpus.saturating_mul(4)).unwrap_or(u32::MAX).max(16)
}

/// The limits in a pool's or an exec actor's table.
pub(super) fn limits(table: &Table<'_>, problems: &mut Problems) -> Limits {
    Limits {
        memory_max: table.size("memory_max", problems),
        memory_high: table.size("memory_high", problems),
        cpu_max: table.cpus("cpu_max", problems),
        cpu_weight: table.count("cpu_weight", problems),
        pids_max: table.integer("pids_max", problems).map(i64::cast_unsigned),
        io_weight: table.count("io_weight", problems),
    }
}

/// The `[service]` section.
pub(super) fn service(file: &Table<'_>, problems: &mut Problems) -> Service {
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

/// The `[history]` section.
pub(super) fn history(file: &Table<'_>, problems: &mut Problems) -> KeepHistory {
    let default = KeepHistory::default();
    let Some(table) = file.table("history", problems) else { return default };
    table.check_keys(problems);
    KeepHistory {
        enabled: table.bool("enabled", problems).unwrap_or(default.enabled),
        keep: table.duration("keep", problems).unwrap_or(default.keep),
        max_size: table.size("max_size", problems).unwrap_or(default.max_size),
    }
}

/// The `[record]` section: where runs are recorded, if anywhere.
pub(super) fn record(file: &Table<'_>, problems: &mut Problems) -> Recording {
    let Some(table) = file.table("record", problems) else { return Recording::NotSaid };
    table.check_unknown(problems, |problems, node| {
        let is_address = matches!(node.key, "url" | "uri");
        if is_address {
            // Its own line would be shown, with a password in it.
            problems
                .error(
                    table.at,
                    format!(
                        "the server's address does not stand in this file ({}): everyone can read it",
                        quoted(node.key)
                    ),
                )
                .label("has it")
                .help("put it into a file of its own, and say url_file = \"that file\"");
        }
        is_address
    });
    let kind = table.word::<Option<RecordType>>("type", problems);
    if let Some(node) = table.get("credential").filter(|_| table.says("credential") && table.says("url_file")) {
        problems
            .error(node.key_at, "the server's address is in a file or in a credential, not in both")
            .label("one too many")
            .help("take one of the two lines out");
    }
    let text = |key: &str, problems: &mut Problems| table.text(key, problems).map(|text| text.value);
    let credential = text("credential", problems);
    let url = match (&credential, table.text("url_file", problems)) {
        // A host's defaults may say the one, and a workflow the other.
        (Some(name), Some(_)) if table.says("credential") => RecordUrl::Credential(name.clone()),
        (_, Some(path)) => RecordUrl::File(beside(&path, problems)),
        (Some(name), None) => RecordUrl::Credential(name.clone()),
        (None, None) => RecordUrl::Credential(Record::CREDENTIAL.to_owned()),
    };
    let record = Record {
        kind: kind.flatten().unwrap_or(RecordType::BesDb),
        database: text("database", problems).unwrap_or_else(|| Record::PLACE.to_owned()),
        collection: text("collection", problems).unwrap_or_else(|| Record::PLACE.to_owned()),
        url,
        request_id_from: text("request_id_from", problems).unwrap_or_else(|| "request_id".to_owned()),
        initiator: text("initiator", problems),
        host: text("host", problems),
        port: table.integer("port", problems).and_then(|port| u16::try_from(port).ok()),
    };
    match kind {
        None => Recording::NotSaid,
        Some(None) => Recording::Never,
        Some(Some(_)) => Recording::In(record),
    }
}

/// A section without a type records nothing, which nobody writes on purpose.
pub(super) fn nothing_recorded(file: &Table<'_>, problems: &mut Problems) {
    let Some(table) = file.table("record", problems).filter(|table| table.get("type").is_none()) else { return };
    problems
        .warning(table.at, "[record] has no `type`: nothing is recorded")
        .label("`type` is missing")
        .help("write type = \"besdb\" or type = \"mongodb\"");
}

/// An interpreter: a bare name is looked for on `PATH`, a path is relative to the file that says it.
pub(super) fn python(table: &Table<'_>, problems: &mut Problems) -> Option<PathBuf> {
    let text = table.text("python", problems)?;
    if !text.value.contains('/') && !text.value.starts_with('~') {
        let folder = beside(&text, problems);
        return Some(if folder.is_dir() { folder } else { PathBuf::from(text.value) });
    }
    let path = expanded(&text, problems)?;
    if !path.exists() {
        problems
            .warning(text.at, format!("there is no {} on this host", quoted(&text.value)))
            .label("not there")
            .help("an interpreter, or the folder of a virtual or conda environment");
    }
    Some(path)
}

/// The folders of `paths`, absolute.
pub(super) fn paths(table: &Table<'_>, problems: &mut Problems) -> Vec<PathBuf> {
    let texts = table.texts("paths", problems).unwrap_or_default();
    texts
        .into_iter()
        .filter_map(|text| {
            let path = expanded(&text, problems)?;
            if !path.is_dir() {
                problems
                    .warning(text.at, format!("there is no folder {} on this host", quoted(&text.value)))
                    .label("not there");
            }
            Some(path)
        })
        .collect()
}

/// Where a path leads: `~` in front is a home folder, and what is relative is so to the file.
fn expanded(text: &At<String>, problems: &mut Problems) -> Option<PathBuf> {
    if !text.value.starts_with('~') {
        return Some(beside(text, problems));
    }
    home::expand(&text.value)
        .map_err(|why| {
            problems
                .error(text.at, format!("cannot tell which folder {} is: {why}", quoted(&text.value)))
                .label("here");
        })
        .ok()
}

/// The folder of a file, absolute.
pub(super) fn directory_of(source: u32, problems: &Problems) -> PathBuf {
    problems.source(source).directory().to_path_buf()
}

/// Where a relative path that stands in a file leads.
pub(super) fn beside(text: &At<String>, problems: &Problems) -> PathBuf {
    problems.source(text.at.source).beside(&text.value)
}

pub(super) fn plain_texts(texts: Option<Vec<At<String>>>) -> Vec<String> {
    texts.unwrap_or_default().into_iter().map(|text| text.value).collect()
}
