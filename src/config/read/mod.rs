//! From the tree of a TOML file to a draft: every key is checked, names are not resolved yet.
//!
//! `workflow` reads the workflow file and the defaults, `graph` reads actors, links and submodels (also those in files of their
//! own), `actors` and `settings` read single tables.

mod actors;
pub(in crate::config) mod draft;
pub(in crate::config) mod files;
mod graph;
mod home;
mod inputs;
pub(in crate::config) mod names;
mod run_function;
mod scripts;
mod settings;
pub(in crate::config) mod table;
pub(in crate::config) mod units;
pub(in crate::config) mod workflow;
