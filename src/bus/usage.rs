//! What the service as a whole uses: as its cgroup has it, or if it has none, as its supervisor has accounted for it.
//!
//! As in systemd's interface, an unknown figure is the highest number, never 0.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::accounting::Totals;
use crate::cgroup::{Gauges, Reading};

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

    /// Whether the meters of running tasks are to be read now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let mut accounted = self.accounted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = accounted.is_none_or(|at| now - at >= ACCOUNTS_FRESH);
        if is_due {
            *accounted = Some(now);
        }
        is_due
    }

    pub(super) fn reading(&self) -> Reading {
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
