//! Processes: starting, signalling, reaping, and process trees. Knows nothing of workflows.

pub mod figures;
#[allow(unsafe_code)]
pub mod sys;
pub mod tree;

pub mod descendants;
pub mod guardian;

mod ended;
mod program;
mod start_failure;

pub use ended::Ended;
pub use program::Program;
pub use start_failure::{StartFailure, explain, start_failure};
pub use sys::{Pid, Signal};
