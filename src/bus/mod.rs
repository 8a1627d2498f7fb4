//! The D-Bus interfaces of a service, on a thread of their own.
//!
//! Every method call is one message to the loop and is answered by one; what can be looked at is read from the
//! [`Board`]; what happens comes as [`Notice`]s and leaves as signals. A bus that is not there, or goes away, changes
//! nothing for the runs: it is tried again.

mod actor;
mod authority;
pub mod names;
mod presence;
mod refusal;
mod run;
mod values;
mod workflow;

use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use mio::Waker;
use tracing::{info, warn};

use crate::service::{Answer, Ask, Board, Notice, Refusal, Request};
use authority::Authority;
pub use refusal::answered;

/// Which bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The system's.
    System,
    /// The user's.
    Session,
}

impl Which {
    /// How people call it.
    pub fn word(self) -> &'static str {
        match self {
            Which::System => "system bus",
            Which::Session => "session bus",
        }
    }
}

/// The way to the loop.
#[derive(Debug)]
pub struct Loop {
    requests: mpsc::Sender<Request>,
    waker: Arc<Waker>,
}

impl Loop {
    /// The requests arrive at the other end of the channel, and the waker wakes whoever reads them there.
    pub fn new(requests: mpsc::Sender<Request>, waker: Arc<Waker>) -> Self {
        Loop { requests, waker }
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, Refusal> {
        let (answer, answered) = async_channel::bounded(1);
        let gone = || Refusal::ShuttingDown("the service has ended".to_owned());
        self.requests.send(Request { ask, answer }).map_err(|_| gone())?;
        self.waker.wake().map_err(|error| Refusal::Failed(format!("cannot wake the supervisor: {error}")))?;
        answered.recv().await.map_err(|_| gone())?
    }

    /// Tells without waiting for an answer.
    fn tell(&self, ask: Ask) {
        let (answer, _) = async_channel::bounded(1);
        if self.requests.send(Request { ask, answer }).is_ok() {
            // A loop that cannot be woken still comes round.
            let _ = self.waker.wake();
        }
    }
}

/// What the objects on the bus have in common.
#[derive(Debug)]
struct Office {
    which: Which,
    /// The instance's name, as the unit has it.
    name: String,
    board: Arc<Board>,
    to_loop: Loop,
    authority: Authority,
}

/// The pause before the bus is tried again: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Puts a service on the bus, and keeps it there until it is told to let go ([`Notice::Close`]).
pub fn start(
    which: Which,
    name: &str,
    board: Arc<Board>,
    to_loop: Loop,
    notices: async_channel::Receiver<Notice>,
) -> io::Result<thread::JoinHandle<()>> {
    let office = Arc::new(Office { which, name: name.to_owned(), board, to_loop, authority: Authority::default() });
    thread::Builder::new().name("bus".to_owned()).spawn(move || stay(&office, &notices))
}

fn stay(office: &Arc<Office>, notices: &async_channel::Receiver<Notice>) {
    let (mut pause, longest) = PAUSES;
    let mut said = String::new();
    loop {
        match zbus::block_on(presence::be_present(office, notices)) {
            Ok(presence::Left::Asked) => return,
            Ok(presence::Left::Lost) => {
                warn!("the connection to the {} is lost: runs go on, and it is tried again", office.which.word());
                pause = PAUSES.0;
                said.clear();
            }
            Err(error) => {
                let why = presence::explain(office, &error);
                if why != said {
                    warn!("{why}; the workflow runs without, and it is tried again");
                    said = why;
                }
                office.to_loop.tell(Ask::BusTried);
            }
        }
        // Who waits for this thread wakes it up.
        thread::park_timeout(pause);
        pause = (pause * 2).min(longest);
        // What nobody could be told is not told later: the board has what is so.
        loop {
            match notices.try_recv() {
                Ok(Notice::Close) | Err(async_channel::TryRecvError::Closed) => return,
                Ok(_) => {}
                Err(async_channel::TryRecvError::Empty) => break,
            }
        }
    }
}

impl Office {
    fn came(&self) {
        info!("on the {} as {}", self.which.word(), names::service(&self.name));
        self.to_loop.tell(Ask::BusTried);
    }
}

/// Gives the thread a moment to send what it was told last. One that is stuck goes with the process.
pub fn wait_for(thread: thread::JoinHandle<()>) {
    thread.thread().unpark();
    let (done, waited_for) = mpsc::channel();
    // Nobody listens any more once the moment is over.
    let waiter = thread::Builder::new().spawn(move || done.send(thread.join().is_ok()));
    if waiter.is_ok() {
        let _ = waited_for.recv_timeout(Duration::from_secs(1));
    }
}
