//! The messages of sd_notify(3).

use std::cell::RefCell;
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

use crate::text::is_active;

/// The longest `STATUS=` that is worth showing.
const LONGEST_STATUS: usize = 300;

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    /// What was said last, so that nothing is said twice.
    status: RefCell<String>,
}

impl Notifier {
    /// The service can be controlled from now on.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// It reads its workflow again; [`Notifier::ready`] ends that.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(_) => self.tell(&[NotifyState::Reloading]),
        }
    }

    /// It is about to end.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// It needs at least so long for what it does now.
    pub fn extend_timeout(&self, by: Duration) {
        self.tell(&[NotifyState::ExtendTimeoutUsec(u32::try_from(by.as_micros()).unwrap_or(u32::MAX))]);
    }

    /// The loop has turned.
    pub fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// What it is doing, in one line for people.
    pub fn status(&self, status: &str) {
        let line: String = status.chars().map(|c| if is_active(c) { ' ' } else { c }).take(LONGEST_STATUS).collect();
        if *self.status.borrow() != line {
            self.tell(&[NotifyState::Status(&line)]);
            *self.status.borrow_mut() = line;
        }
    }

    /// How often [`Notifier::alive`] is wanted: twice in the time after which the service would be killed.
    pub fn watchdog(&self) -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|limit| limit / 2)
    }

    fn tell(&self, state: &[NotifyState<'_>]) {
        // A manager that does not listen is no reason to stop working.
        if let Err(error) = sd_notify::notify(state) {
            debug!("cannot notify systemd: {error}");
        }
    }
}
