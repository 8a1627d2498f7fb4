//! Parity: the same graphs, run here and in pypushflow 2.0.0, give the same outputs with the same Python types.
//!
//! The graphs are pypushflow classes (`graphs/`), the tasks are in `tasks/`. Here they are what `pushflow convert` makes
//! of them. What differs on purpose is in `differences.rs`, and in words in `README.md`.

mod case;
mod compare;
mod here;
#[allow(dead_code, reason = "no test crate uses all of it")]
#[path = "../binary/process.rs"]
mod process;
mod python;
mod reference;

mod actors;
mod cycles;
mod differences;
mod errors;
mod joins;
mod own_workflows;
mod routers;
mod stops;
mod submodels;
mod values;
