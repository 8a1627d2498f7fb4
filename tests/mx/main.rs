//! pushflow-mx: the real recorder between a real history and a MongoDB server, and what pypushflow writes beside it.
//!
//! The server is the `mongod` on PATH, each test's own (`mongod.py`); where there is none, MongoDB's protocol (mockupdb) in front of
//! a store in memory (mongomock; `in_memory.py`). Between it and its clients is what breaks as a test likes (`faults.py`).

#![allow(clippy::unwrap_used)]

#[path = "../bus/bus.rs"]
#[allow(dead_code)]
mod bus;
mod catching_up;
mod child;
mod documents;
mod history;
mod mongod;
mod recorder;
mod reload;
mod server;
#[path = "../binary/support.rs"]
#[allow(dead_code)]
mod support;
