//! Every key of the workflow file. Reading, the JSON Schema and the manual all use this list.

use strum::VariantNames;

use super::words::{KindWord, RecordWord, StreamWord};
use crate::graph::{Context, OnCrash, OnTimeout, PoolType, ServiceMode};

/// A table of the file.
#[derive(Debug)]
pub(in crate::config) struct Section {
    /// Its id in the JSON Schema.
    pub id: &'static str,
    /// Its name in messages.
    pub title: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys, in groups. Several sections may share a group.
    pub groups: &'static [&'static [Key]],
}

impl Section {
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().copied().flatten()
    }

    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

/// A key of a table.
#[derive(Debug)]
pub(in crate::config) struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub doc: &'static str,
    pub required: bool,
}

/// The type of a value.
#[derive(Debug)]
pub(in crate::config) enum Shape {
    /// A string that is not empty.
    Text,
    Bool,
    Integer {
        least: i64,
        most: i64,
    },
    /// A number of workers, or -1.
    Workers,
    Duration {
        zero: bool,
    },
    Size,
    Cpus,
    Word(&'static [&'static str]),
    Texts {
        empty: bool,
    },
    Integers {
        least: i64,
        most: i64,
    },
    /// Strings by name.
    Environment,
    /// A key of a payload.
    Item,
    Port,
    /// Any values by name.
    Values,
    Table(&'static Section),
    /// Tables by name.
    Tables(&'static Section),
    /// Actors by name. The section depends on `kind`.
    Actors,
    /// A list of tables.
    List(&'static Section),
}

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc, required: false }
}

const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc, required: true }
}

const MANY: i64 = u32::MAX as i64;
const TIMEOUT: Shape = Shape::Duration { zero: false };
const PAUSE: Shape = Shape::Duration { zero: true };
const COUNT: Shape = Shape::Integer { least: 1, most: MANY };
const WEIGHT: Shape = Shape::Integer { least: 1, most: 10_000 };

/// A whole workflow file.
pub(in crate::config) static FILE: Section = Section {
    id: "workflow-file",
    title: "a workflow file",
    doc: "A workflow: actors connected by links.",
    groups: &[&[
        key("workflow", Shape::Table(&WORKFLOW), "Settings of the whole workflow."),
        key("inputs", Shape::Values, "Default inputs. Inputs of a run override them."),
        key("pool", Shape::Table(&POOL), "The default pool."),
        key("pools", Shape::Tables(&POOL), "More pools, by name."),
        key("service", Shape::Table(&SERVICE), "Settings of the service (pushflow serve)."),
        key("history", Shape::Table(&HISTORY), "Which runs are kept, and for how long."),
        key("record", Shape::Table(&RECORD), "Recording of runs in MongoDB."),
        key("actors", Shape::Actors, "The actors, by name. `start` and `stop` always exist."),
        key("links", Shape::List(&LINK), "The links between actors."),
        key("submodels", Shape::Tables(&SUBMODEL), "Subgraphs, by name."),
    ]],
};

/// The defaults file of a host.
pub(in crate::config) static DEFAULTS: Section = Section {
    id: "defaults-file",
    title: "a defaults file",
    doc: "Defaults for all workflows on this host.",
    groups: &[&[
        key("workflow", Shape::Table(&WORKFLOW_DEFAULTS), "Defaults of [workflow]."),
        key("pool", Shape::Table(&POOL), "Defaults of [pool]."),
        key("pools", Shape::Tables(&POOL), "Pools that every workflow can use."),
        key("service", Shape::Table(&SERVICE), "Defaults of [service]."),
        key("history", Shape::Table(&HISTORY), "Defaults of [history]."),
        key("record", Shape::Table(&RECORD), "Defaults of [record]."),
    ]],
};

