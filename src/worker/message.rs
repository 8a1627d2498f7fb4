//! Messages from workers and forkservers: received bytes and descriptors become [`Message`]s. A frame that breaks the protocol is a
//! [`ProtocolError`], never a panic.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::protocol::{
    DESCRIBED, ERROR, FAILED, GIVEN, HEADER, JSON_REPR, MAX_FRAME, PAUSES, POSITION, PRINTED, READY, RESULT,
    ROUTING_VALUE, SHARED, SHARED_LENGTH, THREADED,
};
use crate::payload::{Chunk, JsonObject, Key, MemoryFile, Payload, PythonError, RoutingValue, Value};

/// The longest message of an error that is kept, bytes: its beginning and its end.
const LONGEST_MESSAGE: usize = 64 << 10;
/// The number of lines of its traceback that are kept,
const MOST_LINES: usize = 1000;
/// and the longest line, bytes.
const LONGEST_LINE: usize = 16 << 10;

/// A frame that breaks the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Its length is impossible.
    #[error("a frame of {0} bytes")]
    Length(u64),
    /// Workers send no frames of this kind.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    /// Its body is shorter than its content.
    #[error("a frame of kind {0} that ends too early")]
    Truncated(u8),
    /// It refers to a descriptor that was not passed.
    #[error("a frame of kind {0} without the memory file it refers to")]
    NoDescriptor(u8),
    /// A text in it is not UTF-8, or a number is not a number.
    #[error("a frame of kind {0} with a malformed {1}")]
    Malformed(u8, &'static str),
}

/// A message of a worker or a forkserver.
#[derive(Debug)]
pub enum Message {
    /// It is ready for work.
    Ready {
        /// The pid of its process.
        pid: u32,
    },
    /// It cannot do what it was asked for. This concerns no task.
    Failed(String),
    /// The modules that a forkserver has imported have started threads with these names.
    Threaded(String),
    /// A task returned.
    Result {
        /// Its job.
        job: u64,
        /// The mapping that the task returned.
        result: Payload,
    },
    /// A task raised.
    Error {
        /// Its job.
        job: u64,
        /// Whether the supervisor has interrupted it.
        interrupted: bool,
        /// The exception that it raised.
        error: PythonError,
    },
    /// A task has printed complete lines, in a process that executes several tasks.
    Printed {
        /// Its job.
        job: u64,
        /// The lines.
        text: String,
    },
    /// After its next answer the worker waits for the supervisor ([`super::Channel::go_on`]).
    Pauses {
        /// Whether the task has started a process.
        started: bool,
    },
    /// A payload as JSON.
    Described {
        /// The job of the request.
        job: u64,
        /// The text of each value.
        json: JsonObject,
    },
}

/// The memory files of the payload of a job, by number. A result may refer to them.
pub type Given<'g> = &'g dyn Fn(u64, usize) -> Option<MemoryFile>;

/// Takes the first complete message from the received bytes; none if it is not complete yet.
pub fn decode(
    data: &mut ReadBuffer,
    fds: &mut VecDeque<OwnedFd>,
    given: Given<'_>,
) -> Result<Option<Message>, ProtocolError> {
    let bytes = data.unread();
    if bytes.len() < HEADER {
        return Ok(None);
    }
    let mut header = Reader { bytes, kind: 0, job: 0, given, files: Vec::new() };
    let length = header.u32()? as usize;
    if !(HEADER - 4..=MAX_FRAME).contains(&length) {
        return Err(ProtocolError::Length(length as u64));
    }
    let kind = header.u8()?;
    if !matches!(kind, READY..=DESCRIBED | PRINTED | THREADED | PAUSES) {
        return Err(ProtocolError::Kind(kind));
    }
    let job = header.u64()?;
    let Some(body) = bytes.get(HEADER..length + 4) else { return Ok(None) };
    let message = Reader { bytes: body, kind, job, given, files: Vec::new() }.message(fds)?;
    data.consume(length + 4);
    Ok(Some(message))
}

/// Received bytes, some of which were read already.
#[derive(Debug, Default)]
pub struct ReadBuffer {
    bytes: Vec<u8>,
    read: usize,
}

impl ReadBuffer {
    /// Adds received bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.read == self.bytes.len() {
            self.bytes.clear();
            self.read = 0;
        }
        self.bytes.extend(bytes);
    }

    /// Whether all bytes were read.
    pub fn is_empty(&self) -> bool {
        self.read == self.bytes.len()
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.read..]
    }

    fn consume(&mut self, count: usize) {
        self.read += count;
        if self.read == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(1 << 20);
            self.read = 0;
        } else if self.read > 1 << 16 {
            self.bytes.drain(..self.read);
            self.read = 0;
        }
    }
}

