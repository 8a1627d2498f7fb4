//! Every key of the workflow file, once: the reader takes its known keys and types from here, and so does the JSON
//! Schema, so the two cannot drift.

use super::words::{CONTEXTS, KINDS, KindWord, ON_CRASH, ON_TIMEOUT, POOL_TYPES, RECORD_TYPES, SERVICE_MODES, STREAMS};

/// A table of the file.
#[derive(Debug)]
pub(super) struct Section {
    /// Its name in the JSON Schema.
    pub id: &'static str,
    /// What messages call it.
    pub title: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys, in groups that several sections share.
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
pub(super) struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub doc: &'static str,
    pub required: bool,
}

/// What a key holds.
#[derive(Debug)]
pub(super) enum Shape {
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
    /// Names to strings.
    Environment,
    /// A payload's key.
    Item,
    Port,
    /// Names to any values.
    Values,
    Table(&'static Section),
    /// Names to tables.
    Tables(&'static Section),
    /// Names to actors; the section depends on `kind`.
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
pub(super) static FILE: Section = Section {
    id: "workflow-file",
    title: "a workflow file",
    doc: "A pushflow workflow: actors joined by links.",
    groups: &[&[
        key("workflow", Shape::Table(&WORKFLOW), "The workflow as a whole."),
        key("inputs", Shape::Values, "Default inputs; those given to a run win over them."),
        key("pool", Shape::Table(&POOL), "The default pool."),
        key("pools", Shape::Tables(&POOL), "Further pools, by name."),
        key("service", Shape::Table(&SERVICE), "How `pushflow serve` behaves."),
        key("history", Shape::Table(&HISTORY), "What is kept of runs."),
        key("record", Shape::Table(&RECORD), "Where runs are recorded beside the history: MongoDB."),
        key("actors", Shape::Actors, "The actors, by name. `start` and `stop` are there without being written."),
        key("links", Shape::List(&LINK), "The links between actors."),
        key("submodels", Shape::Tables(&SUBMODEL), "Graphs inside the graph, by name."),
    ]],
};

/// The defaults of a host: what lies beneath every workflow file.
pub(super) static DEFAULTS: Section = Section {
    id: "defaults-file",
    title: "a defaults file",
    doc: "What every workflow on this host has unless its file says otherwise.",
    groups: &[&[
        key("workflow", Shape::Table(&WORKFLOW_DEFAULTS), "Defaults of [workflow]."),
        key("pool", Shape::Table(&POOL), "Defaults of [pool]."),
        key("pools", Shape::Tables(&POOL), "Pools that every workflow may name."),
        key("service", Shape::Table(&SERVICE), "Defaults of [service]."),
        key("history", Shape::Table(&HISTORY), "Defaults of [history]."),
        key("record", Shape::Table(&RECORD), "Defaults of [record]."),
    ]],
};

const SETTINGS: &[Key] = &[
    key(
        "python",
        Shape::Text,
        "An interpreter, or the folder of a virtual or conda environment; `~` is a home folder. Default: python3.",
    ),
    key("paths", Shape::Texts { empty: true }, "Folders put on sys.path, relative to this file; `~` is a home folder."),
    key("timeout", TIMEOUT, "How long a run may take."),
    key("on_timeout", Shape::Word(ON_TIMEOUT), "What happens then to running tasks. Default: interrupt."),
    key("gevent", Shape::Bool, "Whether the workflow is meant for gevent: the default pool is of that type then."),
];

pub(super) static WORKFLOW: Section = Section {
    id: "workflow",
    title: "[workflow]",
    doc: "The workflow as a whole.",
    groups: &[
        &[
            key("name", Shape::Text, "The workflow's name. Default: the file's name without its ending."),
            key("description", Shape::Text, "One line for people."),
            key("on_error", Shape::Texts { empty: true }, "The actors that errors bubble to."),
        ],
        SETTINGS,
    ],
};

pub(super) static WORKFLOW_DEFAULTS: Section = Section {
    id: "workflow-defaults",
    title: "[workflow] of a defaults file",
    doc: "What workflows have unless their file says otherwise.",
    groups: &[SETTINGS],
};

/// Limits of a cgroup leaf.
pub(super) const LIMITS: &[Key] = &[
    key("memory_max", Shape::Size, "memory.max: above it the kernel kills."),
    key("memory_high", Shape::Size, "memory.high: above it the kernel slows down."),
    key("cpu_max", Shape::Cpus, "cpu.max: CPUs as a number (1.5) or in percent (\"150%\")."),
    key("cpu_weight", WEIGHT, "cpu.weight."),
    key("pids_max", Shape::Integer { least: 1, most: i64::MAX }, "pids.max: processes and threads."),
    key("io_weight", WEIGHT, "io.weight."),
];

/// `[pool]` and `[pools.NAME]`.
pub(super) static POOL: Section = Section {
    id: "pool",
    title: "a pool",
    doc: "Where tasks run.",
    groups: &[
        &[
            key("type", Shape::Word(POOL_TYPES), "What the workers are. Default: process."),
            key("gevent", Shape::Bool, "Whether the workers are monkey-patched by gevent."),
            key(
                "context",
                Shape::Word(CONTEXTS),
                "Forked by a server (forkserver, the default), the same with all task modules imported (fork), or fresh (spawn).",
            ),
            key("max_workers", Shape::Workers, "How many workers; -1: one per python actor. Default: as work needs."),
            key("scaling_cap", COUNT, "The most workers without max_workers. Default: 4 per CPU, at least 16."),
            key("max_tasks_per_worker", COUNT, "After how many tasks a worker is replaced."),
            key("idle_timeout", PAUSE, "When an idle worker goes away, without max_workers. Default: 10s."),
            key("grace", PAUSE, "How long an interrupted task has before SIGTERM, then before SIGKILL. Default: 5s."),
            key("start_timeout", PAUSE, "How long a worker may take to become ready. Default: no limit."),
            key("preload", Shape::Bool, "Whether task modules are imported before workers are forked. Default: true."),
            key(
                "launcher",
                Shape::Texts { empty: true },
                "A command put in front of each worker, which is a fresh interpreter then.",
            ),
            key("python", Shape::Text, "The interpreter of this pool, where it is not the workflow's."),
        ],
        LIMITS,
    ],
};

pub(super) static SERVICE: Section = Section {
    id: "service",
    title: "[service]",
    doc: "How `pushflow serve` behaves.",
    groups: &[&[
        key("mode", Shape::Word(SERVICE_MODES), "run: one run, then exit. resident: wait for Run calls. Default: run."),
        key("max_concurrent_runs", COUNT, "How many runs go on at once. Default: 1."),
        key("max_queued_runs", Shape::Integer { least: 0, most: MANY }, "How many runs may wait. Default: 1000."),
        key("stop_timeout", PAUSE, "How long a stop waits for non-daemonic children. Default: 90s."),
        key("on_crash", Shape::Word(ON_CRASH), "What becomes of a run that a crash cut off. Default: interrupt."),
    ]],
};

pub(super) static HISTORY: Section = Section {
    id: "history",
    title: "[history]",
    doc: "What is kept of runs: by services always, by `pushflow run` with --history.",
    groups: &[&[
        key(
            "enabled",
            Shape::Bool,
            "Whether a service writes a history, and keeps its queue over a crash. Default: true.",
        ),
        key("keep", TIMEOUT, "How long runs that are over are kept. Default: 90d."),
        key("max_size", Shape::Size, "How large the history may become; then the oldest go. Default: 2G."),
    ]],
};

/// `[record]`. The address of the server is no key: it holds a password, and this file can be read by everyone.
pub(super) static RECORD: Section = Section {
    id: "record",
    title: "[record]",
    doc: "Runs are recorded in MongoDB as pypushflow records them, by pushflow-mx.",
    groups: &[&[
        key(
            "type",
            Shape::Word(RECORD_TYPES),
            "besdb: pypushflow's documents with a request id. mongodb: its plain ones. none: nothing is recorded.",
        ),
        key("url_file", Shape::Text, "The file whose only line is the server's address, relative to this file."),
        key(
            "credential",
            Shape::Text,
            "The credential (LoadCredential=) that holds the server's address. Default: pushflow-mongo-url.",
        ),
        key("database", Shape::Text, "The database. Default: bes."),
        key("collection", Shape::Text, "The collection. Default: bes."),
        key("request_id_from", Shape::Text, "The input of a run that holds its request id. Default: request_id."),
        key("initiator", Shape::Text, "Who the runs come from. Default with besdb: the user."),
        key("host", Shape::Text, "Where the runs come from. Default with besdb: this host's name."),
        key("port", Shape::Integer { least: 0, most: 65535 }, "The port that the runs come from."),
    ]],
};

pub(super) static LINK: Section = Section {
    id: "link",
    title: "a link",
    doc: "A directed edge. It fires on success, on error, or on a router's port.",
    groups: &[&[
        required("from", Shape::Text, "The actor it leaves; SUBMODEL.Out leaves a submodel."),
        required("to", Shape::Text, "The actor it triggers; SUBMODEL.In enters a submodel."),
        key("port", Shape::Port, "The router's port: the value that opens it. Default: other."),
        key("on_error", Shape::Bool, "Whether it fires on error instead."),
    ]],
};

pub(super) static SUBMODEL: Section = Section {
    id: "submodel",
    title: "a submodel",
    doc: "A graph inside a graph. Its ports In and Out are SUBMODEL.In and SUBMODEL.Out outside.",
    groups: &[&[
        key("file", Shape::Text, "Another workflow file that is this submodel, relative to this file."),
        key("actors", Shape::Actors, "Its actors, by name."),
        key("links", Shape::List(&LINK), "Its links."),
        key("submodels", Shape::Tables(&SUBMODEL), "Graphs inside it, by name."),
        key("ports", Shape::Texts { empty: true }, "Ports beside In and Out."),
        key("on_error", Shape::Texts { empty: true }, "The actors that its errors bubble to: inside it, or around it."),
    ]],
};

pub(super) const KIND: &[Key] = &[key("kind", Shape::Word(KINDS), "What the actor is. Default: python.")];

const FALLIBLE: &[Key] =
    &[key("bubble_errors", Shape::Bool, "Whether its errors also go to the on_error actors around it.")];

const TASK: &[Key] = &[
    key("timeout", TIMEOUT, "How long one task may run."),
    key("retries", Shape::Integer { least: 0, most: MANY }, "How often a failed task is tried again."),
    key("retry_delay", PAUSE, "The pause before the first retry; doubled before each further one."),
    key("pool", Shape::Text, "The pool its tasks run in."),
    key("leave_children", Shape::Bool, "Whether processes that outlive its task are left alone until the run is over."),
];

const EXEC: &[Key] = &[
    required("command", Shape::Texts { empty: false }, "The program and its arguments; {key}: a value of the payload."),
    key("env", Shape::Environment, "Added to the environment; values may hold {key}."),
    key("cwd", Shape::Text, "The working directory, relative to this file. Default: this file's folder."),
    key("stdin", Shape::Word(STREAMS), "json: the program reads the payload as one JSON object."),
    key("stdout", Shape::Word(STREAMS), "json: the program prints one JSON object, merged into the payload."),
    key("stdout_key", Shape::Text, "The key that standard output goes under, as text."),
    key("returncode_key", Shape::Text, "The key that the exit code goes under."),
    key("success_codes", Shape::Integers { least: 0, most: 255 }, "The exit codes that are no error. Default: [0]."),
];

/// The keys of an actor of this kind.
pub(super) fn actor_section(kind: KindWord) -> &'static Section {
    macro_rules! section {
        ($title:literal, $doc:literal, $($group:expr),*) => {{
            static SECTION: Section =
                Section { id: "", title: $title, doc: $doc, groups: &[KIND, $($group),*] };
            &SECTION
        }};
    }
    match kind {
        KindWord::Start => section!("a start actor", "Where the inputs enter.",),
        KindWord::Stop => section!("a stop actor", "Takes the output.",),
        KindWord::Python => {
            const SCRIPT: &[Key] =
                &[required("script", Shape::Text, "The script, relative to this file, or a dotted module.")];
            section!("a python actor", "Calls the function run of a Python module.", SCRIPT, FALLIBLE, TASK)
        }
        KindWord::Exec => section!("an exec actor", "Starts a program.", EXEC, FALLIBLE, TASK, LIMITS),
        KindWord::Fork => section!("a fork", "Passes the payload to every link.",),
        KindWord::Join => {
            const ARRIVALS: &[Key] =
                &[key("arrivals", COUNT, "How many payloads it waits for. Default: one per incoming link.")];
            section!("a join", "Waits for its payloads and merges them.", ARRIVALS)
        }
        KindWord::Router => {
            const ITEM: &[Key] = &[required("item", Shape::Item, "The payload's key whose value decides.")];
            section!("a router", "Chooses the links by a value of the payload.", ITEM, FALLIBLE)
        }
        KindWord::Status => {
            const STATUS: &[Key] = &[required("status", Shape::Text, "The word.")];
            section!("a status actor", "Sets the run's status to a word.", STATUS)
        }
        KindWord::ErrorHandler => section!("an error-handler", "Sets the run's status to error.",),
    }
}
