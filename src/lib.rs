//! pushflow runs workflow graphs on beamline hosts: one supervisor, one workflow, one process tree.
//!
//! Data goes one way and comes back as events: [`config`] turns TOML into a checked [`graph`]; the [`engine`] says what
//! a run does next and a [`pool`] which worker does it, both without any I/O; the [`supervisor`] carries it out through
//! [`process`] and [`worker`], in leaves of a [`cgroup`] where there is one, and keeps [`accounting`] of what it cost. [`history`] records what happens; [`text`] makes what others wrote safe to read; [`payload`] is the data that flows; [`draw`] makes pictures, [`convert`] reads pypushflow classes, [`cli`]
//! is one file per verb.

#![deny(unsafe_code)]

pub mod accounting;
pub mod bus;
pub mod cgroup;
pub mod cli;
pub mod config;
pub mod convert;
pub mod draw;
pub mod engine;
pub mod graph;
pub mod history;
pub mod log_queue;
pub mod payload;
pub mod pool;
pub mod process;
pub mod service;
pub mod stop_policy;
pub mod supervisor;
pub mod systemd;
#[cfg(test)]
mod test_seed;
pub mod text;
pub mod worker;
