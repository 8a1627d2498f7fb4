//! The process tree below the supervisor.

mod children;

pub(super) use children::{Child, ForkserverPhase};
