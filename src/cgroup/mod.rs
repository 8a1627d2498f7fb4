//! cgroups (version 2): the subtree that was delegated to the supervisor, limits, kills and figures. Knows nothing of
//! workflows.
//!
//! A file each for what the kernel has a file for; every figure is optional, since controllers may be missing. Paths are
//! arguments, so that a folder of made-up files tests the readers.
//!
//! A process is moved by writing to `cgroup.procs`. The first move after a pause takes the kernel some ten milliseconds (it
//! waits for an RCU grace period), those that follow it closely tens of microseconds, as does making, limiting, reading
//! or removing a cgroup.

pub mod cpu;
pub mod io;
pub mod memory;
pub mod pids;
pub mod pressure;

mod controllers;
mod delegation;
mod error;
mod files;
mod find;
mod gauges;
mod leaf;
mod limits;
mod scope;
mod settle;
mod subtree;

#[cfg(test)]
mod tests;

pub use controllers::{Controller, Controllers};
pub use delegation::{NotDelegated, claim};
pub use error::CgroupError;
pub use find::{NotFound, Own, own};
pub use gauges::{Gauges, Reading};
pub use leaf::Leaf;
pub use limits::{LimitName, Limits, Unapplied};
pub use scope::{Manager, NoScope, Scope, enter as enter_scope};
pub use settle::{Wanted, settle};
pub use subtree::{Subtree, escaped};
