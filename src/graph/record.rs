//! The `[record]` section: where runs are recorded beside the history.

use std::path::PathBuf;

/// Whether runs are recorded beside the history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Recording {
    /// The file says nothing of it: where pypushflow's environment variables do, they count.
    #[default]
    NotSaid,
    /// The file says that they are not.
    Never,
    /// They are.
    In(Record),
}

impl Recording {
    /// Where, if anywhere.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Recording::In(record) => Some(record),
            Recording::NotSaid | Recording::Never => None,
        }
    }
}

/// Where the runs of a workflow are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What is recorded there.
    pub kind: RecordType,
    /// The database.
    pub database: String,
    /// The collection in it.
    pub collection: String,
    /// Where the address of the server is; it holds a password, so it is not said here.
    pub url: RecordUrl,
    /// The input of a run that holds its request id.
    pub request_id_from: String,
    /// Who the runs come from; the user where absent.
    pub initiator: Option<String>,
    /// The host that the runs come from; this one where absent.
    pub host: Option<String>,
    /// The port that the runs come from.
    pub port: Option<u16>,
}

/// What documents look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordType {
    /// As pypushflow's `besdb` writes them: found by the request id, with initiator, host and port.
    BesDb,
    /// As pypushflow's `pymongo` writes them.
    MongoDb,
}

impl RecordType {
    /// The word for it in the file.
    pub fn word(self) -> &'static str {
        match self {
            RecordType::BesDb => "besdb",
            RecordType::MongoDb => "mongodb",
        }
    }
}

/// Where the address of the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordUrl {
    /// In the credential of this name, which systemd puts into `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// In this file, absolute.
    File(PathBuf),
    /// In the environment variable of this name.
    Environment(String),
}

impl Record {
    /// The credential that is looked for where nothing else is said.
    pub const CREDENTIAL: &'static str = "pushflow-mongo-url";
    /// pypushflow's environment variable for the address.
    pub const URL_VARIABLE: &'static str = "PYPUSHFLOW_MONGOURL";
    /// The database and the collection where nothing else is said, as in pypushflow's `besdb`.
    pub const PLACE: &'static str = "bes";

    /// What pypushflow does where its environment variables are all there is: `besdb`.
    pub fn from_environment() -> Self {
        Record {
            kind: RecordType::BesDb,
            database: Self::PLACE.to_owned(),
            collection: Self::PLACE.to_owned(),
            url: RecordUrl::Environment(Self::URL_VARIABLE.to_owned()),
            request_id_from: "request_id".to_owned(),
            initiator: None,
            host: None,
            port: None,
        }
    }
}
