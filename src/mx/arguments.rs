//! The command line of pushflow-mx.

use std::path::PathBuf;

use clap::{ArgGroup, Parser, ValueEnum};
use pushflow::graph::{Record, RecordType, RecordUrl};

use crate::document::Asked;
use crate::follow::Way;

/// Copies runs from a pushflow history to MongoDB, as pypushflow writes them
#[derive(Debug, Parser)]
#[command(
    name = "pushflow-mx",
    version,
    group(ArgGroup::new("address").args(["url_file", "credential", "url_variable"])),
    after_help = "\
Services and `pushflow run` start it themselves where a workflow file has a [record] section, or
where PYPUSHFLOW_MONGOURL is set. By hand it records what a server that was away has missed:

  pushflow-mx --history /var/lib/pushflow/NAME/history.sqlite --type besdb \\
              --url-file /etc/pushflow/mongo-url --once

The server's address (mongodb://user:password@host/) is read from a file, a credential or the environment,
never from the command line, which everyone can see. It stores its progress in recorded.json beside
the history. PYPUSHFLOW_INITIATOR, _HOST, _PORT and _OBJECTID mean what they mean to pypushflow.

Exit status: 0 everything is recorded · 1 the history cannot be followed · 2 wrong usage ·
75 not everything is recorded yet"
)]
pub struct Arguments {
    /// The history to copy
    #[arg(long, value_name = "FILE")]
    history: PathBuf,

    /// What documents look like: besdb (with request id, initiator, host and port) or mongodb
    #[arg(long = "type", value_name = "TYPE", default_value = "besdb")]
    kind: Kind,

    /// A file with the server's address as its only line
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,

    /// The credential below $CREDENTIALS_DIRECTORY that contains it [default: pushflow-mongo-url]
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,

    /// The environment variable that contains it
    #[arg(long, value_name = "NAME")]
    url_variable: Option<String>,

    /// The database
    #[arg(long, value_name = "NAME", default_value = Record::DEFAULT_NAME)]
    database: String,

    /// The collection
    #[arg(long, value_name = "NAME", default_value = Record::DEFAULT_NAME)]
    collection: String,

    /// The input of a run that contains its request id
    #[arg(long, value_name = "KEY", default_value = "request_id")]
    request_id_from: String,

    /// The request id of runs that have none
    #[arg(long, value_name = "ID", env = "PYPUSHFLOW_OBJECTID", hide_env_values = true)]
    request_id: Option<String>,

    /// The initiator of the runs [default with besdb: the user]
    #[arg(long, value_name = "NAME", env = "PYPUSHFLOW_INITIATOR", hide_env_values = true)]
    initiator: Option<String>,

    /// Their host [default with besdb: this host]
    #[arg(long, value_name = "NAME", env = "PYPUSHFLOW_HOST", hide_env_values = true)]
    host: Option<String>,

    /// Their port
    #[arg(long, value_name = "PORT", env = "PYPUSHFLOW_PORT", hide_env_values = true)]
    port: Option<String>,

    /// Exit when everything is recorded
    #[arg(long)]
    pub once: bool,

    /// Exit when standard input is closed, which the parent holds open
    #[arg(long, hide = true)]
    pub with_parent: bool,
}

/// The types, as the command line spells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Besdb,
    Mongodb,
}

impl Arguments {
    /// Where runs are copied from and to.
    pub fn way(&self) -> Way {
        let url = match (&self.url_file, &self.url_variable, &self.credential) {
            (Some(path), _, _) => RecordUrl::File(path.clone()),
            (None, Some(variable), _) => RecordUrl::Environment(variable.clone()),
            (None, None, name) => RecordUrl::Credential(name.clone().unwrap_or_else(|| Record::CREDENTIAL.to_owned())),
        };
        Way { history: self.history.clone(), url, database: self.database.clone(), collection: self.collection.clone() }
    }

    /// The database and collection, for the bookmark. The server is not part of it: it may move.
    pub fn place(&self) -> String {
        format!("{}.{}", self.database, self.collection)
    }

    /// What is recorded of runs besides the history.
    pub fn asked(&self) -> Asked {
        let kind = match self.kind {
            Kind::Besdb => RecordType::BesDb,
            Kind::Mongodb => RecordType::MongoDb,
        };
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let besdb = kind == RecordType::BesDb;
        Asked {
            kind,
            request_id_from: self.request_id_from.clone(),
            request_id: given(&self.request_id),
            initiator: given(&self.initiator).or_else(|| besdb.then(user)),
            host: given(&self.host).or_else(|| besdb.then(this_host)),
            port: given(&self.port),
        }
    }
}

/// The user's name, found as Python's `getpass.getuser` finds it.
fn user() -> String {
    let named = ["LOGNAME", "USER", "LNAME", "USERNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let uid = nix::unistd::getuid();
    named
        .filter(|name| !name.is_empty())
        .chain(nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name))
        .next()
        .unwrap_or_else(|| uid.to_string())
}

fn this_host() -> String {
    nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}
