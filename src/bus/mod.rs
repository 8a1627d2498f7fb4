//! The D-Bus interfaces of a service, on a thread of their own.
//!
//! Every method call is one message to the loop and is answered by one; what can be looked at is read from the
//! [`Board`]; what happens comes as [`Notice`]s and leaves as signals. A bus that is not there, or goes away, changes
//! nothing for the runs: it is tried again.

mod actor;
mod authority;
mod census;
mod figures;
pub mod names;
mod presence;
mod process;
mod refusal;
mod run;
mod turn;
mod values;
mod workflow;

use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use mio::Waker;
use tracing::{info, warn};

use crate::service::{Answer, Ask, Board, Notice, Refusal, Request};
use authority::Authority;
use census::Census;
use figures::Figures;
use process::Shown;
pub use refusal::answered;
pub(crate) use values::{MOST_INPUTS, too_large};

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
#[derive(Debug, Clone)]
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

/// What the objects on the bus have in common: one for each connection. Unique names mean something on one bus only, and a bus
/// that is started again gives them anew: what is known of callers and of objects ends with the connection, also for
/// calls that are answered while the next one is made.
#[derive(Debug)]
struct Office {
    which: Which,
    /// The instance's name, as the unit has it.
    name: String,
    board: Arc<Board>,
    to_loop: Loop,
    authority: Authority,
    census: Census,
    shown: Shown,
    figures: Arc<Figures>,
}

/// The pause before the bus is tried again: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Puts a service on the bus, and keeps it there until it is told to let go ([`Notice::Close`]). `cgroup`: the path and the
/// folder of its own, if it has one.
pub fn start(
    which: Which,
    name: &str,
    board: Arc<Board>,
    to_loop: Loop,
    notices: async_channel::Receiver<Notice>,
    cgroup: Option<(&str, &Path)>,
) -> io::Result<thread::JoinHandle<()>> {
    let office = Office {
        which,
        name: name.to_owned(),
        board,
        to_loop,
        authority: Authority::default(),
        census: Census::default(),
        shown: Shown::default(),
        figures: Arc::new(Figures::of(cgroup)),
    };
    thread::Builder::new().name("bus".to_owned()).spawn(move || stay(office, &notices))
}

fn stay(office: Office, notices: &async_channel::Receiver<Notice>) {
    let (mut pause, longest) = PAUSES;
    let mut said = String::new();
    let mut office = Arc::new(office);
    loop {
        match zbus::block_on(presence::be_present(&office, notices)) {
            Ok(presence::Left::Asked) => return,
            Ok(presence::Left::Lost) => {
                warn!("the connection to the {} is lost: runs go on, and it is tried again", office.which.word());
                pause = PAUSES.0;
                said.clear();
            }
            Err(error) => {
                let why = presence::explain(&office, &error);
                if why != said {
                    warn!("{why}; the workflow runs without, and it is tried again");
                    said = why;
                }
                office.to_loop.tell(Ask::BusTried);
            }
        }
        office = Arc::new(office.of_next_connection());
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
    /// The same service on another connection, of whose callers nothing is known yet.
    fn of_next_connection(&self) -> Self {
        Office {
            which: self.which,
            name: self.name.clone(),
            board: Arc::clone(&self.board),
            to_loop: self.to_loop.clone(),
            authority: Authority::default(),
            census: Census::default(),
            shown: Shown::default(),
            figures: Arc::clone(&self.figures),
        }
    }

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
