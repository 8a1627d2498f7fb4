//! What the service as a whole uses: as its cgroup has it, or if it has none, as its supervisor has accounted for it.
//!
//! As in systemd's interface, an unknown figure is the highest number, never 0.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::context::BusContext;
use crate::accounting::Totals;
use crate::cgroup::{Gauges, Reading};
use crate::service::Command;
use crate::supervisor::usage_of_the_supervisor;

/// An unknown figure.
pub(super) const UNKNOWN: u64 = u64::MAX;
/// For how long a reading of the cgroup is used: for all properties of one call.
const FRESH: Duration = Duration::from_millis(5);
/// For how long a reading of the meters of running tasks is used.
const ACCOUNTS_FRESH: Duration = Duration::from_millis(100);

/// Where usage is read.
#[derive(Debug)]
pub(super) struct ServiceUsage {
    /// The path of the cgroup; empty if there is none.
    pub(super) control_group: String,
    gauges: Option<Mutex<(Gauges, Reading, Option<Instant>)>>,
    /// When the loop was last asked to read the meters.
    accounted: Mutex<Option<Instant>>,
}

impl ServiceUsage {
    /// The usage of a cgroup, with this path and folder.
    pub(super) fn of(cgroup: Option<(&str, &Path)>) -> Self {
        let gauges = cgroup.map(|(_, folder)| Mutex::new((Gauges::open(folder), Reading::default(), None)));
        let control_group = cgroup.map_or_else(String::new, |(path, _)| path.to_owned());
        ServiceUsage { control_group, gauges, accounted: Mutex::new(None) }
    }

    fn reading(&self) -> Reading {
        let Some(gauges) = &self.gauges else { return Reading::default() };
        let mut gauges = gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let (its, last, read) = &mut *gauges;
        if read.is_none_or(|read| read.elapsed() > FRESH) {
            *last = its.read();
            *read = Some(Instant::now());
        }
        *last
    }
}

impl BusContext {
    /// A figure of the whole process tree: the cgroup's, or the sum of the accounts and the supervisor.
    pub(super) async fn figure(
        &self,
        of_cgroup: fn(&Reading) -> Option<u64>,
        of_accounts: fn(&Totals) -> Option<u64>,
    ) -> u64 {
        if let Some(value) = of_cgroup(&self.usage.reading()) {
            return value;
        }
        self.update_usage().await;
        let used = self.snapshot.with(|state| of_accounts(&state.used));
        let own = of_accounts(&usage_of_the_supervisor());
        used.into_iter().chain(own).reduce(u64::saturating_add).unwrap_or(UNKNOWN)
    }

    /// A figure that only the cgroup has.
    pub(super) fn cgroup_figure(&self, of: fn(&Reading) -> Option<u64>) -> u64 {
        of(&self.usage.reading()).unwrap_or(UNKNOWN)
    }

    /// Reads the meters of running tasks, unless they were read a moment ago.
    pub(super) async fn update_usage(&self) {
        let now = Instant::now();
        {
            let mut accounted = self.usage.accounted.lock().unwrap_or_else(PoisonError::into_inner);
            if accounted.is_some_and(|at| now - at < ACCOUNTS_FRESH) {
                return;
            }
            *accounted = Some(now);
        }
        // Without a response, the last reading stays.
        let _ = self.to_loop.call(Command::UpdateUsage).await;
    }
}

/// CPU time in nanoseconds.
pub(super) fn cpu(used: &Totals) -> Option<u64> {
    nanoseconds(used.cpu_user.value? + used.cpu_system.value?)
}

/// The same, of a cgroup.
pub(super) fn cpu_of_cgroup(reading: &Reading) -> Option<u64> {
    nanoseconds(reading.cpu.user? + reading.cpu.system?)
}

pub(super) fn nanoseconds(time: Duration) -> Option<u64> {
    u64::try_from(time.as_nanos()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cgroup_does_not_show_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cpu.stat"), "usage_usec 5\nuser_usec 3\nsystem_usec 2\n").unwrap();
        let reading = ServiceUsage::of(Some(("/w", folder.path()))).reading();
        assert_eq!(cpu_of_cgroup(&reading), Some(5000));
        assert_eq!((reading.memory, reading.processes, reading.io), (None, None, None));
        assert_eq!(cpu_of_cgroup(&ServiceUsage::of(None).reading()), None);
        assert_eq!(cpu(&Totals::default()), None);
    }
}
