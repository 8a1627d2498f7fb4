//! The processes of the service, read when somebody asks.
//!
//! /proc is read on the thread of the bus; the loop says only whose each process is. Everyone may ask: who does so while what
//! was read last is fresh gets that, and never do two read at once, so that a flood of calls takes a small share of the
//! time of either.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Loop;
use crate::process::tree::Snapshot;
use crate::service::{Answer, Ask, Refusal};
use crate::supervisor::listing::Listing;

/// What was read is fresh for so many times as long as reading took.
const REST: u32 = 20;

/// What was read last.
#[derive(Debug)]
pub(super) struct Census {
    last: Mutex<Option<Taken>>,
    /// Has room for one: who reads puts something in, and takes it out again.
    turn: (async_channel::Sender<()>, async_channel::Receiver<()>),
}

#[derive(Debug)]
struct Taken {
    listing: Arc<Listing>,
    fresh_until: Instant,
}

/// Somebody's turn.
struct Turn<'a>(&'a async_channel::Receiver<()>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // What was put in is there.
        let _ = self.0.try_recv();
    }
}

impl Default for Census {
    fn default() -> Self {
        Census { last: Mutex::new(None), turn: async_channel::bounded(1) }
    }
}

impl Census {
    /// The processes as they are now, or were a moment ago.
    pub(super) async fn take(&self, to_loop: &Loop) -> Result<Arc<Listing>, Refusal> {
        // Both ends are here: it is not closed.
        let _ = self.turn.0.send(()).await;
        let _turn = Turn(&self.turn.1);
        let now = Instant::now();
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = last().as_ref().filter(|taken| now < taken.fresh_until) {
            return Ok(Arc::clone(&taken.listing));
        }
        let snapshot = Snapshot::take();
        let read = now.elapsed();
        let Answer::Processes(mut listing) = to_loop.ask(Ask::Arrange(snapshot)).await? else {
            return Err(Refusal::Failed("the processes were not listed".to_owned()));
        };
        let closer = Instant::now();
        listing.look_closer();
        let cost: Duration = read + closer.elapsed();
        let listing = Arc::new(listing);
        *last() = Some(Taken { listing: Arc::clone(&listing), fresh_until: Instant::now() + cost * REST });
        Ok(listing)
    }
}
