//! From the draft to the flat graph: names become ids, submodels become scopes.
//!
//! `graph` is the graph while it is built, `build` fills it, `links` resolves the ends of links, `reachability` finds the
//! mistakes that only the whole graph shows, and `findings` describes them to the user.

pub(in crate::config) mod build;
mod findings;
mod graph;
mod links;
mod reachability;