/// Reads a body piece by piece.
struct Reader<'a> {
    bytes: &'a [u8],
    kind: u8,
    job: u64,
    given: Given<'a>,
    /// The memory files of the frame that were referred to so far; the numbers appear in ascending order.
    files: Vec<Arc<OwnedFd>>,
}

impl<'a> Reader<'a> {
    fn message(mut self, fds: &mut VecDeque<OwnedFd>) -> Result<Message, ProtocolError> {
        let job = self.job;
        match self.kind {
            READY => Ok(Message::Ready { pid: self.u32()? }),
            FAILED => Ok(Message::Failed(self.rest("text")?)),
            THREADED => Ok(Message::Threaded(self.rest("text")?)),
            RESULT => Ok(Message::Result { job, result: self.payload(fds)? }),
            ERROR => self.error(fds),
            DESCRIBED => Ok(Message::Described { job, json: self.json(fds)? }),
            PRINTED => Ok(Message::Printed { job, text: self.rest("text")? }),
            PAUSES => Ok(Message::Pauses { started: self.u8()? != 0 }),
            kind => Err(ProtocolError::Kind(kind)),
        }
    }

    fn error(&mut self, fds: &mut VecDeque<OwnedFd>) -> Result<Message, ProtocolError> {
        let interrupted = self.u8()? != 0;
        let lines = self.u32()? as usize;
        let message = shortened(self.text32()?, LONGEST_MESSAGE).into_owned();
        let left_out = lines.saturating_sub(MOST_LINES);
        let mut traceback = Vec::new();
        for number in 0..lines {
            let line = self.text32()?;
            // The outermost calls and the place of the failure are the most useful lines.
            if number < MOST_LINES / 2 || number >= MOST_LINES / 2 + left_out {
                traceback.push(shortened(line, LONGEST_LINE).into_owned());
            } else if number == MOST_LINES / 2 {
                traceback.push(format!("  [{left_out} lines are left out]\n"));
            }
        }
        let mut payload = self.payload(fds)?.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
        let instance = payload.pop().ok_or(ProtocolError::Malformed(self.kind, "exception"))?;
        Ok(Message::Error { job: self.job, interrupted, error: PythonError { message, traceback, instance } })
    }

    /// The JSON of a payload: each key, and the text of its value as a piece.
    fn json(&mut self, fds: &mut VecDeque<OwnedFd>) -> Result<JsonObject, ProtocolError> {
        let count = self.u32()?;
        (0..count)
            .map(|_| {
                let key = self.text32()?.to_owned();
                let length = self.u64()?;
                let text = match length & SHARED_LENGTH {
                    0 => {
                        let length = usize::try_from(length).map_err(|_| ProtocolError::Truncated(self.kind))?;
                        self.text(length, "text")?.to_owned()
                    }
                    _ => {
                        let memory = self.shared(length & !SHARED_LENGTH, fds)?;
                        memory.read_text().map_err(|_| ProtocolError::Malformed(self.kind, "memory file"))?
                    }
                };
                Ok((key, text.into()))
            })
            .collect()
    }

    fn payload(&mut self, fds: &mut VecDeque<OwnedFd>) -> Result<Payload, ProtocolError> {
        (0..self.u32()?).map(|_| self.entry(fds)).collect()
    }

    fn entry(&mut self, fds: &mut VecDeque<OwnedFd>) -> Result<(Key, Value), ProtocolError> {
        let flags = self.u8()?;
        let key_length = self.u32()?;
        let length = self.u64()?;
        let buffers = self.u32()?;
        let key = self.text(key_length as usize, "key")?;
        let key = if flags & POSITION == 0 {
            Key::text(key)
        } else {
            Key::Position(key.parse().map_err(|_| ProtocolError::Malformed(self.kind, "position"))?)
        };
        let stream = match flags & SHARED {
            0 => {
                let length = usize::try_from(length).map_err(|_| ProtocolError::Truncated(self.kind))?;
                Chunk::Inline(self.take(length)?.into())
            }
            _ => Chunk::Shared(self.shared(length, fds)?),
        };
        let buffers = (0..buffers).map(|_| self.buffer(fds)).collect::<Result<_, _>>()?;
        let (routing, written) = (flags & ROUTING_VALUE != 0).then(|| self.routing_value()).transpose()?.unzip();
        let json = (flags & JSON_REPR != 0).then(|| self.text32()).transpose()?;
        Ok((key, Value::from_worker(stream, buffers, routing).with_json_repr(json).with_text(written.flatten())))
    }

