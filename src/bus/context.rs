//! What the objects on the bus have in common, and the way to the loop.

use std::path::Path;
use std::sync::{Arc, mpsc};

use mio::Waker;
use tracing::info;

use super::authorization::KnownCallers;
use super::names;
use super::process::ExportedProcesses;
use super::process_cache::ProcessCache;
use super::usage::ServiceUsage;
use crate::service::{Command, Request, RequestError, Response, StatusSnapshot};

/// Which bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusType {
    /// The system bus.
    System,
    /// The user's session bus.
    Session,
}

impl BusType {
    /// Its name for people.
    pub fn word(self) -> &'static str {
        match self {
            BusType::System => "system bus",
            BusType::Session => "session bus",
        }
    }
}

/// The way to the loop.
#[derive(Debug, Clone)]
pub struct LoopHandle {
    requests: mpsc::Sender<Request>,
    waker: Arc<Waker>,
}

impl LoopHandle {
    /// Requests arrive at the other end of the channel, and the waker wakes the loop that reads them there.
    pub fn new(requests: mpsc::Sender<Request>, waker: Arc<Waker>) -> Self {
        LoopHandle { requests, waker }
    }

    /// Sends a command, and waits for the response.
    pub(super) async fn call(&self, command: Command) -> Result<Response, RequestError> {
        let (reply, response) = async_channel::bounded(1);
        let gone = || RequestError::ShuttingDown("the service has ended".to_owned());
        self.requests.send(Request { command, reply }).map_err(|_| gone())?;
        self.waker.wake().map_err(|error| RequestError::Failed(format!("cannot wake the supervisor: {error}")))?;
        response.recv().await.map_err(|_| gone())?
    }

    /// Sends a command without waiting.
    pub(super) fn tell(&self, command: Command) {
        let (reply, _) = async_channel::bounded(1);
        if self.requests.send(Request { command, reply }).is_ok() {
            // If the loop cannot be woken, it reads the request in its next turn.
            let _ = self.waker.wake();
        }
    }
}

/// What the objects of one connection have in common. Unique names are valid on one bus only, and a restarted bus assigns them
/// anew: what is known of callers and objects ends with the connection, also for calls that are still being answered.
#[derive(Debug)]
pub(super) struct BusContext {
    pub(super) bus: BusType,
    /// The name of the service.
    pub(super) name: String,
    pub(super) snapshot: Arc<StatusSnapshot>,
    pub(super) to_loop: LoopHandle,
    pub(super) callers: KnownCallers,
    pub(super) processes: ProcessCache,
    pub(super) exported: ExportedProcesses,
    pub(super) usage: Arc<ServiceUsage>,
}

impl BusContext {
    pub(super) fn new(
        bus: BusType,
        name: &str,
        snapshot: Arc<StatusSnapshot>,
        to_loop: LoopHandle,
        cgroup: Option<(&str, &Path)>,
    ) -> Self {
        BusContext {
            bus,
            name: name.to_owned(),
            snapshot,
            to_loop,
            callers: KnownCallers::default(),
            processes: ProcessCache::default(),
            exported: ExportedProcesses::default(),
            usage: Arc::new(ServiceUsage::of(cgroup)),
        }
    }

    /// The same service on the next connection.
    pub(super) fn of_next_connection(&self) -> Self {
        BusContext {
            bus: self.bus,
            name: self.name.clone(),
            snapshot: Arc::clone(&self.snapshot),
            to_loop: self.to_loop.clone(),
            callers: KnownCallers::default(),
            processes: ProcessCache::default(),
            exported: ExportedProcesses::default(),
            usage: Arc::clone(&self.usage),
        }
    }

    pub(super) fn on_connected(&self) {
        info!("on the {} as {}", self.bus.word(), names::service(&self.name));
        self.to_loop.tell(Command::BusTried);
    }
}
