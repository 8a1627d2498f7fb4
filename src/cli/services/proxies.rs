//! The D-Bus interfaces that the verbs call, and what they return.

use std::collections::{BTreeMap, HashMap};

use zbus::names::BusName;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, Variant, fdo};

/// The properties of one object, by name.
pub(super) type Properties = BTreeMap<String, OwnedVariant>;

/// A service.
#[zbus::proxy(interface = "org.pushflow.Workflow1", default_path = "/org/pushflow/workflow", assume_defaults = false)]
pub(super) trait Workflow {
    fn run_json(&self, inputs: &str, options: HashMap<&str, Variant<'_>>) -> zbus::Result<OwnedObjectPath>;
    fn drain(&self) -> zbus::Result<()>;
    fn abort(&self, reason: &str) -> zbus::Result<()>;
    fn list_processes(&self) -> zbus::Result<Vec<Properties>>;
}

/// A run.
#[zbus::proxy(interface = "org.pushflow.Run1", assume_defaults = false)]
pub(super) trait Run {
    fn stop(&self, reason: &str) -> zbus::Result<()>;
    fn abort(&self, reason: &str) -> zbus::Result<()>;
}

/// A unit as `ListUnitsByPatterns` returns it: first its name, and seventh its object.
pub(super) type ListedUnit =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// systemd.
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(super) trait Systemd {
    fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<ListedUnit>>;
}

/// A unit of systemd that is a service.
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Service",
    default_service = "org.freedesktop.systemd1",
    assume_defaults = false
)]
pub(super) trait UnitService {
    /// The exit status or the number of the signal.
    #[zbus(property)]
    fn exec_main_status(&self) -> zbus::Result<i32>;
    /// When the main process ended, microseconds since the epoch; 0 if it has not.
    #[zbus(property)]
    fn exec_main_exit_timestamp(&self) -> zbus::Result<u64>;
    #[zbus(property)]
    fn result(&self) -> zbus::Result<String>;
}

/// Whether somebody has a name on the bus. Calling a name that nobody has can start a service.
pub(super) async fn has_owner(connection: &Connection, name: &str) -> zbus::Result<bool> {
    Ok(fdo::DBusProxy::new(connection).await?.name_has_owner(BusName::try_from(name)?).await?)
}
