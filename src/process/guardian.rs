//! The guardian: the process that the user started, while the supervisor is its child.
//!
//! A supervisor that is killed cannot clean up. Its children get a signal from the kernel, but their descendants do not: processes
//! that left their session, forked twice or became daemons would continue under init. The guardian adopts and kills them. If the
//! guardian ends first, the supervisor notices the end of a pipe, and kills everything itself.
//!
//! The supervisor has its own process group. So signals that a terminal, a shell or timeout(1) sends to the group reach only the
//! guardian, which forwards them once. After SIGKILL to the group, the supervisor cleans up. The guardian has its own name, so that
//! `pkill pushflow` matches only one of the two.
//!
//! Either may be stopped by SIGSTOP. A forwarded signal is followed by SIGCONT, as in systemd. When one of the two ends, the other one
//! gets SIGCONT, so that it can clean up.
//!
//! Services need no guardian: systemd kills all processes in their cgroup.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, kill, raise, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::unistd::setpgid;

use super::sys::{self, Pid, Signal};
use super::{Ended, descendants, tree};

/// Signals that are forwarded to the supervisor.
const FORWARDED: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];
/// Signals that end a run.
const ENDS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
/// A second SIGTERM of the same sender within this time is ignored.
const ECHO: Duration = Duration::from_millis(20);
/// Maximum time to wait until standard error is writable, in milliseconds.
const WRITE_TIMEOUT: u16 = 1000;
/// Maximum time to wait for killed processes. One in an uninterruptible system call may never end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The guardian, as seen from the supervisor.
#[derive(Debug)]
pub struct Guardian {
    /// The process that the user started.
    pub pid: Pid,
    /// Closed when the guardian ends.
    pub pipe: OwnedFd,
    /// Closed when the supervisor ends; the guardian has the other end.
    pub held: OwnedFd,
}

/// Splits this process. The call returns in a child, the supervisor. The calling process becomes the guardian: it never returns, and
/// exits with the status of the supervisor. Call it before a second thread starts.
pub fn split() -> io::Result<Guardian> {
    let guardian = Pid::this();
    let (pipe, held) = sys::pipe()?;
    let (its_pipe, its_held) = sys::pipe()?;
    // Before the fork, so that no orphan of the supervisor can escape.
    sys::become_subreaper()?;
    let mut signals: SigSet = FORWARDED.into_iter().filter(|signal| *signal != Signal::SIGHUP).collect();
    // Signals that nohup(1) ignores stay ignored. A blocked signal would not.
    for signal in [Signal::SIGHUP, Signal::SIGTSTP].into_iter().filter(|signal| !sys::is_ignored(*signal)) {
        signals.add(signal);
    }
    signals.add(Signal::SIGCHLD);
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signals), Some(&mut before))?;
    let forked = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)
        .map_err(io::Error::from)
        .and_then(|fd| Ok((fd, sys::fork()?)));
    let mine = match forked {
        Ok((fd, Some(supervisor))) => {
            drop((pipe, its_held));
            // If this fails, a stopped guardian cleans up when it is continued.
            let _ = sys::go_on_when_closed(&its_pipe);
            guard(supervisor, &fd, (held, its_pipe))
        }
        Ok((_, None)) => {
            drop((held, its_pipe));
            // If this fails, a stopped supervisor cleans up when it is continued. The pipe tells if the guardian has already ended.
            let _ = sys::go_on_when_the_parent_ends();
            // The guardian does the same, so that the group is set as soon as either continues.
            let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
            sys::write_from_background();
            Ok(Guardian { pid: guardian, pipe, held: its_held })
        }
        Err(error) => Err(error),
    };
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    mine
}

fn guard(supervisor: Pid, signals: &SignalFd, _kept: (OwnedFd, OwnedFd)) -> ! {
    // The supervisor may have done this itself, or have ended.
    let _ = setpgid(supervisor, supervisor);
    sys::name_process(tree::GUARDIAN);
    let mut terminated = None;
    let ended = loop {
        let signal = match signals.read_signal() {
            Ok(Some(signal)) if is_echo(&signal, &mut terminated) => continue,
            Ok(Some(signal)) => Signal::try_from(signal.ssi_signo as i32),
            Ok(None) | Err(Errno::EINTR) => continue,
            // If signals cannot be read, only the end of the supervisor matters.
            Err(_) => {
                sys::wait_for_child(Duration::from_secs(3600));
                Ok(Signal::SIGCHLD)
            }
        };
        match signal {
            Ok(Signal::SIGCHLD) => {
                if let Some(ended) = end_of(supervisor) {
                    break ended;
                }
            }
            Ok(Signal::SIGTSTP) => stop_with(supervisor),
            // The supervisor is not reaped yet, so the id is still its own.
            Ok(signal) => {
                let _ = kill(supervisor, signal);
                // A stopped supervisor would not handle it.
                if ENDS.contains(&signal) {
                    let _ = kill(supervisor, Signal::SIGCONT);
                }
            }
            Err(_) => {}
        }
    };
    let cleaned = descendants::kill_all(PATIENCE);
    report(ended, &cleaned);
    std::process::exit(match ended {
        Ended::Exited(code) => code,
        Ended::Killed(signal) => 128 + signal,
    })
}

/// Whether a SIGTERM is the second of a pair. timeout(1) sends one to its child and one to its group, which contains the child. The
/// supervisor would take the second one as a request to hurry.
fn is_echo(signal: &siginfo, last: &mut Option<(u32, Instant)>) -> bool {
    if signal.ssi_signo != Signal::SIGTERM as u32 {
        return false;
    }
    let now = Instant::now();
    let before = last.replace((signal.ssi_pid, now));
    before.is_some_and(|(pid, at)| pid == signal.ssi_pid && now - at < ECHO)
}

/// Reaps ended processes. Returns how the supervisor ended, if it did.
fn end_of(supervisor: Pid) -> Option<Ended> {
    let mut found = None;
    while let Ok(Some(reaped)) = sys::reap() {
        if reaped.pid == supervisor {
            found = Some(reaped.ended);
        }
    }
    found
}

/// Ctrl-Z: stops the supervisor together with the guardian, which the shell sees.
fn stop_with(supervisor: Pid) {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTSTP);
    let _ = kill(supervisor, Signal::SIGSTOP);
    let _ = raise(Signal::SIGTSTP);
    // The guardian stops here. The kernel ignores the signal in an orphaned process group; then it continues at once.
    let _ = stop.thread_unblock();
    let _ = stop.thread_block();
    let _ = kill(supervisor, Signal::SIGCONT);
}

/// Reports that the supervisor was killed, and processes that survive. Gives up if standard error is not writable.
fn report(ended: Ended, cleaned: &descendants::Killed) {
    let mut text = String::new();
    if matches!(ended, Ended::Killed(_)) {
        text = format!("pushflow: the supervisor {ended}");
        match cleaned.killed {
            0 => {}
            1 => text.push_str("; one remaining process was killed"),
            killed => text.push_str(&format!("; {killed} remaining processes were killed")),
        }
        text.push('\n');
    }
    if !cleaned.survivors.is_empty() {
        text.push_str(&format!("pushflow: these processes survive SIGKILL: {}\n", tree::names(&cleaned.survivors)));
    }
    let stderr = io::stderr();
    let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if !text.is_empty() && poll(&mut ready, PollTimeout::from(WRITE_TIMEOUT)).is_ok_and(|ready| ready > 0) {
        let _ = (&stderr).write_all(text.as_bytes());
    }
}
