//! The D-Bus interfaces of a service, on a thread of their own.
//!
//! Each method call is one message to the loop, answered by one message. Properties are read from the [`StatusSnapshot`], and
//! [`Event`]s become signals. Runs do not depend on the bus: if it cannot be reached, or goes away, it is tried again.

mod actor;
mod authorization;
mod bus_type;
mod callers;
mod connection;
mod context;
mod error;
mod exported;
mod loop_handle;
pub mod names;
mod process;
mod process_cache;
mod run;
mod usage;
mod values;
mod workflow;

use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tracing::warn;

use crate::service::{Command, Event, StatusSnapshot};
pub use bus_type::BusType;
use context::BusContext;

pub use error::{MethodError, fdo_error, method_error};
pub use loop_handle::LoopHandle;
pub(crate) use values::{MAX_INPUTS, too_large};

/// The pause before the bus is tried again: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Puts a service on the bus, and keeps it there until [`Event::Close`]. `cgroup`: the path and the folder of its own cgroup, if
/// it has one.
pub fn start(
    bus: BusType,
    name: &str,
    snapshot: Arc<StatusSnapshot>,
    to_loop: LoopHandle,
    events: async_channel::Receiver<Event>,
    cgroup: Option<(&str, &Path)>,
) -> io::Result<thread::JoinHandle<()>> {
    let context = BusContext::new(bus, name, snapshot, to_loop, cgroup);
    thread::Builder::new().name("bus".to_owned()).spawn(move || stay_connected(context, &events))
}

fn stay_connected(context: BusContext, events: &async_channel::Receiver<Event>) {
    let (mut pause, longest) = PAUSES;
    let mut logged = String::new();
    let mut context = Arc::new(context);
    loop {
        match zbus::block_on(connection::serve(&context, events)) {
            Ok(connection::Disconnected::Asked) => return,
            Ok(connection::Disconnected::Lost) => {
                warn!("the connection to the {} is lost: runs continue, and it is tried again", context.bus.word());
                pause = PAUSES.0;
                logged.clear();
            }
            Err(error) => {
                let why = connection::explain(&context, &error);
                if why != logged {
                    warn!("{why}; the workflow runs without it, and it is tried again");
                    logged = why;
                }
                context.to_loop.tell(Command::BusTried);
            }
        }
        context = Arc::new(context.of_next_connection());
        // `wait_for` unparks this thread.
        thread::park_timeout(pause);
        pause = (pause * 2).min(longest);
        // Old events are not sent later: the snapshot has the current state.
        loop {
            match events.try_recv() {
                Ok(Event::Close) | Err(async_channel::TryRecvError::Closed) => return,
                Ok(_) => {}
                Err(async_channel::TryRecvError::Empty) => break,
            }
        }
    }
}

/// Gives the thread a moment to send the last messages. A thread that is stuck ends with the process.
pub fn wait_for(thread: thread::JoinHandle<()>) {
    thread.thread().unpark();
    let (done, ended) = mpsc::channel();
    // Nobody receives it after the timeout.
    let waiter = thread::Builder::new().spawn(move || done.send(thread.join().is_ok()));
    if waiter.is_ok() {
        let _ = ended.recv_timeout(Duration::from_secs(1));
    }
}
