//! The processes of the service, read when a caller asks for them.
//!
//! /proc is read on the bus thread. The loop only adds to which worker, task or run a process belongs. Everybody may ask, so
//! readings are used for a while and never made at the same time: many calls take a bounded share of this thread's time, and a
//! small one of the loop's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_lock::Mutex;

use super::loop_handle::LoopHandle;
use crate::process::tree::Snapshot;
use crate::service::{Command, RequestError, Response};
use crate::supervisor::listing::{ListedProcess, Listing};

/// For how long a reading is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Freshness {
    /// A multiple of the time that reading took,
    factor: u32,
    /// but at most this.
    max_age: Duration,
}

/// For lists of all processes.
pub(super) const FOR_LISTS: Freshness = Freshness { factor: 4, max_age: Duration::from_millis(100) };
/// For the objects, after a change.
pub(super) const FOR_CHANGES: Freshness = Freshness { factor: 0, max_age: Duration::ZERO };
/// For single properties, of which clients read many.
pub(super) const FOR_PROPERTIES: Freshness = Freshness { factor: 20, max_age: Duration::from_secs(1) };

/// The last reading.
#[derive(Debug, Default)]
pub(super) struct ProcessCache(Mutex<Option<Reading>>);

#[derive(Debug)]
struct Reading {
    processes: Arc<ProcessList>,
    at: Instant,
    cost: Duration,
}

/// The processes as they were at one moment.
#[derive(Debug)]
pub(super) struct ProcessList {
    pub(super) listing: Listing,
    /// The number of the reading.
    pub(super) number: u64,
    by_pid: HashMap<i32, usize>,
}

impl ProcessList {
    /// The process with this pid.
    pub(super) fn find(&self, pid: i32) -> Option<&ListedProcess> {
        self.by_pid.get(&pid).and_then(|at| self.listing.processes.get(*at))
    }
}

impl ProcessCache {
    /// The processes as they are now, or as they were a moment ago.
    pub(super) async fn list(
        &self,
        to_loop: &LoopHandle,
        freshness: Freshness,
    ) -> Result<Arc<ProcessList>, RequestError> {
        let mut last = self.0.lock().await;
        let now = Instant::now();
        let is_fresh = |reading: &&Reading| now < reading.at + (reading.cost * freshness.factor).min(freshness.max_age);
        if let Some(reading) = last.as_ref().filter(is_fresh) {
            return Ok(Arc::clone(&reading.processes));
        }
        let before = last.as_ref().map(|reading| (reading.cost, reading.processes.number));
        let snapshot = Snapshot::take();
        let took = now.elapsed();
        // The loop announces changes the less often the longer a whole reading takes.
        let cost = before.map_or(took, |(cost, _)| cost.max(took));
        let Response::Processes(mut listing) = to_loop.call(Command::ListProcesses(snapshot, cost)).await? else {
            return Err(RequestError::Failed("the processes were not listed".to_owned()));
        };
        let details = Instant::now();
        listing.add_details();
        let cost = took + details.elapsed();
        let by_pid = listing.processes.iter().enumerate().map(|(at, process)| (process.pid, at)).collect();
        let number = before.map_or(1, |(_, number)| number + 1);
        let processes = Arc::new(ProcessList { listing, number, by_pid });
        *last = Some(Reading { processes: Arc::clone(&processes), at: now, cost });
        Ok(processes)
    }
}
