//! pushflow-mx: the real recorder between a real history and a MongoDB server, and what pypushflow writes beside it.
//!
//! The server is `server.py`: MongoDB's protocol (mockupdb) in front of a store in memory (mongomock).

#![allow(clippy::unwrap_used)]

mod catching_up;
mod child;
mod documents;
mod history;
mod recorder;
mod server;
