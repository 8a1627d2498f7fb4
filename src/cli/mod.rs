//! One file per verb.

pub mod check;
pub mod schema;
