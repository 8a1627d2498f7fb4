//! Which processes have an object on the bus.

use std::collections::BTreeMap;

use async_lock::Mutex;

/// The processes that have an object.
#[derive(Debug, Default)]
pub(super) struct ExportedProcesses(pub(super) Mutex<Exported>);

#[derive(Debug, Default)]
pub(super) struct Exported {
    /// When each process started, by pid.
    pub(super) processes: BTreeMap<i32, u64>,
    /// The [number](super::process_cache::ProcessList::number) of the reading that they are from.
    pub(super) number: u64,
}
