//! Something that only one may do at a time, while others wait without holding up the thread.

/// Has room for one: who is at it has put something in, and takes it out again.
#[derive(Debug)]
pub(super) struct Turns(async_channel::Sender<()>, async_channel::Receiver<()>);

/// Somebody's turn, over with the value.
pub(super) struct Turn<'a>(&'a async_channel::Receiver<()>);

impl Default for Turns {
    fn default() -> Self {
        let (put, take) = async_channel::bounded(1);
        Turns(put, take)
    }
}

impl Turns {
    /// Waits for one's turn.
    pub(super) async fn take(&self) -> Turn<'_> {
        // Both ends are here: it is not closed.
        let _ = self.0.send(()).await;
        Turn(&self.1)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // What was put in is there.
        let _ = self.0.try_recv();
    }
}
