//! Processes: starting, signalling, reaping, and the tree of all that came of it. Knows nothing of workflows.

pub mod figures;
#[allow(unsafe_code)]
pub mod sys;
pub mod tree;

pub mod clean;
pub mod guardian;

mod ended;
mod obstacle;
mod program;

pub use ended::Ended;
pub use obstacle::{Obstacle, explain, obstacle};
pub use program::Program;
pub use sys::{Pid, Signal};
