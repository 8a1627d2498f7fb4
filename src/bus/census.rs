//! The processes of the service, read when somebody asks.
//!
//! /proc is read on the thread of the bus; the loop says only whose each process is. Everyone may ask: who does so while what
//! was read last is fresh gets that, and never do two read at once, so that a flood of calls takes a share of the time of
//! this thread, and a small one of the loop's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Loop;
use super::turn::Turns;
use crate::process::tree::Snapshot;
use crate::service::{Answer, Ask, Refusal};
use crate::supervisor::listing::{ListedProcess, Listing};

/// For how long what was read is good enough.
#[derive(Debug, Clone, Copy)]
pub(super) struct Freshness {
    /// So many times as long as reading took,
    rest: u32,
    /// and no longer than this.
    most: Duration,
}

/// For those who list the processes.
pub(super) const FOR_LISTS: Freshness = Freshness { rest: 4, most: Duration::from_millis(100) };
/// For the objects, when it is known that something has changed.
pub(super) const FOR_NEWS: Freshness = Freshness { rest: 0, most: Duration::ZERO };
/// For a single property: there are many of them.
pub(super) const FOR_PROPERTIES: Freshness = Freshness { rest: 20, most: Duration::from_secs(1) };

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Census {
    last: Mutex<Option<Taken>>,
    turns: Turns,
}

#[derive(Debug)]
struct Taken {
    people: Arc<People>,
    at: Instant,
    cost: Duration,
}

/// The processes as they were at one moment.
#[derive(Debug)]
pub(super) struct People {
    pub(super) listing: Listing,
    /// Counts how often they were read.
    pub(super) number: u64,
    by_pid: HashMap<i32, usize>,
}

impl People {
    /// The process of this number.
    pub(super) fn find(&self, pid: i32) -> Option<&ListedProcess> {
        self.by_pid.get(&pid).and_then(|at| self.listing.processes.get(*at))
    }
}

impl Census {
    /// The processes as they are now, or were a moment ago.
    pub(super) async fn take(&self, to_loop: &Loop, freshness: Freshness) -> Result<Arc<People>, Refusal> {
        let _turn = self.turns.take().await;
        let now = Instant::now();
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |taken: &&Taken| now < taken.at + (taken.cost * freshness.rest).min(freshness.most);
        if let Some(taken) = last().as_ref().filter(is_fresh) {
            return Ok(Arc::clone(&taken.people));
        }
        let before = last().as_ref().map(|taken| (taken.cost, taken.people.number));
        let snapshot = Snapshot::take();
        let took = now.elapsed();
        // How often the loop has this done depends on what all of it takes.
        let cost = before.map_or(took, |(cost, _)| cost.max(took));
        let Answer::Processes(mut listing) = to_loop.ask(Ask::Arrange(snapshot, cost)).await? else {
            return Err(Refusal::Failed("the processes were not listed".to_owned()));
        };
        let closer = Instant::now();
        listing.add_details();
        let cost = took + closer.elapsed();
        let by_pid = listing.processes.iter().enumerate().map(|(at, process)| (process.pid, at)).collect();
        let number = before.map_or(1, |(_, number)| number + 1);
        let people = Arc::new(People { listing, number, by_pid });
        *last() = Some(Taken { people: Arc::clone(&people), at: now, cost });
        Ok(people)
    }
}
