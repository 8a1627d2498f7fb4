//! Words that only the workflow file has. The words of other keys belong to the types in `graph`.

/// `kind` of an actor.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames, strum::VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub(in crate::config) enum KindWord {
    Python,
    Exec,
    Fork,
    Join,
    Router,
    Status,
    ErrorHandler,
    Start,
    Stop,
}

impl KindWord {
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// `type` of a record. `none` overrides the defaults of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub(in crate::config) enum RecordWord {
    BesDb,
    MongoDb,
    None,
}

/// `stdin` and `stdout` of an exec actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub(in crate::config) enum StreamWord {
    Json,
}
