//! The messages of sd_notify(3).
//!
//! A thread of their own sends them, because a service manager that does not read its socket blocks the sender. The queue is bounded:
//! only the last status, the last heartbeat and the last timeout matter.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

use crate::process::sys;
use crate::text::is_active;

/// Maximum length of `STATUS=`, characters.
const LONGEST_STATUS: usize = 300;
/// Maximum number of queued steps (ready, reloading, stopping). The last ones have the current state.
const MOST_STEPS: usize = 16;
/// How long the end of the process waits for queued messages.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends messages to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    /// The last status, so that none is sent twice.
    status: RefCell<String>,
    /// Made with the first message.
    sender: RefCell<Option<Arc<Sender>>>,
}

#[derive(Debug, Default)]
struct Sender {
    pending: Mutex<Pending>,
    changed: Condvar,
}

/// The queued messages.
#[derive(Debug, Default)]
struct Pending {
    steps: VecDeque<Step>,
    status: Option<String>,
    extend: Option<u32>,
    alive: bool,
    /// A message is being sent.
    sending: bool,
    /// No more messages will come.
    over: bool,
}

#[derive(Debug)]
enum Step {
    Ready,
    /// At this time of the monotonic clock, in microseconds.
    Reloading(Option<NotifyState<'static>>),
    Stopping,
}

impl Notifier {
    /// The service can be controlled from now on.
    pub fn ready(&self) {
        self.step(Step::Ready);
    }

    /// The service reads its workflow again; [`Notifier::ready`] ends that.
    pub fn reloading(&self) {
        self.step(Step::Reloading(NotifyState::monotonic_usec_now().ok()));
    }

    /// The service is stopping.
    pub fn stopping(&self) {
        self.step(Step::Stopping);
    }

    /// The current step (start, reload or stop) takes at least so long from now on.
    pub fn extend_timeout(&self, by: Duration) {
        self.tell(|pending| pending.extend = Some(u32::try_from(by.as_micros()).unwrap_or(u32::MAX)));
    }

    /// The loop is alive.
    pub fn alive(&self) {
        self.tell(|pending| pending.alive = true);
    }

    /// Sets the status: one line for people.
    pub fn status(&self, status: &str) {
        let line: String = status.chars().map(|c| if is_active(c) { ' ' } else { c }).take(LONGEST_STATUS).collect();
        if *self.status.borrow() != line {
            self.status.borrow_mut().clone_from(&line);
            self.tell(|pending| pending.status = Some(line));
        }
    }

    /// How often to call [`Notifier::alive`]: twice within the watchdog timeout.
    pub fn watchdog(&self) -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|limit| limit / 2)
    }

    fn step(&self, step: Step) {
        self.tell(|pending| {
            if pending.steps.len() == MOST_STEPS {
                pending.steps.pop_front();
            }
            pending.steps.push_back(step);
        });
    }

    fn tell(&self, what: impl FnOnce(&mut Pending)) {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return;
        }
        let mut sender = self.sender.borrow_mut();
        let sender = sender.get_or_insert_with(|| {
            let sender = Arc::<Sender>::default();
            let its = Arc::clone(&sender);
            if let Err(error) = sys::spawn_thread("notify", move || its.send_all()) {
                debug!("cannot notify systemd: {error}");
            }
            sender
        });
        what(&mut sender.pending());
        sender.changed.notify_all();
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        let Some(sender) = self.sender.get_mut() else { return };
        let mut pending = sender.pending();
        pending.over = true;
        sender.changed.notify_all();
        let unsent = |pending: &mut Pending| pending.sending || !pending.is_empty();
        drop(sender.changed.wait_timeout_while(pending, PATIENCE, unsent));
    }
}

impl Sender {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        // No code panics between two changes that belong together.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn send_all(&self) {
        let mut pending = self.pending();
        loop {
            if pending.is_empty() {
                if pending.over {
                    return;
                }
                pending = self.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let now = Pending { over: pending.over, sending: true, ..Pending::default() };
            let next = std::mem::replace(&mut *pending, now);
            drop(pending);
            next.send();
            pending = self.pending();
            pending.sending = false;
            self.changed.notify_all();
        }
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.status.is_none() && self.extend.is_none() && !self.alive
    }

    fn send(self) {
        // The timeout goes after the step: it applies to the state that the step leads to.
        for step in self.steps {
            match step {
                Step::Ready => tell(&[NotifyState::Ready]),
                Step::Reloading(Some(now)) => tell(&[NotifyState::Reloading, now]),
                Step::Reloading(None) => tell(&[NotifyState::Reloading]),
                Step::Stopping => tell(&[NotifyState::Stopping]),
            }
        }
        if let Some(micros) = self.extend {
            tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
        }
        if self.alive {
            tell(&[NotifyState::Watchdog]);
        }
        if let Some(status) = &self.status {
            tell(&[NotifyState::Status(status)]);
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // The service works without a manager that listens.
    if let Err(error) = sd_notify::notify(state) {
        debug!("cannot notify systemd: {error}");
    }
}
