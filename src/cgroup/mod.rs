//! cgroups v2: the subtree that is delegated to the supervisor, limits, kills and usage figures. Knows nothing of workflows.
//!
//! There is a file for each controller. All figures are optional, because controllers may be missing. Paths are arguments, so
//! that tests can use a folder of simulated files.
//!
//! A process is moved by writing to `cgroup.procs`. The first move after a pause takes about ten milliseconds (the kernel waits
//! for an RCU grace period). Later moves, and creating, limiting, reading or removing a cgroup, take tens of microseconds.

pub mod cpu;
pub mod io;
pub mod memory;
pub mod pids;
pub mod pressure;

mod acquire;
mod controllers;
mod delegation;
mod error;
mod files;
mod find;
mod gauges;
mod leaf;
mod limits;
mod scope;
mod subtree;

#[cfg(test)]
mod tests;

pub use acquire::{NoSubtree, Wanted, acquire};
pub use controllers::{Controller, Controllers};
pub use delegation::{NotDelegated, claim};
pub use error::CgroupError;
pub use find::{NotFound, Own, own};
pub use gauges::{Gauges, Reading};
pub use leaf::Leaf;
pub use limits::{LimitError, LimitName, Limits, Unapplied};
pub use scope::{Manager, NoScope, Scope, enter as enter_scope};
pub use subtree::{Subtree, escaped};
