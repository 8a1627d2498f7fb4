//! The wire protocol and the Python side of it.
//!
//! [`bundle`] is the Python code that is part of the binary. [`frame`] has the frames to workers, [`message`] the messages from them;
//! [`channel`] is a connection that sends and receives these without blocking, and [`queue`] a queue of frames that can be
//! retracted. This module knows nothing of graphs: an actor is a number.

pub mod bundle;
pub mod channel;
pub mod frame;
pub mod message;
mod protocol;
pub mod queue;
mod socket;

pub use channel::Channel;
pub use frame::{Frame, Next, TooLong, fits, is_light};
pub use message::{Message, ProtocolError};
pub use protocol::MAX_FRAME;
pub use queue::Queue;
pub use socket::ChannelError;