const SETTINGS: &[Key] = &[
    key(
        "python",
        Shape::Text,
        "An interpreter, or the folder of a virtual or conda environment. `~` is the home folder. Default: python3.",
    ),
    key(
        "paths",
        Shape::Texts { empty: true },
        "Folders to add to sys.path, relative to this file. `~` is the home folder.",
    ),
    key("timeout", TIMEOUT, "Maximum duration of a run."),
    key(
        "on_timeout",
        Shape::Word(OnTimeout::VARIANTS),
        "What happens to running tasks at the timeout: interrupt them, or wait for them. Default: interrupt.",
    ),
    key("gevent", Shape::Bool, "Whether the default pool is of type gevent."),
];

pub(in crate::config) static WORKFLOW: Section = Section {
    id: "workflow",
    title: "[workflow]",
    doc: "Settings of the whole workflow.",
    groups: &[
        &[
            key("name", Shape::Text, "Name of the workflow. Default: the file name without .toml."),
            key("description", Shape::Text, "Description in one line."),
            key("on_error", Shape::Texts { empty: true }, "The actors that bubbling errors trigger."),
        ],
        SETTINGS,
    ],
};

pub(in crate::config) static WORKFLOW_DEFAULTS: Section = Section {
    id: "workflow-defaults",
    title: "[workflow] of a defaults file",
    doc: "Defaults of [workflow].",
    groups: &[SETTINGS],
};

/// Limits of a cgroup.
pub(in crate::config) const LIMITS: &[Key] = &[
    key(
        "memory_max",
        Shape::Size,
        "Memory limit (memory.max). When it is exceeded, the kernel kills the processes and the task fails.",
    ),
    key(
        "memory_high",
        Shape::Size,
        "Memory threshold (memory.high). When it is exceeded, the kernel slows the processes down.",
    ),
    key("cpu_max", Shape::Cpus, "CPU limit (cpu.max): a number of CPUs (1.5) or a percentage (\"150%\")."),
    key("cpu_weight", WEIGHT, "Share of CPU time relative to others (cpu.weight). The kernel's default is 100."),
    key("pids_max", Shape::Integer { least: 1, most: i64::MAX }, "Maximum number of processes and threads (pids.max)."),
    key("io_weight", WEIGHT, "Share of disk I/O relative to others (io.weight). The kernel's default is 100."),
];

/// `[pool]` and `[pools.NAME]`.
pub(in crate::config) static POOL: Section = Section {
    id: "pool",
    title: "a pool",
    doc: "A pool of workers, which run tasks.",
    groups: &[
        &[
            key("type", Shape::Word(PoolType::VARIANTS), "Type of the workers. Default: process."),
            key("gevent", Shape::Bool, "Whether workers are monkey-patched by gevent."),
            key(
                "context",
                Shape::Word(Context::VARIANTS),
                "How workers are created: forked by a server process (forkserver, the default), the same with all task modules imported (fork), or as new interpreters (spawn).",
            ),
            key(
                "max_workers",
                Shape::Workers,
                "Number of workers; -1 means one per python actor. Default: as many as there is work for.",
            ),
            key(
                "scaling_cap",
                COUNT,
                "Maximum number of workers if max_workers is not set. Default: 4 per CPU, at least 16.",
            ),
            key("max_tasks_per_worker", COUNT, "Number of tasks after which a worker is replaced. Default: no limit."),
            key("idle_timeout", PAUSE, "Time after which an idle worker ends if max_workers is not set. Default: 10s."),
            key(
                "grace",
                PAUSE,
                "Time that an interrupted task has before SIGTERM, and again before SIGKILL. Default: 5s.",
            ),
            key("start_timeout", PAUSE, "Maximum time until a worker is ready. Default: no limit."),
            key("preload", Shape::Bool, "Whether task modules are imported before workers are forked. Default: true."),
            key(
                "launcher",
                Shape::Texts { empty: true },
                "Command that starts each worker. Such a worker is a new interpreter.",
            ),
            key("python", Shape::Text, "Interpreter of this pool. Default: that of the workflow."),
        ],
        LIMITS,
    ],
};

