//! Histories: where they are, and who writes them.

mod writing;

pub(super) use writing::{Recorded, of_run, of_service};

/// The file in a workflow's folder.
const FILE: &str = "history.sqlite";
