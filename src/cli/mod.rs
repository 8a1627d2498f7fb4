//! To come.

pub mod convert;
