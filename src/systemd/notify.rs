//! The messages of sd_notify(3).
//!
//! They are sent by a thread of their own, as a service manager that does not read its socket makes the sender wait. What
//! is to be sent has a bound: of a status, a heartbeat and a longer timeout only the last one matters.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

use crate::process::sys;
use crate::text::is_active;

/// The longest `STATUS=` that is worth showing.
const LONGEST_STATUS: usize = 300;
/// So many steps (ready, reloading, stopping) may wait: the last ones say what holds.
const MOST_STEPS: usize = 16;
/// How long the end waits for what is to be sent.
const PATIENCE: Duration = Duration::from_secs(1);

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    /// What was said last, so that nothing is said twice.
    status: RefCell<String>,
    /// There from the first message on.
    sender: RefCell<Option<Arc<Sender>>>,
}

#[derive(Debug, Default)]
struct Sender {
    pending: Mutex<Pending>,
    changed: Condvar,
}

/// What is to be sent.
#[derive(Debug, Default)]
struct Pending {
    steps: VecDeque<Step>,
    status: Option<String>,
    extend: Option<u32>,
    alive: bool,
    /// Something is being sent.
    sending: bool,
    /// Nothing more will come.
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

    /// It reads its workflow again; [`Notifier::ready`] ends that.
    pub fn reloading(&self) {
        self.step(Step::Reloading(NotifyState::monotonic_usec_now().ok()));
    }

    /// It is about to end.
    pub fn stopping(&self) {
        self.step(Step::Stopping);
    }

    /// It needs at least so long for what it does now.
    pub fn extend_timeout(&self, by: Duration) {
        self.tell(|pending| pending.extend = Some(u32::try_from(by.as_micros()).unwrap_or(u32::MAX)));
    }

    /// The loop has turned.
    pub fn alive(&self) {
        self.tell(|pending| pending.alive = true);
    }

    /// What it is doing, in one line for people.
    pub fn status(&self, status: &str) {
        let line: String = status.chars().map(|c| if is_active(c) { ' ' } else { c }).take(LONGEST_STATUS).collect();
        if *self.status.borrow() != line {
            self.status.borrow_mut().clone_from(&line);
            self.tell(|pending| pending.status = Some(line));
        }
    }

    /// How often [`Notifier::alive`] is wanted: twice in the time after which the service would be killed.
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
        // Nothing panics between two changes that belong together.
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
        // What a step leads to is told after it: a longer timeout counts for the state that it is in then.
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
    // A manager that does not listen is no reason to stop working.
    if let Err(error) = sd_notify::notify(state) {
        debug!("cannot notify systemd: {error}");
    }
}