pub(in crate::config) static SERVICE: Section = Section {
    id: "service",
    title: "[service]",
    doc: "Settings of the service (pushflow serve).",
    groups: &[&[
        key(
            "mode",
            Shape::Word(ServiceMode::VARIANTS),
            "run: run once and exit. resident: wait for Run calls. Default: run.",
        ),
        key("max_concurrent_runs", COUNT, "Maximum number of concurrent runs. Default: 1."),
        key(
            "max_queued_runs",
            Shape::Integer { least: 0, most: MANY },
            "Maximum number of queued runs. Default: 1000.",
        ),
        key("stop_timeout", PAUSE, "Time that a stop waits for non-daemonic children. Default: 90s."),
        key(
            "on_crash",
            Shape::Word(OnCrash::VARIANTS),
            "What happens to active runs after a crash of the service: mark them as interrupted, rerun them, or resume them after their recorded tasks. Default: interrupt.",
        ),
    ]],
};

pub(in crate::config) static HISTORY: Section = Section {
    id: "history",
    title: "[history]",
    doc: "The history of runs. Services always write it; pushflow run only with --history.",
    groups: &[&[
        key(
            "enabled",
            Shape::Bool,
            "Whether a service writes a history and restores its queue after a crash. Default: true.",
        ),
        key("keep", TIMEOUT, "How long ended runs are kept. Default: 90d."),
        key(
            "max_size",
            Shape::Size,
            "Maximum size of the history. When it is exceeded, the oldest runs are deleted. Default: 2G.",
        ),
    ]],
};

/// `[record]`. There is no key for the address of the server: it contains a password, and everyone can read this file.
pub(in crate::config) static RECORD: Section = Section {
    id: "record",
    title: "[record]",
    doc: "Recording of runs in MongoDB, in the form of pypushflow, by pushflow-mx.",
    groups: &[&[
        key(
            "type",
            Shape::Word(RecordWord::VARIANTS),
            "besdb: documents with a request id, as pypushflow's besdb writes them. mongodb: plain documents. none: no recording.",
        ),
        key(
            "url_file",
            Shape::Text,
            "File that contains the address of the server in one line, relative to this file.",
        ),
        key(
            "credential",
            Shape::Text,
            "Credential (LoadCredential=) that contains the address of the server. Default: pushflow-mongo-url.",
        ),
        key("database", Shape::Text, "Database. Default: bes."),
        key("collection", Shape::Text, "Collection. Default: bes."),
        key("request_id_from", Shape::Text, "Input that contains the request id of a run. Default: request_id."),
        key("initiator", Shape::Text, "Initiator of the runs. Default with besdb: the user."),
        key("host", Shape::Text, "Host of the runs. Default with besdb: the name of this host."),
        key("port", Shape::Integer { least: 0, most: 65535 }, "Port of the runs."),
    ]],
};

pub(in crate::config) static LINK: Section = Section {
    id: "link",
    title: "a link",
    doc: "A directed edge. It is followed on success, on error, or from a port of a router.",
    groups: &[&[
        required("from", Shape::Text, "The actor that it leaves. SUBMODEL.Out leaves a submodel."),
        required("to", Shape::Text, "The actor that it triggers. SUBMODEL.In enters a submodel."),
        key(
            "port",
            Shape::Port,
            "The port of a router: the value that selects this link, or other for all other values. Default: other.",
        ),
        key("on_error", Shape::Bool, "Whether it is followed on error instead of on success."),
    ]],
};

pub(in crate::config) static SUBMODEL: Section = Section {
    id: "submodel",
    title: "a submodel",
    doc: "A subgraph. Links around it use its ports In and Out as SUBMODEL.In and SUBMODEL.Out.",
    groups: &[&[
        key("file", Shape::Text, "Workflow file that contains the submodel, relative to this file."),
        key("actors", Shape::Actors, "Its actors, by name."),
        key("links", Shape::List(&LINK), "Its links."),
        key("submodels", Shape::Tables(&SUBMODEL), "Its own submodels, by name."),
        key("ports", Shape::Texts { empty: true }, "More ports than In and Out."),
        key(
            "on_error",
            Shape::Texts { empty: true },
            "The actors that its bubbling errors trigger, inside or around it.",
        ),
    ]],
};

