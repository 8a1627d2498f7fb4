//! The prefilled jobs of a worker: frames that wait in the kernel until the worker takes them, and can be retracted until then.
//!
//! The supervisor keeps a descriptor of the worker's end. A message of a SEQPACKET socket is taken whole, by one of the two:
//! whoever has it, has it alone (unix(7)).

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::channel::{ChannelError, FDS_AT_ONCE, owned, send_once};
use super::codec::{self, Frame};
use crate::process::sys;

/// Longer frames go over the connection. The worker reads into a buffer of twice this size (`wire.py`).
pub(super) const LONGEST: usize = 32 * 1024;

/// The queue of one worker.
#[derive(Debug)]
pub struct Queue {
    ours: OwnedFd,
    theirs: OwnedFd,
    /// What the kernel would not take yet.
    unsent: VecDeque<Packet>,
    /// The last answer of [`Queue::unsent_changed`].
    waits: bool,
}

/// A frame that has not been sent.
#[derive(Debug)]
struct Packet {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
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
        frame.bytes.len() <= LONGEST && frame.fds.len() <= FDS_AT_ONCE
    }

    /// Appends a frame; what the kernel does not take now is sent when there is room ([`Queue::flush`]).
    pub(super) fn send(&mut self, frame: Frame<'_>) -> Result<(), ChannelError> {
        if self.unsent.is_empty() && sent(send_once(self.ours.as_fd(), &frame.bytes, &frame.fds))? {
            return Ok(());
        }
        let fds = owned(&frame.fds)?.into();
        self.unsent.push_back(Packet { bytes: frame.bytes, fds });
        self.flush()
    }

    /// Sends what is left over, as far as the kernel takes it.
    pub(super) fn flush(&mut self) -> Result<(), ChannelError> {
        while let Some(packet) = self.unsent.front() {
            let fds: Vec<BorrowedFd<'_>> = packet.fds.iter().map(AsFd::as_fd).collect();
            if !sent(send_once(self.ours.as_fd(), &packet.bytes, &fds))? {
                break;
            }
            self.unsent.pop_front();
        }
        Ok(())
    }

    /// Retracts what the worker has not taken. Returns the jobs, the oldest first. The worker may take a later frame while this takes an
    /// earlier one.
    pub fn retract(&mut self) -> Vec<u64> {
        let mut taken = Vec::new();
        let mut head = [0; codec::HEADER];
        loop {
            // The rest of the packet goes, and so do descriptors: others of the same files are with the payload.
            match recv(self.theirs.as_raw_fd(), &mut head, MsgFlags::MSG_DONTWAIT) {
                Ok(count) => taken.push(codec::task_of(&head[..count])),
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        taken.extend(self.unsent.drain(..).map(|packet| codec::task_of(&packet.bytes)));
        taken
    }

    /// Whether something waits for room, if that has changed since the last call; and what is to be watched for it.
    pub fn unsent_changed(&mut self) -> Option<(bool, BorrowedFd<'_>)> {
        let waits = !self.unsent.is_empty();
        (std::mem::replace(&mut self.waits, waits) != waits).then_some((waits, self.ours.as_fd()))
    }
}

fn sent(result: Result<usize, Errno>) -> Result<bool, ChannelError> {
    match result {
        // A packet is taken whole or not at all.
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
        Err(Errno::EPIPE | Errno::ECONNRESET) => Err(ChannelError::Closed),
        Err(error) => Err(io::Error::from(error).into()),
    }
}
