//! The guardian: the process that the user started, while the supervisor is its child.
//!
//! A supervisor that is killed cannot clean up. Its children die with it where they asked for that, but not what those
//! have started: processes that left their session, forked twice or became daemons would go on under init. The
//! guardian adopts them and ends them. The other way round, the supervisor notices the end of the guardian by the end
//! of a pipe, and ends everything itself.
//!
//! The supervisor is in a process group of its own. So what a terminal, a shell or `timeout` does to the group reaches
//! the guardian alone, which passes it on once; and SIGKILL to the group leaves the supervisor to clean up. The
//! guardian also has a name of its own, so that `pkill pushflow` means one of the two.
//!
//! Either may be stopped (SIGSTOP, by a task or a person). A signal that is passed on brings SIGCONT with it, as systemd
//! does; and the end of one of the two has the other one go on, so that it can clean up.
//!
//! Where something else empties the tree (systemd: the cgroup of a service), none is needed.

use std::ffi::CStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, kill, raise, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::unistd::setpgid;

use super::sys::{self, Pid, Signal};
use super::{Ended, clean, tree};

/// What the guardian is called, so that it is told from the supervisor by name.
pub const NAME: &CStr = c"flow-guardian";
/// What is passed on to the supervisor.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];
/// What asks for the end.
const ENDS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
/// A second SIGTERM of the same sender that comes so soon is the same.
const ECHO: Duration = Duration::from_millis(20);
/// How long it waits for room to say something, in milliseconds.
const SAYING: u16 = 1000;
/// How long the guardian waits for what it has killed: a process in an uninterruptible call may take for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the supervisor has of its guardian.
#[derive(Debug)]
pub struct Guardian {
    /// The process that the user knows.
    pub pid: Pid,
    /// Its end is the guardian's.
    pub pipe: OwnedFd,
    /// Its end is the supervisor's, for the guardian.
    pub held: OwnedFd,
}

/// Splits this process: the caller goes on as the supervisor, in a child; the process that called becomes its guardian,
/// which exits as the supervisor does and never returns. Call it before there is a second thread.
pub fn split() -> io::Result<Guardian> {
    let guardian = Pid::this();
    let (pipe, held) = sys::pipe()?;
    let (its_pipe, its_held) = sys::pipe()?;
    // Before the fork: there is no moment at which an orphan of the supervisor goes elsewhere.
    sys::become_subreaper()?;
    let mut signals: SigSet = PASSED_ON.into_iter().filter(|signal| *signal != Signal::SIGHUP).collect();
    // What nohup(1) and its like ignore stays ignored; a signal that is blocked would not.
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
            // Without, a guardian that is stopped when its supervisor is killed cleans up when it goes on.
            let _ = sys::go_on_when_closed(&its_pipe);
            guard(supervisor, &fd, (held, its_pipe))
        }
        Ok((_, None)) => {
            drop((held, its_pipe));
            // Without, a supervisor that is stopped when its guardian is killed cleans up when it goes on. If the guardian has ended
            // already, the pipe tells.
            let _ = sys::go_on_when_the_parent_ends();
            // The guardian does the same, so that it holds for both as soon as either goes on.
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
    // It may have done so itself, and be gone.
    let _ = setpgid(supervisor, supervisor);
    sys::name_process(NAME);
    let mut terminated = None;
    let ended = loop {
        let signal = match signals.read_signal() {
            Ok(Some(signal)) if is_echo(&signal, &mut terminated) => continue,
            Ok(Some(signal)) => Signal::try_from(signal.ssi_signo as i32),
            Ok(None) | Err(Errno::EINTR) => continue,
            // Without signals there is only the end to wait for.
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
            // The supervisor is not reaped yet: the number is its own.
            Ok(signal) => {
                let _ = kill(supervisor, signal);
                // If it is stopped, it would not hear.
                if ENDS.contains(&signal) {
                    let _ = kill(supervisor, Signal::SIGCONT);
                }
            }
            Err(_) => {}
        }
    };
    let cleaned = clean::leave_nothing(PATIENCE);
    say(ended, &cleaned);
    std::process::exit(match ended {
        Ended::Exited(code) => code,
        Ended::Killed(signal) => 128 + signal,
    })
}

/// Whether a SIGTERM is the second of a pair: timeout(1) sends it to its child, and at once to its own group, in which the
/// child is. The supervisor would take the second one for impatience.
fn is_echo(signal: &siginfo, last: &mut Option<(u32, Instant)>) -> bool {
    if signal.ssi_signo != Signal::SIGTERM as u32 {
        return false;
    }
    let now = Instant::now();
    let before = last.replace((signal.ssi_pid, now));
    before.is_some_and(|(pid, at)| pid == signal.ssi_pid && now - at < ECHO)
}

/// Reaps who has ended; whether the supervisor has.
fn end_of(supervisor: Pid) -> Option<Ended> {
    let mut found = None;
    while let Ok(Some(reaped)) = sys::reap() {
        if reaped.pid == supervisor {
            found = Some(reaped.ended);
        }
    }
    found
}

/// Ctrl-Z: the shell sees the process that it started stop, and the supervisor must not go on behind its back.
fn stop_with(supervisor: Pid) {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTSTP);
    let _ = kill(supervisor, Signal::SIGSTOP);
    let _ = raise(Signal::SIGTSTP);
    // Here it stops; and goes on at once where the kernel ignores the signal, in a group that no shell looks after.
    let _ = stop.thread_unblock();
    let _ = stop.thread_block();
    let _ = kill(supervisor, Signal::SIGCONT);
}

/// What a user has to know of an end that the supervisor could not explain. Where nobody reads standard error, it is not said.
fn say(ended: Ended, cleaned: &clean::Cleaned) {
    let mut text = String::new();
    if matches!(ended, Ended::Killed(_)) {
        text = format!("pushflow: the supervisor {ended}");
        match cleaned.killed {
            0 => {}
            1 => text.push_str("; one process that it left was killed"),
            killed => text.push_str(&format!("; {killed} processes that it left were killed")),
        }
        text.push('\n');
    }
    if !cleaned.survivors.is_empty() {
        text.push_str(&format!("pushflow: these processes survive SIGKILL: {}\n", tree::names(&cleaned.survivors)));
    }
    let stderr = io::stderr();
    let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if !text.is_empty() && poll(&mut ready, PollTimeout::from(SAYING)).is_ok_and(|ready| ready > 0) {
        let _ = (&stderr).write_all(text.as_bytes());
    }
}
