//! Tests of the engine: one for each rule, and random graphs with random events.
#![allow(clippy::unwrap_used)]

mod bench;
mod chance;
mod cycles;
mod endings;
mod errors;
mod flow;
mod graph;
mod ledger;
mod random;
mod witness;
