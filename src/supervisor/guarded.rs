//! A supervisor with a guardian above it: whether that is still there.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::pipe::Receiver;

use super::sources::Source;
use super::{Supervisor, SupervisorError, guard};
use crate::process::guardian::Guardian;
use crate::process::sys::Pid;
use crate::process::{clean, tree};

/// How long the supervisor waits for what it has killed when its guardian is gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What is watched of the guardian.
pub(super) struct Guarded {
    pub(super) pid: Pid,
    pipe: Receiver,
    /// Its end tells the guardian, also one that is stopped.
    _held: OwnedFd,
    gone: bool,
}

impl Supervisor {
    /// From now on the end of the guardian is the end of everything: [`SupervisorError::Unguarded`].
    pub fn watch_guardian(&mut self, guardian: Guardian) -> Result<(), SupervisorError> {
        self.start_guard(Some(guardian.pipe.try_clone().map_err(SupervisorError::Setup)?))?;
        let mut pipe = Receiver::from(guardian.pipe);
        self.sources.add(&self.poll, &mut pipe, Source::Guardian).map_err(SupervisorError::Setup)?;
        self.guarded = Some(Guarded { pid: guardian.pid, pipe, _held: guardian.held, gone: false });
        Ok(())
    }

    /// From now on the loop is watched: if it does not turn, or does not notice the end of the guardian, the process is ended, and all
    /// below it. [`Supervisor::leave_loop`] says that it is not to turn any more.
    pub fn start_guard(&mut self, guardian: Option<OwnedFd>) -> Result<(), SupervisorError> {
        guard::start(Arc::clone(&self.pulse), guardian)
    }

    /// What follows is not the loop's, and may wait for whatever it likes.
    pub fn leave_loop(&self) {
        self.pulse.rests();
    }

    pub(super) fn on_guardian_ready(&mut self) {
        if let Some(guarded) = &mut self.guarded {
            // Nobody writes: it has nothing to read, or an end.
            let read = guarded.pipe.read(&mut [0; 1]);
            guarded.gone = !matches!(read, Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted));
        }
    }

    /// Who kills the process that they started wants nothing of it to go on.
    pub(super) fn still_guarded(&mut self) -> Result<(), SupervisorError> {
        match &self.guarded {
            Some(Guarded { gone: true, .. }) => {}
            _ => return Ok(()),
        }
        self.pulse.ends();
        let cleaned = clean::leave_nothing(PATIENCE);
        Err(SupervisorError::Unguarded(match cleaned.survivors.as_slice() {
            [] => format!("{} processes were killed", cleaned.killed),
            left => format!("these processes survive SIGKILL: {}", tree::names(left)),
        }))
    }
}