pub(in crate::config) const KIND: &[Key] =
    &[key("kind", Shape::Word(KindWord::VARIANTS), "Kind of the actor. Default: python.")];

const FALLIBLE: &[Key] = &[key(
    "bubble_errors",
    Shape::Bool,
    "Whether its errors also trigger the on_error actors of the submodels and the workflow around it.",
)];

const TASK: &[Key] = &[
    key("timeout", TIMEOUT, "Maximum duration of a task."),
    key("retries", Shape::Integer { least: 0, most: MANY }, "Maximum number of retries of a failed task. Default: 0."),
    key("retry_delay", PAUSE, "Pause before the first retry. It doubles before each further retry. Default: 0."),
    key("pool", Shape::Text, "Pool of its tasks. Default: the default pool."),
    key("leave_children", Shape::Bool, "Whether processes that outlive its task may continue until the run ends."),
];

const EXEC: &[Key] = &[
    required(
        "command",
        Shape::Texts { empty: false },
        "Program and arguments. {key} is replaced by a value of the payload.",
    ),
    key("env", Shape::Environment, "Additional environment variables. Values may contain {key}."),
    key("cwd", Shape::Text, "Working directory, relative to this file. Default: the folder of this file."),
    key(
        "stdin",
        Shape::Word(StreamWord::VARIANTS),
        "json: the program reads the payload as one JSON object. Default: no input.",
    ),
    key(
        "stdout",
        Shape::Word(StreamWord::VARIANTS),
        "json: the program prints one JSON object, which is merged into the payload. Default: output goes to the log.",
    ),
    key("stdout_key", Shape::Text, "Payload key for the standard output as text."),
    key("returncode_key", Shape::Text, "Payload key for the exit code."),
    key("success_codes", Shape::Integers { least: 0, most: 255 }, "Exit codes that mean success. Default: [0]."),
];

/// The keys of an actor of this kind.
pub(in crate::config) fn actor_section(kind: KindWord) -> &'static Section {
    macro_rules! section {
        ($title:literal, $doc:literal, $($group:expr),*) => {{
            static SECTION: Section =
                Section { id: "", title: $title, doc: $doc, groups: &[KIND, $($group),*] };
            &SECTION
        }};
    }
    match kind {
        KindWord::Start => section!("a start actor", "Where the inputs enter the graph.",),
        KindWord::Stop => section!("a stop actor", "Where the output leaves the graph.",),
        KindWord::Python => {
            const SCRIPT: &[Key] =
                &[required("script", Shape::Text, "Script, relative to this file, or dotted module name.")];
            section!("a python actor", "Calls the function run of a Python module.", SCRIPT, FALLIBLE, TASK)
        }
        KindWord::Exec => section!("an exec actor", "Runs a program.", EXEC, FALLIBLE, TASK, LIMITS),
        KindWord::Fork => section!("a fork", "Passes the payload to all its links.",),
        KindWord::Join => {
            const ARRIVALS: &[Key] =
                &[key("arrivals", COUNT, "Number of payloads that it waits for. Default: one per incoming link.")];
            section!("a join", "Waits for several payloads and merges them.", ARRIVALS)
        }
        KindWord::Router => {
            const ITEM: &[Key] = &[required("item", Shape::Item, "Payload key whose value selects the port.")];
            section!("a router", "Selects links by a value of the payload.", ITEM, FALLIBLE)
        }
        KindWord::Status => {
            const STATUS: &[Key] = &[required("status", Shape::Text, "The status.")];
            section!("a status actor", "Sets the status of the run.", STATUS)
        }
        KindWord::ErrorHandler => section!("an error-handler", "Sets the status of the run to error.",),
    }
}
