//! One message on a socket, and why a connection cannot be used any more.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::message::ProtocolError;

/// The number of descriptors that are sent in one message.
pub(super) const FDS_AT_ONCE: usize = 200;

/// Why a connection cannot be used any more. The text continues "the worker process …".
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The other side has closed it.
    #[error("closed its connection")]
    Closed,
    /// It has sent bytes that are no frame.
    #[error("sent garbage: {0}")]
    Protocol(#[from] ProtocolError),
    /// It has sent more descriptors than this process may open. Those that were received are closed.
    #[error(
        "sent a value with more open files than pushflow may have: its limit is {limit} (`ulimit -n`, LimitNOFILE= of a service)"
    )]
    OpenFiles {
        /// The limit of open files of this process.
        limit: u64,
    },
    /// The system has refused to send or receive.
    #[error("cannot be reached: {0}")]
    Io(#[from] io::Error),
}

pub(super) fn send_once(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[impl AsFd]) -> Result<usize, Errno> {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let slices = [IoSlice::new(bytes)];
    if fds.is_empty() {
        return sendmsg::<()>(socket.as_raw_fd(), &slices, &[], flags, None);
    }
    let raw: Vec<_> = fds.iter().map(|fd| fd.as_fd().as_raw_fd()).collect();
    sendmsg::<()>(socket.as_raw_fd(), &slices, &[ControlMessage::ScmRights(&raw)], flags, None)
}
