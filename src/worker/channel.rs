//! One connection to a worker or forkserver: frames out, messages in, without ever blocking. Where it has a [`Queue`], frames
//! go there.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::net::UnixStream;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

use super::codec::{self, Frame, Given, Message, ProtocolError, ReadBuffer};
use super::queue::Queue;

/// The kernel passes no more descriptors in one message (SCM_MAX_FD).
const MOST_FDS: usize = 253;
/// So many are sent in one.
pub(super) const FDS_AT_ONCE: usize = 200;

/// A connection that cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The other side closed it.
    #[error("closed its connection")]
    Closed,
    /// It sent what no frame is.
    #[error("sent garbage: {0}")]
    Protocol(#[from] ProtocolError),
    /// It sent descriptors, and this process may not open so many more. Those that were received are closed.
    #[error(
        "sent a value with more open files than pushflow may have: its limit is {limit} (`ulimit -n`, LimitNOFILE= of a service)"
    )]
    OpenFiles {
        /// How many files this process may have opened.
        limit: u64,
    },
    /// The system refused.
    #[error("its connection failed: {0}")]
    Io(#[from] io::Error),
}

/// One connection.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    queue: Option<Queue>,
    received: ReadBuffer,
    fds: VecDeque<OwnedFd>,
    /// What the kernel would not take yet, with the descriptors that still have to go with it.
    unsent: VecDeque<Unsent>,
    scratch: Box<[u8]>,
    /// The last answer of [`Channel::unsent_changed`].
    waits: bool,
    /// The last read took all there was: no need to ask the kernel again before it tells of more.
    drained: bool,
    ancillary: Box<[MaybeUninit<u8>]>,
}

#[derive(Debug)]
struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
    fds: VecDeque<OwnedFd>,
}

