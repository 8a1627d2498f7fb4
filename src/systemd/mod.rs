//! Messages to systemd (ready, status, watchdog) and to the journal. Without systemd they do nothing.

pub mod escape;
pub mod journal;
mod notify;

pub use notify::Notifier;
