//! The watchdog thread: it ends the process tree, and then the process, if the loop does not turn.
//!
//! Only the loop notices signals, timeouts and the end of the guardian. If it hangs, no signal ends the processes below it. The
//! thread waits for the end of the guardian's pipe, and checks regularly whether the loop has waited for events since the last
//! check. It counts its checks and does not measure time: while the host is suspended or the process is stopped, both stand
//! still.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::error;

use super::guardian::PATIENCE;
use crate::log_queue;
use crate::process::{descendants, sys, tree};
use crate::supervisor::error::SupervisorError;

/// The environment variable with the number of seconds after which a loop that does not turn is given up; `off` disables that.
const VARIABLE: &str = "PUSHFLOW_LOOP_TIMEOUT";
const USUAL: Duration = Duration::from_secs(30);
/// A loop is given up after this many checks that found it at the same place.
const CHECKS: u32 = 6;
/// How long the loop has to notice that the guardian is gone, in seconds.
const NOTICE: u32 = 5;
/// How long the process has to exit once the loop has ended everything, in seconds.
const EXIT: u32 = 5;
/// The exit status after that (`EX_SOFTWARE` of sysexits.h): a service may be started again.
const BROKEN: i32 = 70;

/// What the loop tells the thread.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// How often the loop has waited for events.
    turns: AtomicU64,
    /// It is working, and should wait for events again soon.
    busy: AtomicBool,
    /// It is ending everything, because the guardian is gone.
    ends: AtomicBool,
}

impl Progress {
    /// The loop is about to wait for events, or is not turned any more.
    pub(super) fn waits(&self) {
        self.busy.store(false, Ordering::Relaxed);
    }

    /// The loop has something to do.
    pub(super) fn works(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.busy.store(true, Ordering::Relaxed);
    }

    /// The loop is ending everything.
    pub(super) fn ends(&self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// Starts the thread. A process with several threads cannot be forked any more.
pub(super) fn start(progress: Arc<Progress>, guardian: Option<OwnedFd>) -> Result<(), SupervisorError> {
    let wanted = std::env::var(VARIABLE).ok();
    let limit = match wanted.as_deref() {
        Some("off") => None,
        Some(seconds) => seconds.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs).or(Some(USUAL)),
        None => Some(USUAL),
    };
    if limit.is_none() && guardian.is_none() {
        return Ok(());
    }
    sys::spawn_thread("watchdog", move || watch(&progress, guardian.as_ref(), limit)).map_err(SupervisorError::Setup)
}

fn watch(progress: &Progress, guardian: Option<&OwnedFd>, limit: Option<Duration>) {
    let timeout =
        limit.map_or(PollTimeout::NONE, |limit| PollTimeout::try_from(limit / CHECKS).unwrap_or(PollTimeout::MAX));
    let mut last = LastCheck::default();
    loop {
        // Nobody writes into the pipe: only its end can happen.
        let mut pipe: Vec<_> = guardian.iter().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::empty())).collect();
        match poll(&mut pipe, timeout) {
            Ok(0) => {}
            Ok(_) => return guardian_is_gone(progress),
            Err(_) => continue,
        }
        if last.is_stuck(progress) {
            let limit = limit.unwrap_or(USUAL);
            error!("the supervisor's loop has not turned for {limit:?}: ending every process");
            end_the_tree();
        }
    }
}

/// What the last check found.
#[derive(Debug, Default)]
struct LastCheck {
    turns: u64,
    /// How many checks in a row found it busy at the same place.
    same: u32,
}

impl LastCheck {
    fn is_stuck(&mut self, progress: &Progress) -> bool {
        let (turns, busy) = (progress.turns.load(Ordering::Relaxed), progress.busy.load(Ordering::Relaxed));
        self.same = if busy && turns == self.turns { self.same + 1 } else { 0 };
        self.turns = turns;
        self.same >= CHECKS
    }
}

/// The loop sees that too, and ends everything, unless it hangs.
fn guardian_is_gone(progress: &Progress) {
    for _ in 0..NOTICE {
        pause();
        if progress.ends.load(Ordering::Relaxed) {
            for _ in 0..PATIENCE.as_secs() as u32 + EXIT {
                pause();
            }
            sys::exit_now(BROKEN);
        }
    }
    error!("the process that the run was started as is gone, and the loop has not noticed: ending every process");
    end_the_tree();
}

/// One second, not counting the time in which the process is stopped.
fn pause() {
    std::thread::sleep(Duration::from_secs(1));
}

fn end_the_tree() -> ! {
    let cleaned = descendants::kill_all(PATIENCE);
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
        let (progress, mut check) = (Progress::default(), LastCheck::default());
        assert!((0..100).all(|_| !check.is_stuck(&progress)), "before the first turn");
        let turns = |check: &mut LastCheck| {
            progress.works();
            check.is_stuck(&progress)
        };
        assert!((0..100).all(|_| !turns(&mut check)), "always busy, and never in the same turn");
        let stuck: Vec<bool> = (0..CHECKS).map(|_| check.is_stuck(&progress)).collect();
        assert_eq!(stuck, [false, false, false, false, false, true]);
        progress.waits();
        assert!((0..100).all(|_| !check.is_stuck(&progress)), "it waits for events");
    }
}
