//! A connection to a worker or a forkserver: sends frames and receives messages, and never blocks. If it has a [`Queue`], frames go
//! there.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mio::net::UnixStream;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

use super::frame::{Frame, Kept, keep};
use super::message::{self, Given, Message, ReadBuffer};
use super::queue::Queue;
use super::socket::{ChannelError, FDS_AT_ONCE, send_once};

/// The kernel passes at most this number of descriptors in one message (SCM_MAX_FD).
const MOST_FDS: usize = 253;
/// One connection.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    queue: Option<Queue>,
    received: ReadBuffer,
    fds: VecDeque<OwnedFd>,
    /// Bytes that the kernel has not accepted yet, and the descriptors that go with them.
    unsent: VecDeque<Unsent>,
    scratch: Box<[u8]>,
    /// The last answer of [`Channel::unsent_changed`].
    waits: bool,
    /// The last read has emptied the socket: there is nothing to read until the next event.
    drained: bool,
    ancillary: Box<[MaybeUninit<u8>]>,
}

#[derive(Debug)]
struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
    fds: VecDeque<Kept>,
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

    /// Sends frames through this queue from now on. Frames that are too long for it go over the connection, and the queue says so.
    pub fn use_queue(&mut self, queue: Queue) {
        self.queue = Some(queue);
    }

    /// The queue, where there is one.
    pub fn queue(&mut self) -> Option<&mut Queue> {
        self.queue.as_mut()
    }

    /// Whether a frame goes into the queue itself.
    pub fn queues(&self, frame: &Frame<'_>) -> bool {
        self.queue.is_some() && Queue::takes(frame)
    }

    /// Tells a worker that waits after its answer ([`Message::Pauses`]) to go on.
    pub fn go_on(&mut self) -> Result<(), ChannelError> {
        self.send_on_stream(Frame { bytes: vec![0], fds: Vec::new() })
    }

    /// The socket, for the loop to watch.
    pub fn stream(&mut self) -> &mut UnixStream {
        &mut self.stream
    }

    /// Whether something waits until the socket is writable, if that has changed since the last call.
    pub fn unsent_changed(&mut self) -> Option<bool> {
        let waits = !self.unsent.is_empty();
        (std::mem::replace(&mut self.waits, waits) != waits).then_some(waits)
    }

    /// Sends bytes that are no frame: the source code of the Python side.
    pub fn send_raw(&mut self, bytes: Vec<u8>) -> Result<(), ChannelError> {
        self.send_on_stream(Frame { bytes, fds: Vec::new() })
    }

    /// Sends a frame. What the kernel does not accept now is sent when the socket becomes writable ([`Channel::flush`]).
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
            let fds = if sent == 0 { keep(&frame.fds)? } else { VecDeque::new() };
            self.unsent.push_back(Unsent { bytes: frame.bytes, sent, fds });
            return Ok(());
        }
        let fds = keep(&frame.fds)?;
        self.unsent.push_back(Unsent { bytes: frame.bytes, sent: 0, fds });
        self.flush_stream()
    }

    /// Sends what is left over, as far as the kernel accepts it.
    pub fn flush(&mut self) -> Result<(), ChannelError> {
        self.flush_stream()?;
        self.queue.as_mut().map_or(Ok(()), Queue::flush)
    }

    fn flush_stream(&mut self) -> Result<(), ChannelError> {
        while let Some(unsent) = self.unsent.front_mut() {
            let more_fds = unsent.fds.len() > FDS_AT_ONCE;
            let batch: Vec<BorrowedFd<'_>> = unsent.fds.iter().take(FDS_AT_ONCE).map(AsFd::as_fd).collect();
            // Descriptors cannot travel without data: each batch but the last goes with one byte.
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

    /// The next complete message, or none until more is received. `given` returns the memory files of the payloads that were sent.
    pub fn receive(&mut self, given: Given<'_>) -> Result<Option<Message>, ChannelError> {
        loop {
            if let Some(message) = message::decode(&mut self.received, &mut self.fds, given)? {
                return Ok(Some(message));
            }
            // One event may announce both these bytes and the end of the connection. An incomplete frame is followed by more bytes,
            // or by the end.
            let whole = std::mem::take(&mut self.drained) && self.received.is_empty();
            if whole || !self.read_once()? {
                return Ok(None);
            }
        }
    }

    /// Makes the next [`Channel::receive`] read the socket again. For a caller that stops before it has returned none.
    pub fn stop_reading(&mut self) {
        self.drained = false;
    }

    /// Reads from the socket. Returns false if it is empty.
    fn read_once(&mut self) -> Result<bool, ChannelError> {
        let mut buffers = [IoSliceMut::new(&mut self.scratch)];
        // Descriptors that are not taken out of it are closed with it.
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
            // The kernel does not say which are missing, so the frames that follow cannot be put together.
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
        // A read ends after descriptors, even if more follows (unix(7)).
        self.drained = count < self.scratch.len() && self.fds.len() == passed;
        Ok(true)
    }
}
