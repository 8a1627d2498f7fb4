//! What the loop watches: tokens and what they stand for.

use std::collections::HashMap;
use std::io;

use mio::{Interest, Poll, Token, event};

use crate::graph::PoolId;
use crate::pool::WorkerId;

/// What became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Signals,
    Forkserver(PoolId),
    Worker(PoolId, WorkerId),
    Output,
}

/// The registry. A token is never used twice, so an event for something that is gone finds nothing.
#[derive(Debug, Default)]
pub(super) struct Sources {
    known: HashMap<Token, Source>,
    next: usize,
}

impl Sources {
    /// Watches something for reading, and for writing if `source` is a connection.
    pub(super) fn add(&mut self, poll: &Poll, what: &mut impl event::Source, source: Source) -> io::Result<Token> {
        let token = Token(self.next);
        self.next += 1;
        let interest = match source {
            Source::Signals | Source::Output => Interest::READABLE,
            Source::Forkserver(_) | Source::Worker(..) => Interest::READABLE | Interest::WRITABLE,
        };
        poll.registry().register(what, token, interest)?;
        self.known.insert(token, source);
        Ok(token)
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
