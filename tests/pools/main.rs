//! Every pool type with the real `pushflow` and real Python: what tasks may do in it, how they are interrupted, what
//! their errors look like.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../binary/support.rs"]
mod support;

mod affinity;
mod checks;
mod contexts;
mod daemonic;
mod forks;
mod interrupts;
mod kinds;
mod modules;
mod prefill;
mod printing;
mod shared;

/// The contexts in which workers can be started.
const CONTEXTS: [&str; 3] = ["forkserver", "fork", "spawn"];

/// A pool of each type, and with each way to start its workers.
const POOLS: [&str; 12] = [
    "type = 'process'",
    "type = 'ndprocess'",
    "type = 'multiprocessing'",
    "type = 'ndmultiprocessing'",
    "type = 'billiard'",
    "type = 'thread'",
    "type = 'gevent'",
    "gevent = true",
    "type = 'thread'\ngevent = true",
    "context = 'spawn'",
    "context = 'spawn'\ngevent = true",
    "launcher = ['nice']",
];
