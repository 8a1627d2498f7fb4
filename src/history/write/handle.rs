//! The loop's side of the history. Writes go in without waiting for the disk, and replies come back when it has answered.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::queue::{TaskNews, Wake, WriteQueue};
use super::writer::Writer;
use crate::history::entry::{Entry, NewRun, RunEnd, WriteId, WriterReply};
use crate::history::{HistoryError, Settings};

/// The history, as the loop has it.
pub struct History {
    queue: Arc<WriteQueue>,
    replies: mpsc::Receiver<WriterReply>,
    thread: Option<JoinHandle<()>>,
    last_id: u64,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").finish_non_exhaustive()
    }
}

impl History {
    /// Starts the writer. Its first reply says whether the history is open.
    pub fn start(settings: Settings, wake: Wake) -> Result<Self, HistoryError> {
        let queue = Arc::<WriteQueue>::default();
        let (sender, replies) = mpsc::channel();
        let path = settings.path.clone();
        let writer = Writer::new(settings, Arc::clone(&queue), sender, wake);
        let thread = std::thread::Builder::new().name("history".to_owned()).spawn(move || writer.work());
        let thread = thread.map_err(|error| HistoryError::Folder { path, error })?;
        Ok(History { queue, replies, thread: Some(thread), last_id: 0 })
    }

    /// A run was accepted. [`WriterReply::Written`] has its number.
    pub fn accept(&mut self, run: Arc<NewRun>) -> WriteId {
        let id = self.next_id();
        self.queue.put(Entry::New { id, run });
        id
    }

    /// A queued run begins. [`WriterReply::Written`] says when that is on the disk.
    pub fn begin(&mut self, run: u64, at: u64) -> WriteId {
        let id = self.next_id();
        self.queue.put(Entry::Begun { id: Some(id), run, at });
        id
    }

    /// A run is being stopped: it does not run again, whatever happens.
    pub fn stopping(&self, run: u64, reason: &str) {
        self.queue.put(Entry::Stopping { run, reason: reason.to_owned() });
    }

    /// A run has ended. [`WriterReply::Written`] says when that is on the disk.
    pub fn end(&mut self, end: RunEnd) -> WriteId {
        let id = self.next_id();
        self.queue.put(Entry::Ended { id: Some(id), end: Box::new(end) });
        id
    }

    /// The way for what tasks do.
    pub fn tasks(&self) -> TaskNews {
        TaskNews::new(Arc::clone(&self.queue))
    }

    /// The next reply of the writer, if there is one.
    pub fn reply(&self) -> Option<WriterReply> {
        self.replies.try_recv().ok()
    }

    /// Waits for a reply of the writer.
    pub fn wait_for_reply(&self, patience: Duration) -> Option<WriterReply> {
        self.replies.recv_timeout(patience).ok()
    }

    /// Writes what is queued and closes the file. Whether that was done within `patience`.
    pub fn close(mut self, patience: Duration) -> bool {
        let Some(thread) = self.thread.take() else { return true };
        self.queue.close();
        let by = Instant::now() + patience;
        // The channel closes with the thread.
        while let Some(left) = by.checked_duration_since(Instant::now()) {
            match self.replies.recv_timeout(left) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return thread.join().is_ok(),
                Err(mpsc::RecvTimeoutError::Timeout) => return false,
            }
        }
        false
    }

    fn next_id(&mut self) -> WriteId {
        self.last_id += 1;
        WriteId(self.last_id)
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.queue.close();
    }
}
