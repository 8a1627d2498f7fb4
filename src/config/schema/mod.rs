//! The keys of a workflow file, listed once, and everything that is made from the list: the JSON Schema, the reference in
//! the manual, and what messages say about a key.

pub(in crate::config) mod json_schema;
pub(in crate::config) mod keys;
pub(in crate::config) mod reference;
mod shapes;
pub(in crate::config) mod words;
