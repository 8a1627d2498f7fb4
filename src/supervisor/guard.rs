//! A thread beside the loop, for the case that the loop does not turn: it ends the tree then, and the process.
//!
//! The loop alone notices signals, timeouts and the end of the guardian. Nothing may hold it up, and if something does all the same,
//! nobody is to be left with processes that no signal ends. The thread waits for the end of the guardian's pipe, and now and then
//! looks whether the loop has come to wait for events since the last look. It counts its own looks, not the time: while the host is
//! suspended or the process stopped, neither goes on.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::error;

use super::SupervisorError;
use super::guarded::PATIENCE;
use crate::log_queue;
use crate::process::{clean, sys, tree};

/// The environment variable that says after how many seconds a loop that does not turn is given up: `off` for never.
const VARIABLE: &str = "PUSHFLOW_LOOP_TIMEOUT";
const USUAL: Duration = Duration::from_secs(30);
/// A loop is given up after so many looks that found it at the same place.
const LOOKS: u32 = 6;
/// How long the loop has to notice that the guardian is gone, in seconds.
const NOTICE: u32 = 5;
/// How long the process has to exit once the loop has ended everything, in seconds.
const EXIT: u32 = 5;
/// The exit status after that (`EX_SOFTWARE` of sysexits.h): a service may be started again.
const BROKEN: i32 = 70;

/// What the loop lets the thread know.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// How often the loop has waited for events.
    waits: AtomicU64,
    /// It does something, and is to wait for events again soon.
    busy: AtomicBool,
    /// It ends everything, as the guardian is gone.
    ends: AtomicBool,
}

impl Pulse {
    /// The loop is about to wait for events; or whoever turned it does something else from now on.
    pub(super) fn rests(&self) {
        self.busy.store(false, Ordering::Relaxed);
    }

    /// The loop has something to do.
    pub(super) fn works(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.busy.store(true, Ordering::Relaxed);
    }

    /// The loop ends everything.
    pub(super) fn ends(&self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// Starts the thread. From now on the process has several: it cannot be forked any more.
pub(super) fn start(pulse: Arc<Pulse>, guardian: Option<OwnedFd>) -> Result<(), SupervisorError> {
    let wanted = std::env::var(VARIABLE).ok();
    let limit = match wanted.as_deref() {
        Some("off") => None,
        Some(seconds) => seconds.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs).or(Some(USUAL)),
        None => Some(USUAL),
    };
    if limit.is_none() && guardian.is_none() {
        return Ok(());
    }
    sys::spawn_thread("guard", move || watch(&pulse, guardian.as_ref(), limit)).map_err(SupervisorError::Setup)
}

fn watch(pulse: &Pulse, guardian: Option<&OwnedFd>, limit: Option<Duration>) {
    let timeout =
        limit.map_or(PollTimeout::NONE, |limit| PollTimeout::try_from(limit / LOOKS).unwrap_or(PollTimeout::MAX));
    let mut last = Look::default();
    loop {
        // Nobody writes into the pipe: there is nothing to wait for but its end.
        let mut pipe: Vec<_> = guardian.iter().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::empty())).collect();
        match poll(&mut pipe, timeout) {
            Ok(0) => {}
            Ok(_) => return guardian_is_gone(pulse),
            Err(_) => continue,
        }
        if last.is_stuck(pulse) {
            let limit = limit.unwrap_or(USUAL);
            error!("the supervisor's loop has not turned for {limit:?}: ending every process");
            end_the_tree();
        }
    }
}

/// What was seen of the loop last.
#[derive(Debug, Default)]
struct Look {
    waits: u64,
    /// How often in a row it was busy at the same place.
    same: u32,
}

impl Look {
    fn is_stuck(&mut self, pulse: &Pulse) -> bool {
        let (waits, busy) = (pulse.waits.load(Ordering::Relaxed), pulse.busy.load(Ordering::Relaxed));
        self.same = if busy && waits == self.waits { self.same + 1 } else { 0 };
        self.waits = waits;
        self.same >= LOOKS
    }
}

/// The loop sees that too, and ends everything: unless it is held up.
fn guardian_is_gone(pulse: &Pulse) {
    for _ in 0..NOTICE {
        pause();
        if pulse.ends.load(Ordering::Relaxed) {
            for _ in 0..PATIENCE.as_secs() as u32 + EXIT {
                pause();
            }
            sys::exit_now(BROKEN);
        }
    }
    error!("the process that the run was started as is gone, and the loop has not noticed: ending every process");
    end_the_tree();
}

/// A second in which this process goes on.
fn pause() {
    std::thread::sleep(Duration::from_secs(1));
}

fn end_the_tree() -> ! {
    let cleaned = clean::leave_nothing(PATIENCE);
    if !cleaned.survivors.is_empty() {
        error!("these processes survive SIGKILL: {}", tree::names(&cleaned.survivors));
    }
    log_queue::flush();
    sys::exit_now(BROKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_turns_or_waits_is_never_stuck_and_one_that_does_neither_is() {
        let (pulse, mut look) = (Pulse::default(), Look::default());
        assert!((0..100).all(|_| !look.is_stuck(&pulse)), "before the first turn");
        let turns = |look: &mut Look| {
            pulse.works();
            look.is_stuck(&pulse)
        };
        assert!((0..100).all(|_| !turns(&mut look)), "always busy, and never in the same turn");
        let stuck: Vec<bool> = (0..LOOKS).map(|_| look.is_stuck(&pulse)).collect();
        assert_eq!(stuck, [false, false, false, false, false, true]);
        pulse.rests();
        assert!((0..100).all(|_| !look.is_stuck(&pulse)), "it waits for events");
    }
}
