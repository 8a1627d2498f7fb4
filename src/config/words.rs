//! The words that a key can have, and what each means.

use crate::graph::{Context, OnCrash, OnTimeout, PoolType, RecordType, ServiceMode};

/// A value that is written as one of a few words.
pub(super) trait Word: Sized {
    fn of(word: &str) -> Option<Self>;
}

macro_rules! words {
    ($(#[$doc:meta])* $list:ident: $type:ty { $($word:literal => $value:expr,)* }) => {
        $(#[$doc])*
        pub(super) const $list: &[&str] = &[$($word),*];

        impl Word for $type {
            fn of(word: &str) -> Option<Self> {
                match word {
                    $($word => Some($value),)*
                    _ => None,
                }
            }
        }
    };
}

/// An actor's kind as the file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KindWord {
    Start,
    Stop,
    Python,
    Exec,
    Fork,
    Join,
    Router,
    Status,
    ErrorHandler,
}

/// What an exec actor's stdin or stdout may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Json;

words! {
    /// `kind` of an actor.
    KINDS: KindWord {
        "python" => KindWord::Python,
        "exec" => KindWord::Exec,
        "fork" => KindWord::Fork,
        "join" => KindWord::Join,
        "router" => KindWord::Router,
        "status" => KindWord::Status,
        "error-handler" => KindWord::ErrorHandler,
        "start" => KindWord::Start,
        "stop" => KindWord::Stop,
    }
}

words! {
    /// `type` of a pool.
    POOL_TYPES: PoolType {
        "process" => PoolType::Process,
        "ndprocess" => PoolType::Ndprocess,
        "multiprocessing" => PoolType::Multiprocessing,
        "ndmultiprocessing" => PoolType::Ndmultiprocessing,
        "billiard" => PoolType::Billiard,
        "thread" => PoolType::Thread,
        "gevent" => PoolType::Gevent,
    }
}

words! {
    /// `context` of a pool.
    CONTEXTS: Context {
        "forkserver" => Context::Forkserver,
        "fork" => Context::Fork,
        "spawn" => Context::Spawn,
    }
}

words! {
    /// `on_timeout` of a workflow.
    ON_TIMEOUT: OnTimeout {
        "interrupt" => OnTimeout::Interrupt,
        "wait" => OnTimeout::Wait,
    }
}

words! {
    /// `mode` of a service.
    SERVICE_MODES: ServiceMode {
        "run" => ServiceMode::Run,
        "resident" => ServiceMode::Resident,
    }
}

words! {
    /// `on_crash` of a service.
    ON_CRASH: OnCrash {
        "interrupt" => OnCrash::Interrupt,
        "rerun" => OnCrash::Rerun,
        "resume" => OnCrash::Resume,
    }
}

words! {
    /// `type` of a record; "none" takes away what a host's defaults say.
    RECORD_TYPES: Option<RecordType> {
        "besdb" => Some(RecordType::BesDb),
        "mongodb" => Some(RecordType::MongoDb),
        "none" => None,
    }
}

words! {
    /// `stdin` and `stdout` of an exec actor.
    STREAMS: Json {
        "json" => Json,
    }
}
