//! What the service as a whole uses: from its cgroup where it has one, else what its supervisor has accounted for.
//!
//! As in systemd's own interface, a figure that is not known is the highest number there is, never 0.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Office;
use crate::accounting::Totals;
use crate::cgroup::{Gauges, Reading};
use crate::service::Ask;
use crate::supervisor::usage_of_the_supervisor;

/// What a figure is that is not known.
pub(super) const UNKNOWN: u64 = u64::MAX;
/// What was read is good for so long: for all properties that one call asks for.
const FRESH: Duration = Duration::from_millis(5);
/// The meters of running tasks are read no more often than this.
const ACCOUNTS_FRESH: Duration = Duration::from_millis(100);

/// Where the figures come from.
#[derive(Debug)]
pub(super) struct Figures {
    /// The cgroup's path, empty where there is none.
    pub(super) control_group: String,
    gauges: Option<Mutex<(Gauges, Reading, Option<Instant>)>>,
    /// When the loop was asked last to read the meters.
    accounted: Mutex<Option<Instant>>,
}

impl Figures {
    /// The figures of a cgroup: its path, and its folder.
    pub(super) fn of(cgroup: Option<(&str, &Path)>) -> Self {
        let gauges = cgroup.map(|(_, folder)| Mutex::new((Gauges::open(folder), Reading::default(), None)));
        let control_group = cgroup.map_or_else(String::new, |(path, _)| path.to_owned());
        Figures { control_group, gauges, accounted: Mutex::new(None) }
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

impl Office {
    /// A figure of the whole tree: the cgroup's, else that of the accounts, to which the supervisor itself is added.
    pub(super) async fn figure(
        &self,
        of_cgroup: fn(&Reading) -> Option<u64>,
        of_accounts: fn(&Totals) -> Option<u64>,
    ) -> u64 {
        if let Some(value) = of_cgroup(&self.figures.reading()) {
            return value;
        }
        self.account().await;
        let used = self.board.with(|state| of_accounts(&state.used));
        let own = of_accounts(&usage_of_the_supervisor());
        used.into_iter().chain(own).reduce(u64::saturating_add).unwrap_or(UNKNOWN)
    }

    /// A figure that only the cgroup has.
    pub(super) fn cgroup_figure(&self, of: fn(&Reading) -> Option<u64>) -> u64 {
        of(&self.figures.reading()).unwrap_or(UNKNOWN)
    }

    /// Has the meters of running tasks read, unless they were a moment ago.
    pub(super) async fn account(&self) {
        let now = Instant::now();
        {
            let mut accounted = self.figures.accounted.lock().unwrap_or_else(PoisonError::into_inner);
            if accounted.is_some_and(|at| now - at < ACCOUNTS_FRESH) {
                return;
            }
            *accounted = Some(now);
        }
        // Without an answer, what was read last is what there is.
        let _ = self.to_loop.ask(Ask::Account).await;
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
        let reading = Figures::of(Some(("/w", folder.path()))).reading();
        assert_eq!(cpu_of_cgroup(&reading), Some(5000));
        assert_eq!((reading.memory, reading.processes, reading.io), (None, None, None));
        assert_eq!(cpu_of_cgroup(&Figures::of(None).reading()), None);
        assert_eq!(cpu(&Totals::default()), None);
    }
}
