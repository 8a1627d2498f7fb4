//! The event loop's registry: file descriptors, signals, timers that wake the loop, and who watches over the loop.
//!
//! It knows what became ready, not what to do about it: [`EventLoop::wait`] returns readiness, and the supervisor decides.

mod deferred;
mod guardian;
mod heartbeat;
mod source;
mod watchdog;

pub(super) use source::{Readiness, Source};

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker, event};
use rustc_hash::FxHashMap;
use signal_hook::consts::SIGCHLD;
use signal_hook_mio::v1_0::Signals;

use super::error::SupervisorError;
use crate::process::guardian::Guardian;
use crate::process::sys::Pid;
use crate::worker::{Channel, ChannelError, Queue};

use deferred::Deferred;
use guardian::GuardianPipe;
use heartbeat::Heartbeat;
use watchdog::Progress;

/// How many events one call of epoll_wait(2) returns.
const EVENTS_A_TURN: usize = 256;

/// What the loop waits for.
pub(super) struct EventLoop {
    poll: Poll,
    events: Events,
    signals: Signals,
    signals_token: Token,
    /// More children have ended than one turn reaps. No further SIGCHLD announces them.
    unreaped: bool,
    /// A token is never reused, so an event for a removed source finds nothing.
    sources: FxHashMap<Token, Source>,
    next_token: usize,
    deferred: Deferred,
    guardian: Option<GuardianPipe>,
    progress: Arc<Progress>,
    heartbeat: Option<Heartbeat>,
}

