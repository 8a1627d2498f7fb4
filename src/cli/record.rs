//! Recording in MongoDB: settings from the workflow file, or from pypushflow's environment variables.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::graph::{Record, RecordUrl, Recording, Workflow};
use crate::supervisor::RecorderCommand;

/// The program that records runs. It has a package of its own.
const PROGRAM: &str = "pushflow-mx";

/// Applies pypushflow's environment variables if the file does not set them: runs are recorded as with pypushflow.
pub(super) fn apply_environment(workflow: &mut Workflow) {
    let address_in_environment = std::env::var_os(Record::URL_VARIABLE).is_some_and(|address| !address.is_empty());
    match &mut workflow.record {
        Recording::Unset if address_in_environment => {
            workflow.record = Recording::In(Record::from_environment());
        }
        Recording::In(record) if record.url == RecordUrl::Credential(Record::CREDENTIAL.to_owned()) => {
            let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
            let there = credentials.is_some_and(|folder| folder.join(Record::CREDENTIAL).exists());
            if !there && address_in_environment {
                record.url = RecordUrl::Environment(Record::URL_VARIABLE.to_owned());
            }
        }
        _ => {}
    }
}

/// The command that records the runs of a history.
pub(super) fn command(record: &Record, history: &Path) -> RecorderCommand {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut say = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
        let mut argument = OsString::from(format!("--{name}="));
        argument.push(value.as_ref());
        arguments.push(argument);
    };
    say("history", &history);
    say("type", &record.kind.word());
    match &record.url {
        RecordUrl::File(path) => say("url-file", path),
        RecordUrl::Credential(name) => say("credential", name),
        RecordUrl::Environment(variable) => say("url-variable", variable),
    }
    say("database", &record.database);
    say("collection", &record.collection);
    say("request-id-from", &record.request_id_from);
    if let Some(initiator) = &record.initiator {
        say("initiator", initiator);
    }
    if let Some(host) = &record.host {
        say("host", host);
    }
    if let Some(port) = record.port {
        say("port", &port.to_string());
    }
    arguments.push("--with-parent".into());
    RecorderCommand { program: program(), arguments }
}

/// The program beside this one, if both are installed or built together, or else in PATH.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|this| this.with_file_name(PROGRAM));
    beside.filter(|path| path.exists()).unwrap_or_else(|| PROGRAM.into())
}
