//! The file: opening it, the versions of its tables, and the statements that write them.

pub(super) mod migrations;
pub(super) mod open;
pub(super) mod statements;
pub(super) mod tally;
