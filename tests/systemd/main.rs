//! pushflow under a real systemd: booted as a container, in seconds, and as a virtual machine, with all controllers.
//!
//! Whatever is below `booted` boots one of them, needs root, and is what `tests/run --quick` leaves out.

mod booted;
#[path = "../packages/built.rs"]
mod built;
mod installed;
mod machine;
#[allow(dead_code, reason = "no test crate uses all of it")]
#[path = "../binary/process.rs"]
mod process;