impl EventLoop {
    /// A loop that takes these signals of the process.
    pub(super) fn new(signals: impl IntoIterator<Item = i32>) -> io::Result<Self> {
        let mut this = EventLoop {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_A_TURN),
            signals: Signals::new(signals.into_iter().collect::<Vec<_>>())?,
            signals_token: Token(0),
            unreaped: false,
            sources: FxHashMap::default(),
            next_token: 1,
            deferred: Deferred::default(),
            guardian: None,
            progress: Arc::default(),
            heartbeat: None,
        };
        this.poll.registry().register(&mut this.signals, this.signals_token, Interest::READABLE)?;
        this.sources.insert(this.signals_token, Source::Signals);
        Ok(this)
    }

    /// Waits for readiness until the timeout. Sources that were deferred come first.
    #[must_use = "readiness is edge-triggered: an event that is dropped is lost"]
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> Result<Vec<Readiness>, SupervisorError> {
        self.progress.waits();
        let polled = self.poll.poll(&mut self.events, timeout);
        self.progress.works();
        match polled {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(SupervisorError::Poll(error)),
            _ => {}
        }
        let mut ready = self.deferred.take_due(Instant::now());
        ready.extend(self.events.iter().map(Readiness::of));
        Ok(ready)
    }

    /// What a token stands for, unless it was removed.
    pub(super) fn source(&self, token: Token) -> Option<Source> {
        self.sources.get(&token).copied()
    }

    /// Watches a source for reading. [`EventLoop::watch_unsent`] adds writing while there is something to write: a socket
    /// that is watched for writing wakes the loop each time the other side has read.
    pub(super) fn watch(&mut self, what: &mut impl event::Source, source: Source) -> io::Result<Token> {
        let token = self.new_token();
        self.poll.registry().register(what, token, Interest::READABLE)?;
        self.sources.insert(token, source);
        Ok(token)
    }

    /// Watches a source, which is being read already, for writing too.
    pub(super) fn watch_writing(&self, what: &mut impl event::Source, token: Token) -> io::Result<()> {
        self.poll.registry().reregister(what, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// After something was sent: watches the connection for writing while something is unsent, and not otherwise.
    pub(super) fn watch_unsent(&self, channel: &mut Channel, token: Token) -> Result<(), ChannelError> {
        if let Some(writing) = channel.unsent_changed() {
            let interest = if writing { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            self.poll.registry().reregister(channel.stream(), token, interest)?;
        }
        if let Some((writing, queue)) = channel.queue().and_then(Queue::unsent_changed) {
            let (registry, queue) = (self.poll.registry(), queue.as_raw_fd());
            let mut queue = SourceFd(&queue);
            if writing {
                registry.register(&mut queue, token, Interest::WRITABLE)
            } else {
                registry.deregister(&mut queue)
            }?;
        }
        Ok(())
    }

    /// Stops watching a source that is about to be closed.
    pub(super) fn unwatch(&mut self, what: &mut impl event::Source, token: Token) {
        self.sources.remove(&token);
        // Closing it ends the watching too.
        let _ = self.poll.registry().deregister(what);
    }

    /// A handle with which another thread ends [`EventLoop::wait`].
    pub(super) fn waker(&mut self) -> io::Result<Waker> {
        let token = self.new_token();
        let waker = Waker::new(self.poll.registry(), token)?;
        self.sources.insert(token, Source::Waker);
        Ok(waker)
    }

    fn new_token(&mut self) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        token
    }

    /// Reports a source as readable in the next turn: it has more to read than one turn takes.
    pub(super) fn defer(&mut self, token: Token) {
        self.deferred.add_to_next_turn(token);
    }

    /// Reports a source as readable at a given time: it cannot be read now, and no event tells when it can.
    pub(super) fn defer_until(&mut self, token: Token, at: Instant) {
        self.deferred.until(token, at);
    }

    /// The signals that have arrived, SIGCHLD among them while children are left to reap.
    pub(super) fn take_signals(&mut self) -> Vec<i32> {
        let unreaped = std::mem::take(&mut self.unreaped).then_some(SIGCHLD);
        self.signals.pending().chain(unreaped).collect()
    }

    /// One turn has reaped as many children as it may: the rest comes in the next turn.
    pub(super) fn defer_reaping(&mut self) {
        self.unreaped = true;
        self.deferred.add_to_next_turn(self.signals_token);
    }

    /// When to wake up for the loop's own sake.
    pub(super) fn next_time(&self, now: Instant) -> Option<Instant> {
        self.deferred.next_time(now).into_iter().chain(self.heartbeat.as_ref().map(Heartbeat::next_time)).min()
    }

    pub(super) fn on_time(&mut self, now: Instant) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.on_time(now);
        }
    }

    /// Calls `beat` in the next turn, and then that often.
    pub(super) fn set_heartbeat(&mut self, every: Duration, beat: impl FnMut() + 'static) {
        self.heartbeat = Some(Heartbeat::new(every, Instant::now(), beat));
    }

    /// Starts the watchdog thread: it ends the process and all below it if the loop does not turn, or does not notice the end of
    /// the guardian. [`EventLoop::pause_watchdog`] says that the loop is not to turn any more.
    pub(super) fn start_watchdog(&self, guardian: Option<OwnedFd>) -> Result<(), SupervisorError> {
        watchdog::start(Arc::clone(&self.progress), guardian)
    }

    /// What follows is not the loop's work, and may take any time.
    pub(super) fn pause_watchdog(&self) {
        self.progress.waits();
    }

    /// Watches the guardian: its end is the end of everything ([`SupervisorError::Unguarded`]).
    pub(super) fn watch_guardian(&mut self, guardian: Guardian) -> Result<(), SupervisorError> {
        self.start_watchdog(Some(guardian.pipe.try_clone().map_err(SupervisorError::Setup)?))?;
        let mut guardian = GuardianPipe::new(guardian);
        self.watch(guardian.pipe(), Source::Guardian).map_err(SupervisorError::Setup)?;
        self.guardian = Some(guardian);
        Ok(())
    }

    /// The guardian's process.
    pub(super) fn guardian_pid(&self) -> Option<Pid> {
        self.guardian.as_ref().map(GuardianPipe::pid)
    }

    pub(super) fn on_guardian_ready(&mut self) {
        if let Some(guardian) = &mut self.guardian {
            guardian.on_ready();
        }
    }

    /// Whoever kills the process that they started wants all of it to end: if the guardian is gone, kills everything.
    pub(super) fn check_guardian(&self) -> Result<(), SupervisorError> {
        match &self.guardian {
            Some(guardian) if guardian.is_gone() => {
                self.progress.ends();
                guardian::kill_everything()
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use mio::unix::pipe::Receiver;

    use super::*;
    use crate::process::sys;

    /// A test that waits longer has failed.
    const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));

    fn tokens(ready: &[Readiness]) -> Vec<Token> {
        ready.iter().map(|readiness| readiness.token).collect()
    }

    #[test]
    fn a_source_is_reported_until_it_is_removed_and_its_token_is_never_reused() {
        let mut event_loop = EventLoop::new([]).unwrap();
        let (read, write) = sys::pipe().unwrap();
        let mut read = Receiver::from(read);
        let token = event_loop.watch(&mut read, Source::Output).unwrap();
        std::fs::File::from(write.try_clone().unwrap()).write_all(b"x").unwrap();
        let ready = event_loop.wait(PATIENCE).unwrap();
        assert_eq!(ready, [Readiness { token, readable: true, writable: false }]);
        assert_eq!(event_loop.source(token), Some(Source::Output));
        event_loop.unwatch(&mut read, token);
        assert_eq!(event_loop.source(token), None);
        assert_ne!(event_loop.watch(&mut read, Source::KeptOutput).unwrap(), token);
    }

    #[test]
    fn deferred_sources_come_first_and_once() {
        let mut event_loop = EventLoop::new([]).unwrap();
        let (read, write) = sys::pipe().unwrap();
        let mut read = Receiver::from(read);
        let token = event_loop.watch(&mut read, Source::Output).unwrap();
        std::fs::File::from(write).write_all(b"x").unwrap();
        event_loop.defer(Token(77));
        assert_eq!(tokens(&event_loop.wait(PATIENCE).unwrap()), [Token(77), token]);
        assert!(event_loop.wait(Some(Duration::ZERO)).unwrap().is_empty());
    }

    #[test]
    fn reaping_that_was_deferred_is_a_signal_of_the_next_turn() {
        let mut event_loop = EventLoop::new([]).unwrap();
        event_loop.defer_reaping();
        assert_eq!(tokens(&event_loop.wait(Some(Duration::ZERO)).unwrap()), [event_loop.signals_token]);
        assert_eq!(event_loop.take_signals(), [SIGCHLD]);
        assert!(event_loop.take_signals().is_empty());
    }

    #[test]
    fn a_waker_ends_the_waiting_of_another_thread() {
        let mut event_loop = EventLoop::new([]).unwrap();
        let waker = event_loop.waker().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| waker.wake().unwrap());
            let ready = event_loop.wait(PATIENCE).unwrap();
            assert_eq!(event_loop.source(ready[0].token), Some(Source::Waker));
        });
    }
}
