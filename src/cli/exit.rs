//! The exit statuses.

use std::process::ExitCode;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::engine::Status;

/// The exit status of `pushflow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: success.
    Finished,
    /// 1: the run ended in error (`error`, `failed`, `stopped`, `aborted`), or something broke.
    Error,
    /// 2: wrong usage, or an invalid file.
    Usage,
    /// 3: there is no such workflow, run or service.
    NotFound,
    /// 70: internal error of a service, which can be restarted (`EX_SOFTWARE` of sysexits.h).
    Broken,
    /// 124: the run reached its time limit, as with timeout(1).
    Timeout,
    /// 128 and the number of the signal that ended the run.
    Signal(i32),
}

impl Exit {
    /// The exit status for the status of a run, and the signal that ended it.
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
