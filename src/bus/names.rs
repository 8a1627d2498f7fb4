//! The names of the API: bus names, object paths, interfaces.

use crate::graph::{ActorId, Workflow};
use crate::supervisor::RunId;
use crate::systemd::escape::{bus_label, name_of_label};

/// The prefix of the bus names of services.
pub const PREFIX: &str = "org.pushflow.Workflow1.";
/// The name that every service queues for. The bus policy (packaging/dbus/org.pushflow.conf) applies to those in the queue.
pub const SHARED: &str = "org.pushflow.Workflow1";
/// The object that every service has.
pub const ROOT: &str = "/org/pushflow/workflow";
/// Its interface.
pub const WORKFLOW: &str = "org.pushflow.Workflow1";
/// The interface of a run.
pub const RUN: &str = "org.pushflow.Run1";
/// The interface of an actor.
pub const ACTOR: &str = "org.pushflow.Actor1";

/// The interface of a process.
pub const PROCESS: &str = "org.pushflow.Process1";

/// The bus name of the service of this name.
pub fn service(name: &str) -> String {
    format!("{PREFIX}{}", bus_label(name))
}

/// The name of the service with this bus name.
pub fn name_of_service(bus_name: &str) -> Option<String> {
    name_of_label(bus_name.strip_prefix(PREFIX)?)
}

/// The object of a run.
pub fn run(id: RunId) -> String {
    format!("{ROOT}/run/{id}")
}

/// The object of a process.
pub fn process(pid: i32) -> String {
    format!("{ROOT}/process/{pid}")
}

/// The object of an actor.
pub fn actor(workflow: &Workflow, id: ActorId) -> String {
    format!("{ROOT}/actor/{}", bus_label(workflow.actor(id).display_name()))
}
