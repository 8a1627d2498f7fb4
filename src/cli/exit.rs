//! The exit statuses, in one place.

use std::process::ExitCode;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::engine::Status;

/// How `pushflow` exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: it went well.
    Finished,
    /// 1: the run ended in error (`error`, `failed`, `stopped`, `aborted`), or something broke.
    Error,
    /// 2: wrong usage, or an invalid file.
    Usage,
    /// 3: there is no such workflow, run or service.
    NotFound,
    /// 70: the supervisor of a service broke, and may be started again (`EX_SOFTWARE` of sysexits.h).
    Broken,
    /// 124: the run took longer than its timeout (as `timeout(1)` says it).
    Timeout,
    /// 128 and the number of the signal that ended the run.
    Signal(i32),
}

impl Exit {
    /// The status for a run that ended so, after these signals.
    pub fn of_run(status: &Status, signal: Option<i32>) -> Self {
        match (status, signal) {
            (Status::Stopped | Status::Aborted, Some(signal @ (SIGINT | SIGTERM | SIGHUP))) => Exit::Signal(signal),
            (Status::Finished | Status::Word(_), _) => Exit::Finished,
            (Status::Timeout, _) => Exit::Timeout,
            (Status::Error | Status::Failed | Status::Stopped | Status::Aborted, _) => Exit::Error,
        }
    }

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Finished => 0,
            Exit::Error => 1,
            Exit::Usage => 2,
            Exit::NotFound => 3,
            Exit::Broken => 70,
            Exit::Timeout => 124,
            Exit::Signal(signal) => 128 + signal as u8,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
