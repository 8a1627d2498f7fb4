//! Recovery: what becomes of the runs that an earlier process left unfinished, and of a damaged file.

mod claim;
mod quarantine;

pub(super) use claim::claim;
pub(super) use quarantine::{continue_numbers, quarantine};
