//! What the loop watches, and what it reports of that.

use mio::Token;
use mio::event::Event;

use crate::graph::PoolId;
use crate::pool::WorkerId;
use crate::process::sys::Pid;

/// What a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Source {
    Signals,
    /// The pipe that ends with the guardian.
    Guardian,
    /// The end of a process that a finished task has left running.
    Leftover(Pid),
    /// The status socket.
    StatusSocket,
    /// A connection to the status socket.
    StatusClient,
    /// The pipe through which interpreters announce the processes that tasks start.
    Announced,
    Forkserver(PoolId),
    Worker(PoolId, WorkerId),
    Output,
    /// The standard output of a program that becomes part of the payload.
    KeptOutput,
    /// The socket that workers behind launchers connect to.
    LauncherListener,
    /// A connection whose token has not been read yet.
    UnauthenticatedPeer,
    /// Another thread has something for whoever turns the loop.
    Waker,
}

/// That a source became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) struct Readiness {
    pub(in crate::supervisor) token: Token,
    pub(in crate::supervisor) readable: bool,
    pub(in crate::supervisor) writable: bool,
}

impl Readiness {
    pub(super) fn of(event: &Event) -> Self {
        Readiness {
            token: event.token(),
            readable: event.is_readable() || event.is_read_closed(),
            writable: event.is_writable(),
        }
    }

    /// There is something to read, whatever else.
    pub(super) fn to_read(token: Token) -> Self {
        Readiness { token, readable: true, writable: false }
    }
}
