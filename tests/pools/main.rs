//! Every pool type with the real `pushflow` and real Python: what tasks may do in it, how they are interrupted, what
//! their errors look like.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../binary/support.rs"]
mod support;

mod contexts;
mod daemonic;
mod kinds;
mod refused;

/// The contexts in which workers can be started.
const CONTEXTS: [&str; 3] = ["forkserver", "fork", "spawn"];
