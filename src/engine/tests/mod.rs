//! The decisions of a run: one test a rule, then random graphs driven at random.
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
