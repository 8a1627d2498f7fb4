//! Errors and warnings about a file: `problems` collects them while the file is read, `render` shows them.

pub(in crate::config) mod diagnostic;
pub(in crate::config) mod errors;
pub(in crate::config) mod problems;
pub(in crate::config) mod render;
pub(in crate::config) mod suggest;
