//! The `[record]` section: where runs are recorded beside the history.

use std::path::PathBuf;

/// Whether runs are recorded beside the history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Recording {
    /// Not set in the file. pypushflow's environment variables apply.
    #[default]
    Unset,
    /// Switched off in the file.
    Never,
    /// Recorded there.
    In(Record),
}

impl Recording {
    /// Where runs are recorded, if they are.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Recording::In(record) => Some(record),
            Recording::Unset | Recording::Never => None,
        }
    }
}

/// Where the runs of a workflow are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The form of the documents.
    pub kind: RecordType,
    /// The database.
    pub database: String,
    /// The collection in the database.
    pub collection: String,
    /// Where the address of the server is found. The address contains a password, so it is not part of the file.
    pub url: RecordUrl,
    /// The name of the input that contains the request id of a run.
    pub request_id_from: String,
    /// Recorded as the initiator. `None` means the user.
    pub initiator: Option<String>,
    /// Recorded as the host. `None` means this host.
    pub host: Option<String>,
    /// Recorded as the port.
    pub port: Option<u16>,
}

/// The form of the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum RecordType {
    /// That of pypushflow's `besdb`: found by the request id, with initiator, host and port.
    BesDb,
    /// That of pypushflow's `pymongo`.
    MongoDb,
}

impl RecordType {
    /// The name in workflow files.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// Where the address of the server is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordUrl {
    /// In the credential with this name, which systemd puts into `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// In this file, an absolute path.
    File(PathBuf),
    /// In the environment variable with this name.
    Environment(String),
}

impl Record {
    /// The default credential.
    pub const CREDENTIAL: &'static str = "pushflow-mongo-url";
    /// pypushflow's environment variable for the address.
    pub const URL_VARIABLE: &'static str = "PYPUSHFLOW_MONGOURL";
    /// The default database and collection, as in pypushflow's `besdb`.
    pub const DEFAULT_NAME: &'static str = "bes";

    /// The settings if only pypushflow's environment variables are set: `besdb`.
    pub fn from_environment() -> Self {
        Record {
            kind: RecordType::BesDb,
            database: Self::DEFAULT_NAME.to_owned(),
            collection: Self::DEFAULT_NAME.to_owned(),
            url: RecordUrl::Environment(Self::URL_VARIABLE.to_owned()),
            request_id_from: "request_id".to_owned(),
            initiator: None,
            host: None,
            port: None,
        }
    }
}
