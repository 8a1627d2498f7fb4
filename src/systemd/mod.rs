//! What a service says to systemd: that it is ready, what it is doing, that it is alive; and its lines in the journal.
//!
//! Without systemd all of it does nothing.

pub mod escape;
pub mod journal;
mod notify;

pub use notify::Notifier;
