//! Writing: the queue between the loop and the thread that writes, and that thread.

mod age;
mod handle;
mod prune;
mod queue;
mod transaction;
mod writer;

pub use handle::History;
pub use queue::{TaskNews, Wake};
