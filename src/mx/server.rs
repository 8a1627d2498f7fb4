//! The MongoDB server: writing one document, and what its answers mean.

use std::cell::Cell;
use std::time::Duration;

use mongodb::bson::{DateTime, Document, doc, oid::ObjectId};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::{Client, Collection};

use crate::address::{self, Address, AddressError};

/// How long one write may take before the server counts as away.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a server is searched for, as in pypushflow.
const SEARCH: Duration = Duration::from_secs(10);

/// E11000: there is another document with this `_id`.
const DUPLICATE: i32 = 11000;
/// Codes for a document that is too large, and for one that MongoDB does not accept.
const TOO_LARGE: [i32; 2] = [10334, 17419];
const NOT_A_DOCUMENT: [i32; 3] = [15, 22, 17280];

/// Why a write has failed.
#[derive(Debug)]
pub enum Trouble {
    /// The server cannot be reached, is too slow, or refuses all writes. It is tried again later.
    Away(String),
    /// There is another document with this `_id`.
    Taken,
    /// The document would be too large.
    TooLarge,
    /// The server never accepts this document.
    Refused(String),
}

/// A collection on a server.
#[derive(Debug)]
pub struct Server {
    collection: Collection<Document>,
    /// It has answered.
    answered: Cell<bool>,
    /// The servers, for messages.
    pub hosts: String,
}

impl Server {
    /// The server at an address. It is contacted with the first write.
    pub async fn at(address: &Address, database: &str, collection: &str) -> Result<Self, AddressError> {
        let mut options = address.options().await?;
        options.server_selection_timeout.get_or_insert(SEARCH);
        options.app_name.get_or_insert_with(|| "pushflow-mx".to_owned());
        let hosts = address::hosts(&options);
        let client = Client::with_options(options).map_err(|error| address.wrong(&error))?;
        let collection = client.database(database).collection(collection);
        Ok(Server { collection, answered: Cell::new(false), hosts })
    }

    /// Whether it has answered.
    pub fn has_answered(&self) -> bool {
        self.answered.get()
    }

    /// Writes a new document.
    pub async fn insert(&self, document: &Document) -> Result<(), Trouble> {
        self.within(async { self.collection.insert_one(document).await }).await.map(|_| ())
    }

    /// Sets fields of the document that began at this time. Unless they are the `last` ones, only if the document has not got the
    /// last ones. Whether there was such a document.
    pub async fn set(&self, id: ObjectId, start: i64, last: bool, fields: Document) -> Result<bool, Trouble> {
        let mut which = doc! { "_id": id, "startTime": DateTime::from_millis(start) };
        if !last {
            which.insert("stopTime", doc! { "$exists": false });
        }
        let change = doc! { "$set": fields };
        self.within(async { self.collection.update_one(which, change).await }).await.map(|done| done.matched_count > 0)
    }

    async fn within<T>(&self, write: impl Future<Output = mongodb::error::Result<T>>) -> Result<T, Trouble> {
        match tokio::time::timeout(PATIENCE, write).await {
            Ok(Ok(done)) => {
                self.answered.set(true);
                Ok(done)
            }
            Ok(Err(error)) => Err(trouble(&error)),
            Err(_) => Err(Trouble::Away(format!("it has not answered within {} seconds", PATIENCE.as_secs()))),
        }
    }

    /// When the document with this `_id` began, if there is one.
    pub async fn start_of(&self, id: ObjectId) -> Result<Option<i64>, Trouble> {
        let found = self
            .within(async { self.collection.find_one(doc! { "_id": id }).projection(doc! { "startTime": 1 }).await });
        let found = found.await?;
        Ok(found.and_then(|found| found.get_datetime("startTime").ok().map(|time| time.timestamp_millis())))
    }
}

fn trouble(error: &Error) -> Trouble {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => coded(error.code, &error.message)
            .unwrap_or_else(|| Trouble::Refused(format!("{} (code {})", error.message, error.code))),
        ErrorKind::Command(error) => {
            coded(error.code, &error.message).unwrap_or_else(|| Trouble::Away(format!("it says: {}", error.message)))
        }
        ErrorKind::Bson(_) | ErrorKind::InvalidArgument { .. } => Trouble::Refused(error.to_string()),
        ErrorKind::Authentication { message, .. } => Trouble::Away(message.clone()),
        ErrorKind::ServerSelection { message, .. } => Trouble::Away(not_found(message)),
        _ => Trouble::Away(first_line(&error.to_string())),
    }
}

fn coded(code: i32, message: &str) -> Option<Trouble> {
    match code {
        DUPLICATE => Some(Trouble::Taken),
        code if TOO_LARGE.contains(&code) => Some(Trouble::TooLarge),
        code if NOT_A_DOCUMENT.contains(&code) => Some(Trouble::Refused(message.to_owned())),
        _ => None,
    }
}

/// The first of the reasons that the driver gives for not finding a server. There is none if servers accept connections and do
/// not answer.
fn not_found(message: &str) -> String {
    match message.split_once("Error: ") {
        Some((_, rest)) => first_line(rest.split(", labels: ").next().unwrap_or(rest).trim_start_matches("Kind: ")),
        None => "it has not answered".to_owned(),
    }
}

/// The first line, cut: the driver's messages can be pages long.
fn first_line(text: &str) -> String {
    pushflow::text::cut(text.lines().next().unwrap_or_default(), 300).into_owned()
}
