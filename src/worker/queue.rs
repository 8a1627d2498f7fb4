//! The prefilled jobs of a worker: frames wait in the kernel until the worker takes them, and the supervisor can retract them until then.
//!
//! The supervisor keeps a descriptor of the worker's end. Each packet of a SEQPACKET socket is received completely, by exactly one of the
//! two (unix(7)).

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::frame::{Frame, Kept, keep};
use super::protocol::{HEADER, LONGEST_QUEUED, job_of};
use super::socket::{ChannelError, FDS_AT_ONCE, send_once};
use crate::process::sys;

/// The queue of one worker.
#[derive(Debug)]
pub struct Queue {
    ours: OwnedFd,
    theirs: OwnedFd,
    /// Frames that the kernel has not accepted yet.
    unsent: VecDeque<Packet>,
    /// The last answer of [`Queue::unsent_changed`].
    waits: bool,
}

/// A frame that has not been sent.
#[derive(Debug)]
struct Packet {
    bytes: Vec<u8>,
    fds: Vec<Kept>,
}

impl Queue {
    /// A queue, and the worker's end of it.
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = sys::packets()?;
        let kept = theirs.try_clone()?;
        Ok((Queue { ours, theirs: kept, unsent: VecDeque::new(), waits: false }, theirs))
    }

    /// Whether a frame is short enough.
    pub(super) fn takes(frame: &Frame<'_>) -> bool {
        frame.bytes.len() <= LONGEST_QUEUED && frame.fds.len() <= FDS_AT_ONCE
    }

    /// Appends a frame. If the kernel does not accept it now, it is sent when there is room ([`Queue::flush`]).
    pub(super) fn send(&mut self, frame: Frame<'_>) -> Result<(), ChannelError> {
        if self.unsent.is_empty() && sent(send_once(self.ours.as_fd(), &frame.bytes, &frame.fds))? {
            return Ok(());
        }
        let fds = keep(&frame.fds)?;
        self.unsent.push_back(Packet { bytes: frame.bytes, fds });
        self.flush()
    }

    /// Sends what is left over, as far as the kernel accepts it.
    pub(super) fn flush(&mut self) -> Result<(), ChannelError> {
        while let Some(packet) = self.unsent.front() {
            if !sent(send_once(self.ours.as_fd(), &packet.bytes, &packet.fds))? {
                break;
            }
            self.unsent.pop_front();
        }
        Ok(())
    }

    /// Retracts the frames that the worker has not taken. Returns their jobs, oldest first. The worker may take later frames while this
    /// retracts earlier ones.
    pub fn retract(&mut self) -> Vec<u64> {
        let mut taken = Vec::new();
        let mut head = [0; HEADER];
        loop {
            // The rest of the packet is dropped with its descriptors. The payload has others of the same files.
            match recv(self.theirs.as_raw_fd(), &mut head, MsgFlags::MSG_DONTWAIT) {
                Ok(count) => taken.push(job_of(&head[..count])),
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        taken.extend(self.unsent.drain(..).map(|packet| job_of(&packet.bytes)));
        taken
    }

    /// Whether something waits for room, if that has changed since the last call; and the descriptor to watch for it.
    pub fn unsent_changed(&mut self) -> Option<(bool, BorrowedFd<'_>)> {
        let waits = !self.unsent.is_empty();
        (std::mem::replace(&mut self.waits, waits) != waits).then_some((waits, self.ours.as_fd()))
    }
}

fn sent(result: Result<usize, Errno>) -> Result<bool, ChannelError> {
    match result {
        // A packet is accepted completely or not at all.
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
        Err(Errno::EPIPE | Errno::ECONNRESET) => Err(ChannelError::Closed),
        Err(error) => Err(io::Error::from(error).into()),
    }
}
