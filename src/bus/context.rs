//! What the objects on the bus have in common.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tracing::info;

use super::bus_type::BusType;
use super::callers::KnownCallers;
use super::exported::ExportedProcesses;
use super::loop_handle::LoopHandle;
use super::names;
use super::process_cache::ProcessCache;
use super::usage::{ServiceUsage, UNKNOWN};
use crate::accounting::Totals;
use crate::cgroup::Reading;
use crate::service::{Command, StatusSnapshot};
use crate::supervisor::usage_of_the_supervisor;

/// What the objects of one connection have in common. Unique names are valid on one bus only, and a restarted bus assigns them
/// anew: what is known of callers and objects ends with the connection, also for calls that are still being answered.
#[derive(Debug)]
pub(super) struct BusContext {
    pub(super) bus: BusType,
    /// The name of the service.
    pub(super) name: String,
    pub(super) snapshot: Arc<StatusSnapshot>,
    pub(super) to_loop: LoopHandle,
    pub(super) callers: KnownCallers,
    pub(super) processes: ProcessCache,
    pub(super) exported: ExportedProcesses,
    pub(super) usage: Arc<ServiceUsage>,
}

impl BusContext {
    pub(super) fn new(
        bus: BusType,
        name: &str,
        snapshot: Arc<StatusSnapshot>,
        to_loop: LoopHandle,
        cgroup: Option<(&str, &Path)>,
    ) -> Self {
        BusContext {
            bus,
            name: name.to_owned(),
            snapshot,
            to_loop,
            callers: KnownCallers::default(),
            processes: ProcessCache::default(),
            exported: ExportedProcesses::default(),
            usage: Arc::new(ServiceUsage::of(cgroup)),
        }
    }

    /// The same service on the next connection.
    pub(super) fn of_next_connection(&self) -> Self {
        BusContext {
            bus: self.bus,
            name: self.name.clone(),
            snapshot: Arc::clone(&self.snapshot),
            to_loop: self.to_loop.clone(),
            callers: KnownCallers::default(),
            processes: ProcessCache::default(),
            exported: ExportedProcesses::default(),
            usage: Arc::clone(&self.usage),
        }
    }

    pub(super) fn on_connected(&self) {
        info!("on the {} as {}", self.bus.word(), names::service(&self.name));
        self.to_loop.tell(Command::BusTried);
    }

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
        if self.usage.is_due(Instant::now()) {
            // Without a response, the last reading stays.
            let _ = self.to_loop.call(Command::UpdateUsage).await;
        }
    }
}
