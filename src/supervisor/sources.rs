//! What the loop watches: tokens and what they stand for.

use std::io;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token, Waker, event};
use rustc_hash::FxHashMap;

use crate::graph::PoolId;
use crate::pool::WorkerId;
use crate::process::sys::Pid;
use crate::worker::{Channel, ChannelError, Queue};

/// What became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Signals,
    /// The pipe that ends with the guardian.
    Guardian,
    /// The end of a process that a finished task has left running.
    Leftover(Pid),
    /// The socket at which the tree is shown.
    Window,
    /// A connection that is being shown the tree.
    Viewer,
    /// What interpreters announce.
    Announced,
    Forkserver(PoolId),
    Worker(PoolId, WorkerId),
    Output,
    /// What a program prints that becomes a part of the payload.
    KeptOutput,
    /// The socket that workers behind launchers connect to.
    Doorway,
    /// A connection whose token has not been read yet.
    Stranger,
    /// Another thread has something for whoever turns the loop.
    Waker,
}

/// The registry. A token is never used twice, so an event for something that is gone finds nothing.
#[derive(Debug, Default)]
pub(super) struct Sources {
    known: FxHashMap<Token, Source>,
    next: usize,
}

impl Sources {
    /// Watches something for reading. ([`Sources::watch_unsent`] adds writing while there is something to write: a
    /// socket that can be written to says so each time the other side has read, which nobody wants to know.)
    pub(super) fn add(&mut self, poll: &Poll, what: &mut impl event::Source, source: Source) -> io::Result<Token> {
        let token = Token(self.next);
        self.next += 1;
        poll.registry().register(what, token, Interest::READABLE)?;
        self.known.insert(token, source);
        Ok(token)
    }

    /// A way for other threads to wake the loop.
    pub(super) fn waker(&mut self, poll: &Poll) -> io::Result<Waker> {
        let token = Token(self.next);
        self.next += 1;
        let waker = Waker::new(poll.registry(), token)?;
        self.known.insert(token, Source::Waker);
        Ok(waker)
    }

    /// After something was sent: watches the connection for writing while something is left over, and not otherwise.
    pub(super) fn watch_unsent(&self, poll: &Poll, channel: &mut Channel, token: Token) -> Result<(), ChannelError> {
        if let Some(writing) = channel.unsent_changed() {
            let interest = if writing { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            poll.registry().reregister(channel.stream(), token, interest)?;
        }
        if let Some((writing, queue)) = channel.queue().and_then(Queue::unsent_changed) {
            let (registry, queue) = (poll.registry(), queue.as_raw_fd());
            let mut queue = SourceFd(&queue);
            if writing {
                registry.register(&mut queue, token, Interest::WRITABLE)
            } else {
                registry.deregister(&mut queue)
            }?;
        }
        Ok(())
    }

    pub(super) fn get(&self, token: Token) -> Option<Source> {
        self.known.get(&token).copied()
    }

    /// Forgets something; it is no longer watched once it is closed.
    pub(super) fn remove(&mut self, poll: &Poll, what: &mut impl event::Source, token: Token) {
        self.known.remove(&token);
        // It is about to be closed, which ends the watching too.
        let _ = poll.registry().deregister(what);
    }
}
