//! Services that have failed, as systemd knows them: why and when.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedObjectPath};

use super::proxies::{SystemdProxy, UnitServiceProxy, has_owner};
use crate::history::now;
use crate::systemd::escape::name_of_instance;

/// A service that has failed.
#[derive(Debug, Clone)]
pub(super) struct FailedUnit {
    /// `exit status 2`.
    pub(super) why: String,
    /// Microseconds since the epoch.
    pub(super) at: Option<u64>,
}

impl FailedUnit {
    /// `failed (exit status 2, 5 min ago)`.
    pub(super) fn text(&self) -> String {
        let ago = self.at.map(|at| format!(", {} ago", length(Duration::from_micros(now().saturating_sub(at)))));
        format!("failed ({}{})", self.why, ago.unwrap_or_default())
    }
}

/// The services on this bus that have failed, by name. None if systemd does not answer: it may not be there.
pub(super) async fn failed(connection: &Connection) -> BTreeMap<String, FailedUnit> {
    let mut found = BTreeMap::new();
    for (unit, object) in failed_units(connection).await.unwrap_or_default() {
        let Some(name) = name_of(&unit) else { continue };
        // A unit that was started meanwhile has not failed.
        let Ok(failed) = describe(connection, object).await else { continue };
        found.insert(name, failed);
    }
    found
}

async fn failed_units(connection: &Connection) -> zbus::Result<Vec<(String, OwnedObjectPath)>> {
    if !has_owner(connection, "org.freedesktop.systemd1").await? {
        return Ok(Vec::new());
    }
    let systemd = SystemdProxy::new(connection).await?;
    let units = systemd.list_units_by_patterns(&["failed"], &["pushflow@*.service"]).await?;
    Ok(units.into_iter().map(|unit| (unit.0, unit.6)).collect())
}

async fn describe(connection: &Connection, object: OwnedObjectPath) -> zbus::Result<FailedUnit> {
    let service = UnitServiceProxy::builder(connection).path(object);
    let service = service.cache_properties(CacheProperties::No).build().await?;
    let (result, status) = (service.result().await?, service.exec_main_status().await?);
    let at = service.exec_main_exit_timestamp().await?;
    Ok(FailedUnit { why: why(&result, status), at: (at > 0).then_some(at) })
}

/// Why a service has failed: its `Result` (systemd.exec(5), `$SERVICE_RESULT`) in words.
fn why(result: &str, status: i32) -> String {
    match result {
        "exit-code" => format!("exit status {status}"),
        "signal" | "core-dump" => match Signal::try_from(status) {
            Ok(signal) => format!("killed by {}", signal.as_str()),
            Err(_) => format!("killed by signal {status}"),
        },
        "watchdog" => "it hung, and the watchdog ended it".to_owned(),
        "timeout" => "it took too long to start or to stop".to_owned(),
        "start-limit-hit" => "it failed too often to be started again".to_owned(),
        "oom-kill" => "out of memory".to_owned(),
        "" => "systemd does not say why".to_owned(),
        other => other.to_owned(),
    }
}

/// The name of the service whose unit this is.
fn name_of(unit: &str) -> Option<String> {
    unit.strip_prefix("pushflow@")?.strip_suffix(".service").map(name_of_instance)
}

/// About how long: `5 min`.
fn length(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7200 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_why_and_when() {
        let five_minutes_ago = now() - 301_000_000;
        let failed = FailedUnit { why: why("exit-code", 2), at: Some(five_minutes_ago) };
        assert_eq!(failed.text(), "failed (exit status 2, 5 min ago)");
        assert_eq!(FailedUnit { why: why("signal", 9), at: None }.text(), "failed (killed by SIGKILL)");
        let lengths = [0, 119, 3_700, 8_000, 200_000].map(|seconds| length(Duration::from_secs(seconds)));
        assert_eq!(lengths, ["0 s", "119 s", "61 min", "2 h", "2 days"]);
    }

    #[test]
    fn a_unit_is_named_as_its_service() {
        assert_eq!(name_of("pushflow@data-reduction.service").as_deref(), Some("data-reduction"));
        assert_eq!(name_of("pushflow@a\\x20b.service").as_deref(), Some("a b"));
        assert_eq!(name_of("sshd@a.service"), None);
    }
}
