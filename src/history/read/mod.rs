//! Reading, also while the history is written, and by other processes.

mod reader;
mod rows;

pub use reader::{Changes, Filter, Reader};
pub(super) use rows::{RUN, run};