impl Channel {
    /// A connection over this socket, which must not block.
    pub fn new(stream: UnixStream) -> Self {
        Channel {
            stream,
            queue: None,
            received: ReadBuffer::default(),
            fds: VecDeque::new(),
            unsent: VecDeque::new(),
            scratch: vec![0; 16 * 1024].into_boxed_slice(),
            waits: false,
            drained: false,
            ancillary: vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))].into_boxed_slice(),
        }
    }

    /// From now on frames go through this queue: what is too long for it over the connection, of which the queue tells.
    pub fn use_queue(&mut self, queue: Queue) {
        self.queue = Some(queue);
    }

    /// The queue, where there is one.
    pub fn queue(&mut self) -> Option<&mut Queue> {
        self.queue.as_mut()
    }

    /// Whether a frame goes into the queue as it is.
    pub fn queues(&self, frame: &Frame<'_>) -> bool {
        self.queue.is_some() && Queue::takes(frame)
    }

    /// Tells a worker that waits after its answer ([`Message::Pauses`]) that the next task may begin.
    pub fn go_on(&mut self) -> Result<(), ChannelError> {
        self.send_on_stream(Frame { bytes: vec![0], fds: Vec::new() })
    }

    /// The socket, for the loop to watch.
    pub fn stream(&mut self) -> &mut UnixStream {
        &mut self.stream
    }

    /// Whether something waits for the socket to become writable, if that has changed since the last call.
    pub fn unsent_changed(&mut self) -> Option<bool> {
        let waits = !self.unsent.is_empty();
        (std::mem::replace(&mut self.waits, waits) != waits).then_some(waits)
    }

    /// Sends bytes that are no frame: the source of the Python side.
    pub fn send_raw(&mut self, bytes: Vec<u8>) -> Result<(), ChannelError> {
        self.send_on_stream(Frame { bytes, fds: Vec::new() })
    }

    /// Sends a frame; what the kernel does not take now is sent when the socket becomes writable ([`Channel::flush`]).
    pub fn send(&mut self, frame: Frame<'_>) -> Result<(), ChannelError> {
        match &mut self.queue {
            Some(queue) if Queue::takes(&frame) => queue.send(frame),
            Some(_) => {
                let elsewhere = frame.elsewhere();
                self.send_on_stream(frame)?;
                self.queue.as_mut().map_or(Ok(()), |queue| queue.send(elsewhere))
            }
            None => self.send_on_stream(frame),
        }
    }

    fn send_on_stream(&mut self, frame: Frame<'_>) -> Result<(), ChannelError> {
        if self.unsent.is_empty() && frame.fds.len() <= FDS_AT_ONCE {
            let sent = match send_once(self.stream.as_fd(), &frame.bytes, &frame.fds) {
                Ok(sent) if sent == frame.bytes.len() => return Ok(()),
                Ok(sent) => sent,
                Err(Errno::EAGAIN) => 0,
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(ChannelError::Closed),
                Err(error) => return Err(io::Error::from(error).into()),
            };
            // Descriptors go with the first byte.
            let fds = if sent == 0 { owned(&frame.fds)? } else { VecDeque::new() };
            self.unsent.push_back(Unsent { bytes: frame.bytes, sent, fds });
            return Ok(());
        }
        let fds = owned(&frame.fds)?;
        self.unsent.push_back(Unsent { bytes: frame.bytes, sent: 0, fds });
        self.flush_stream()
    }

    /// Sends what is left over, as far as the kernel takes it.
    pub fn flush(&mut self) -> Result<(), ChannelError> {
        self.flush_stream()?;
        self.queue.as_mut().map_or(Ok(()), Queue::flush)
    }

    fn flush_stream(&mut self) -> Result<(), ChannelError> {
        while let Some(unsent) = self.unsent.front_mut() {
            let more_fds = unsent.fds.len() > FDS_AT_ONCE;
            let batch: Vec<BorrowedFd<'_>> =
                unsent.fds.iter().take(FDS_AT_ONCE).map(std::os::fd::AsFd::as_fd).collect();
            // A descriptor cannot travel without data: all but the last batch go with a byte each.
            let bytes = &unsent.bytes[unsent.sent..];
            let bytes = if more_fds { &bytes[..1] } else { bytes };
            match send_once(self.stream.as_fd(), bytes, &batch) {
                Ok(sent) => {
                    let passed = batch.len();
                    unsent.sent += sent;
                    unsent.fds.drain(..passed);
                    if unsent.sent == unsent.bytes.len() {
                        self.unsent.pop_front();
                    }
                }
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(ChannelError::Closed),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(())
    }

    /// The next whole message that has arrived, or nothing until more comes. `given` says what the tasks of the other side were
    /// given.
    pub fn receive(&mut self, given: Given<'_>) -> Result<Option<Message>, ChannelError> {
        loop {
            if let Some(message) = codec::decode(&mut self.received, &mut self.fds, given)? {
                return Ok(Some(message));
            }
            // The event that told of these bytes may have told of the connection's end as well, and comes only once: what is
            // left of a frame is followed by more, or by the end.
            let whole = std::mem::take(&mut self.drained) && self.received.is_empty();
            if whole || !self.read_once()? {
                return Ok(None);
            }
        }
    }

    /// What is left is received later, although nothing more may be told of it: [`Channel::receive`] has not said that there is nothing.
    pub fn stop_reading(&mut self) {
        self.drained = false;
    }

    /// Reads what is there; false if nothing is.
    fn read_once(&mut self) -> Result<bool, ChannelError> {
        let mut buffers = [IoSliceMut::new(&mut self.scratch)];
        // What is not taken out of it is closed with it.
        let mut ancillary = RecvAncillaryBuffer::new(&mut self.ancillary);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let message = match recvmsg(&self.stream, &mut buffers, &mut ancillary, flags) {
            Ok(message) => message,
            Err(rustix::io::Errno::AGAIN) => return Ok(false),
            Err(rustix::io::Errno::INTR) => return Ok(true),
            Err(rustix::io::Errno::CONNRESET) => return Err(ChannelError::Closed),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        if message.flags.contains(ReturnFlags::CTRUNC) {
            // Which of them are missing is not said: nothing that follows could be put together.
            let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
            return Err(ChannelError::OpenFiles { limit });
        }
        let count = message.bytes;
        let passed = self.fds.len();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        if count == 0 {
            return Err(ChannelError::Closed);
        }
        self.received.extend(&self.scratch[..count]);
        // A read that brings descriptors ends with them, whatever follows (unix(7)).
        self.drained = count < self.scratch.len() && self.fds.len() == passed;
        Ok(true)
    }
}

pub(super) fn send_once(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let slices = [IoSlice::new(bytes)];
    if fds.is_empty() {
        return sendmsg::<()>(socket.as_raw_fd(), &slices, &[], flags, None);
    }
    let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    sendmsg::<()>(socket.as_raw_fd(), &slices, &[ControlMessage::ScmRights(&raw)], flags, None)
}

pub(super) fn owned(fds: &[BorrowedFd<'_>]) -> io::Result<VecDeque<OwnedFd>> {
    fds.iter().map(BorrowedFd::try_clone_to_owned).collect()
}
