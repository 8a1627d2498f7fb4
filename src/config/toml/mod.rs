//! TOML text as a tree in which every key and value knows where it is written.
//!
//! `syntax` reads the text, `tree_builder` applies TOML's rules for which tables may be extended, `tree` is the result, `source`
//! is the text itself. Nothing here knows the keys of a workflow file.

pub(in crate::config) mod source;
pub(in crate::config) mod syntax;
pub(in crate::config) mod tree;
mod tree_builder;
