//! The service as others see it: the status snapshot, the line of `systemctl status`, usage and processes.

mod graph;
mod phase;
mod process_list;
mod snapshot;
mod status_line;
mod usage;

pub use graph::graph;
pub(super) use process_list::Population;
pub(super) use snapshot::MAX_SHOWN_OUTPUT;
pub use snapshot::{ActorView, Phase, RunView, ServiceState, StatusSnapshot};
pub(super) use status_line::StatusLine;
