//! Payloads in the history: as JSON for people, and exactly for runs that must survive a crash.

pub(super) mod codec;
pub(super) mod json;
mod recorded;
mod scalars;

pub use recorded::{Part, Recorded};