    fn buffer(&mut self, fds: &mut VecDeque<OwnedFd>) -> Result<Chunk, ProtocolError> {
        let length = self.u64()?;
        if length & SHARED_LENGTH != 0 {
            return Ok(Chunk::Shared(self.shared(length & !SHARED_LENGTH, fds)?));
        }
        if length & GIVEN != 0 {
            return self.given(length & !GIVEN, fds);
        }
        let length = usize::try_from(length).map_err(|_| ProtocolError::Truncated(self.kind))?;
        Ok(Chunk::Inline(self.take(length)?.into()))
    }

    /// One of the buffers that came with the task, and the changes in it.
    fn given(&mut self, length: u64, fds: &mut VecDeque<OwnedFd>) -> Result<Chunk, ProtocolError> {
        let number = self.u32()? as usize;
        let memory = (self.given)(self.job, number).filter(|memory| memory.length == length);
        let memory = memory.ok_or(ProtocolError::Malformed(self.kind, "reference to a buffer of its task"))?;
        // The changes are bytes or a memory file.
        match self.u64()? {
            0 => Ok(Chunk::Shared(memory)),
            length if length & SHARED_LENGTH != 0 => {
                let changes = self.shared(length & !SHARED_LENGTH, fds)?;
                Ok(Chunk::Changed(memory, Box::new(Chunk::Shared(changes))))
            }
            length => {
                let length = usize::try_from(length).map_err(|_| ProtocolError::Truncated(self.kind))?;
                Ok(Chunk::Changed(memory, Box::new(Chunk::Inline(self.take(length)?.into()))))
            }
        }
    }

    fn shared(&mut self, length: u64, fds: &mut VecDeque<OwnedFd>) -> Result<MemoryFile, ProtocolError> {
        let (number, offset) = (self.u32()? as usize, self.u64()?);
        if number == self.files.len() {
            self.files.push(Arc::new(fds.pop_front().ok_or(ProtocolError::NoDescriptor(self.kind))?));
        }
        let file = self.files.get(number).ok_or(ProtocolError::NoDescriptor(self.kind))?;
        Ok(MemoryFile { file: Arc::clone(file), offset, length })
    }

    /// The routing value, and the value's text if the routing value does not contain it.
    fn routing_value(&mut self) -> Result<(RoutingValue, Option<Box<OsStr>>), ProtocolError> {
        let kind = self.u8()?;
        let length = self.u32()? as usize;
        let bytes = self.take(length)?;
        let unicode = std::str::from_utf8(bytes);
        let malformed = ProtocolError::Malformed(self.kind, "routing value");
        let written = || (!bytes.is_empty()).then(|| OsStr::from_bytes(bytes).into());
        Ok(match (kind, unicode) {
            (0, _) => (RoutingValue::Null { truthy: false }, None),
            (1, _) => (RoutingValue::Null { truthy: true }, written()),
            (2, _) => (RoutingValue::Bool(false), Some(OsStr::new("False").into())),
            (3, _) => (RoutingValue::Bool(true), Some(OsStr::new("True").into())),
            // An integer, and its text after a blank if that is different (`2 2.0`).
            (4, Ok(text)) => {
                let (int, written) = text.split_once(' ').unwrap_or((text, text));
                let written: Box<OsStr> = OsStr::new(written).into();
                match int.parse() {
                    Ok(int) => (RoutingValue::Int(int), Some(written)),
                    Err(_) => (RoutingValue::Other { truthy: true, text: None }, Some(written)),
                }
            }
            (5, Ok(text)) => (RoutingValue::Text(text.into()), None),
            (6 | 7, Ok(text)) => {
                (RoutingValue::Other { truthy: kind == 7, text: (!text.is_empty()).then(|| text.into()) }, None)
            }
            (6 | 7, Err(_)) => (RoutingValue::Other { truthy: kind == 7, text: None }, written()),
            _ => return Err(malformed),
        })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(ProtocolError::Truncated(self.kind))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(ProtocolError::Truncated(self.kind))?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, ProtocolError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, ProtocolError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, ProtocolError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self, length: usize, what: &'static str) -> Result<&'a str, ProtocolError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| ProtocolError::Malformed(self.kind, what))
    }

    fn text32(&mut self) -> Result<&'a str, ProtocolError> {
        let length = self.u32()? as usize;
        self.text(length, "text")
    }

    fn rest(&mut self, what: &'static str) -> Result<String, ProtocolError> {
        self.text(self.bytes.len(), what).map(str::to_owned)
    }
}

/// Shortens a text that is longer than about `most` bytes to its beginning and its end, with the number of bytes between.
fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let start = &text[..text.floor_char_boundary(most - most / 4)];
    let end = &text[text.ceil_char_boundary(text.len() - most / 4)..];
    let left_out = text.len() - start.len() - end.len();
    Cow::Owned(format!("{start}… [{left_out} bytes are left out] …{end}"))
}
