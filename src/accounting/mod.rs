//! Resource usage of tasks, actors, runs and workflows: data types and sums. Knows nothing of processes or files: the supervisor fills
//! them in; command line, bus and history show them.
//!
//! Each figure has its origin. A figure that could not be read is `None`, never 0. Usage of several tasks that run concurrently in one
//! process is not divided among them, but counted as shared.

mod account;
mod figure;
mod text;
mod totals;
mod usage;

#[cfg(test)]
mod tests;

pub use account::{ActorAccount, RunAccount, TaskAccount, WorkflowAccount};
pub use figure::{Figure, Origin, Origins};
pub use text::{ordinal, size, time};
pub use totals::{Peak, Sum, Totals};
pub use usage::Usage;
