//! The wire protocol and the Python side of it.
//!
//! [`bundle`] is the Python that is shipped, [`codec`] the frames, [`channel`] a connection that reads and writes them
//! without blocking, [`queue`] where they wait for a worker. Knows nothing of graphs: a script is a number to it.

pub mod bundle;
pub mod channel;
pub mod codec;
pub mod queue;

pub use channel::{Channel, ChannelError};
pub use codec::{Frame, Message, Next, ProtocolError, is_light};
pub use queue::Queue;
