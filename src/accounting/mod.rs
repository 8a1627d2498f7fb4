//! What tasks, actors, runs and the workflow have used: the data, and how it adds up. Knows nothing of processes or files;
//! the supervisor fills it in, and the command line, the bus and the history show it.
//!
//! Every figure says where it comes from, and one that could not be read is absent, never 0. What several tasks used
//! together, because they ran side by side in one process, is not divided among them: it is counted as shared.

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
