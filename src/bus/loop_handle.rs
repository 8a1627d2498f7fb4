//! The way from the bus to the loop.

use std::sync::{Arc, mpsc};

use mio::Waker;

use crate::service::{Command, Request, RequestError, Response};

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
