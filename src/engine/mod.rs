//! Decides what a run does next: triggers, joins, routers, errors, retries, timeouts, stop. No I/O, no clock, no threads.
//!
//! The methods `on_…` of a [`Run`] are called when something happened, and return [`Effect`]s. Time is an argument.
//! [`Run::next_time`] returns when `on_time` must be called.
//!
//! `state` is the state, `flow` what each kind of actor does, `task` attempts and retries, `run` the entry points.

mod cycle;
mod effect;
mod flow;
mod replay;
mod run;
#[cfg(test)]
mod sanity;
mod state;
mod status;
mod task;
#[cfg(test)]
mod tests;

pub use effect::{ActorEnd, Effect, Failure, FailureKind, Outcome, TaskId};
pub use state::Run;
pub use status::Status;
