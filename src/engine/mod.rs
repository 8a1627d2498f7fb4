//! What a run does next: triggers, joins, routers, errors, retries, timeouts, stop. No I/O, no clock, no threads.
//!
//! A [`Run`] is told what happened (`on_…`) and answers with [`Effect`]s. Time is an argument; [`Run::next_time`] says
//! when it next wants to be called.

mod circle;
mod effect;
mod flow;
mod replay;
mod run;
#[cfg(test)]
mod sanity;
mod status;
mod task;
#[cfg(test)]
mod tests;

pub use effect::{ActorEnd, Effect, Failure, FailureKind, Outcome, TaskId};
pub use run::Run;
pub use status::Status;
