//! The guardian above the supervisor: whether it is still there.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::unix::pipe::Receiver;

use crate::process::guardian::Guardian;
use crate::process::sys::Pid;
use crate::process::{descendants, tree};
use crate::supervisor::error::SupervisorError;

/// How long the supervisor waits for what it has killed when its guardian is gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The pipe that ends with the guardian.
pub(super) struct GuardianPipe {
    pid: Pid,
    pipe: Receiver,
    /// Its end tells the guardian, also one that is stopped, that the supervisor is gone.
    _held: OwnedFd,
    gone: bool,
}

impl GuardianPipe {
    pub(super) fn new(guardian: Guardian) -> Self {
        let pipe = Receiver::from(guardian.pipe);
        GuardianPipe { pid: guardian.pid, pipe, _held: guardian.held, gone: false }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn pipe(&mut self) -> &mut Receiver {
        &mut self.pipe
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    pub(super) fn on_ready(&mut self) {
        // Nobody writes into it: it is empty, or has ended.
        let read = self.pipe.read(&mut [0; 1]);
        let empty = matches!(
            read,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
        );
        self.gone = !empty;
    }
}

/// Kills everything below the supervisor. Returns the error that says so.
pub(super) fn kill_everything() -> Result<(), SupervisorError> {
    let cleaned = descendants::kill_all(PATIENCE);
    Err(SupervisorError::Unguarded(match cleaned.survivors.as_slice() {
        [] => format!("{} processes were killed", cleaned.killed),
        left => format!("these processes survive SIGKILL: {}", tree::names(left)),
    }))
}
