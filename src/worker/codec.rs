//! Frames: what the supervisor and a worker say to each other, as bytes and descriptors.
//!
//! `<IBQ`: the length of what follows the length, the kind, the task; then the body. The Python side is
//! `python/wire.py`. A frame that breaks the rules is a [`ProtocolError`], never a panic.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::payload::{Chunk, JsonObject, Key, Look, MemoryFile, Payload, PythonError, Value};

const SETUP: u8 = 1;
const SPAWN: u8 = 2;
const RUN: u8 = 3;
const DESCRIBE: u8 = 4;
const READY: u8 = 5;
const FAILED: u8 = 6;
const RESULT: u8 = 7;
const ERROR: u8 = 8;
const DESCRIBED: u8 = 9;
const INTERRUPT: u8 = 10;
const PRINTED: u8 = 11;
const THREADED: u8 = 12;
const ELSEWHERE: u8 = 13;
const PAUSES: u8 = 14;

pub(super) const HEADER: usize = 13;
const POSITION: u8 = 1;
const SHARED: u8 = 2;
const LOOK: u8 = 4;
const FORM: u8 = 8;
const SHARED_LENGTH: u64 = 1 << 63;
const CHANGED: u64 = 1 << 62;
const GIVEN: u64 = 1 << 61;
/// Instead of the CPU to wait at.
const ANYWHERE: u16 = u16::MAX;
const FOLLOWED: u16 = u16::MAX - 1;

/// No frame is longer: its length has 32 bits. Workers put what is large into memory files beside the frame (`Files` in
/// `python/wire.py`), so that frames stay short.
pub const MAX_FRAME: usize = u32::MAX as usize;

/// How much of an error's text is kept, bytes: its beginning and its end.
const LONGEST_MESSAGE: usize = 64 << 10;
/// And how many of the lines of its traceback,
const MOST_LINES: usize = 1000;
/// and how much of each of them, bytes.
const LONGEST_LINE: usize = 16 << 10;

/// A frame that breaks the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Its length is impossible.
    #[error("a frame of {0} bytes")]
    Length(u64),
    /// Its kind is none that a worker sends.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    /// Its body is shorter than it says.
    #[error("a frame of kind {0} that ends too early")]
    Truncated(u8),
    /// It refers to a descriptor that was not passed.
    #[error("a frame of kind {0} without the memory file it refers to")]
    NoDescriptor(u8),
    /// A text in it is not UTF-8, or a number not a number.
    #[error("a frame of kind {0} with a malformed {1}")]
    Malformed(u8, &'static str),
}

/// Whether a task with this payload is given in a short frame, without descriptors.
pub fn is_light(payload: &Payload) -> bool {
    let inline = |chunk: &Chunk| match chunk {
        Chunk::Inline(bytes) => Some(bytes.len()),
        Chunk::Shared(_) | Chunk::Changed(..) => None,
    };
    let mut room = super::queue::LONGEST / 2;
    payload.iter().all(|(key, value)| {
        let chunks = std::iter::once(value.stream()).chain(value.buffers());
        let length = chunks.map(inline).sum::<Option<usize>>();
        let name = if let Key::Text(name) = key { name.len() } else { 0 };
        let left = length.and_then(|length| room.checked_sub(length + name + 64));
        left.is_some_and(|left| {
            room = left;
            true
        })
    })
}

/// What comes after a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing that is known yet.
    Unknown,
    /// Nothing that is known yet; the worker waits for it on this CPU (`affinity.py`).
    WaitAt(u16),
    /// The next task, which may be there before this one has ended (`silence.py`).
    Follows,
}

/// A frame on its way to a worker.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The descriptors that go with them.
    pub fds: Vec<BorrowedFd<'a>>,
}

/// Which memory files a payload's frame has already, by the addresses of their handles.
#[derive(Default)]
struct SentFiles {
    /// The number of a file, for the pieces that come for this time.
    numbers: FxHashMap<(usize, u32), u32>,
    /// How many times each piece, by its offset, has come.
    times: FxHashMap<(usize, u64), u32>,
}

impl<'a> Frame<'a> {
    fn new(kind: u8, task: u64) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend([0; 4]);
        bytes.push(kind);
        bytes.extend(task.to_le_bytes());
        Frame { bytes, fds: Vec::new() }
    }

    fn finish(mut self) -> Self {
        let length = (self.bytes.len() - 4) as u32;
        self.bytes[..4].copy_from_slice(&length.to_le_bytes());
        self
    }

    /// What a new interpreter is told first: a pickled dict; and where it prints, if that is not its output already.
    pub fn setup(setup: &'a Value, output: Option<BorrowedFd<'a>>) -> Self {
        let mut frame = Frame::new(SETUP, 0);
        frame.fds.extend(output);
        if let Chunk::Inline(bytes) = setup.stream() {
            frame.bytes.extend(bytes);
        }
        frame.finish()
    }

    /// The same frame with one more descriptor, after its own.
    pub fn and_descriptor(mut self, fd: BorrowedFd<'a>) -> Self {
        self.fds.push(fd);
        self
    }

    /// Asks a forkserver for a worker with this connection and this output, in the cgroup that this is the `cgroup.procs`
    /// of.
    pub fn spawn(
        connection: BorrowedFd<'a>,
        output: BorrowedFd<'a>,
        queue: Option<BorrowedFd<'a>>,
        leaf: Option<BorrowedFd<'a>>,
    ) -> Self {
        let mut frame = Frame::new(SPAWN, 0);
        frame.bytes.extend([u8::from(queue.is_some()), u8::from(leaf.is_some())]);
        frame.fds = [connection, output].into_iter().chain(queue).chain(leaf).collect();
        frame.finish()
    }

    /// Gives a task to a worker.
    pub fn run(task: u64, script: u32, payload: &'a Payload, next: Next) -> Self {
        let mut frame = Frame::new(RUN, task);
        frame.bytes.extend(script.to_le_bytes());
        let next = match next {
            Next::Unknown => ANYWHERE,
            Next::WaitAt(cpu) => cpu,
            Next::Follows => FOLLOWED,
        };
        frame.bytes.extend(next.to_le_bytes());
        frame.put_payload(payload);
        frame.finish()
    }

    /// Asks a worker for a payload as JSON.
    pub fn describe(task: u64, payload: &'a Payload) -> Self {
        let mut frame = Frame::new(DESCRIBE, task);
        frame.put_payload(payload);
        frame.finish()
    }

    /// Asks a process that executes several tasks at once to interrupt one of them.
    pub fn interrupt(task: u64) -> Self {
        Frame::new(INTERRUPT, task).finish()
    }

    /// Says in a queue that this frame comes over the connection.
    pub(super) fn elsewhere(&self) -> Frame<'static> {
        Frame::new(ELSEWHERE, task_of(&self.bytes)).finish()
    }

    fn put_payload(&mut self, payload: &'a Payload) {
        self.bytes.extend((payload.len() as u32).to_le_bytes());
        let mut sent = SentFiles::default();
        for (key, value) in payload.iter() {
            self.put_entry(key, value, &mut sent);
        }
    }

    fn put_entry(&mut self, key: &Key, value: &'a Value, sent: &mut SentFiles) {
        let written;
        let (mut flags, key) = match key {
            Key::Text(name) => (0, &**name),
            Key::Position(position) => {
                written = position.to_string();
                (POSITION, &*written)
            }
        };
        let stream = value.stream();
        if stream.memory().is_some() {
            flags |= SHARED;
        }
        self.bytes.push(flags);
        self.bytes.extend((key.len() as u32).to_le_bytes());
        self.bytes.extend(stream.len().to_le_bytes());
        self.bytes.extend((value.buffers().len() as u32).to_le_bytes());
        self.bytes.extend(key.as_bytes());
        match stream {
            Chunk::Inline(bytes) => self.bytes.extend(&**bytes),
            // A stream is never one that was given and changed: only buffers are.
            Chunk::Shared(memory) | Chunk::Changed(memory, _) => self.put_place(memory, sent),
        }
        value.buffers().iter().for_each(|buffer| self.put_piece(buffer, sent));
    }

    fn put_piece(&mut self, piece: &'a Chunk, sent: &mut SentFiles) {
        let (length, memory) = match piece {
            Chunk::Inline(bytes) => {
                self.bytes.extend((bytes.len() as u64).to_le_bytes());
                return self.bytes.extend(&**bytes);
            }
            Chunk::Shared(memory) => (memory.length | SHARED_LENGTH, memory),
            Chunk::Changed(memory, _) => (memory.length | SHARED_LENGTH | CHANGED, memory),
        };
        self.bytes.extend(length.to_le_bytes());
        self.put_place(memory, sent);
        if let Chunk::Changed(_, changes) = piece {
            self.put_piece(changes, sent);
        }
    }

    /// In which of the frame's files a piece is, and where in it.
    fn put_place(&mut self, memory: &'a MemoryFile, sent: &mut SentFiles) {
        let file = Arc::as_ptr(&memory.file) as usize;
        // The same piece once more is for another value, which a task may change by itself: it gets a view of its own, with all
        // pieces of the file that come for that time.
        let time = sent.times.entry((file, memory.offset)).or_insert(0);
        let number = *sent.numbers.entry((file, *time)).or_insert_with(|| {
            self.fds.push(memory.file.as_fd());
            (self.fds.len() - 1) as u32
        });
        *time += 1;
        self.bytes.extend(number.to_le_bytes());
        self.bytes.extend(memory.offset.to_le_bytes());
    }
}

/// What a worker or forkserver says.
#[derive(Debug)]
pub enum Message {
    /// It can be given work.
    Ready {
        /// Its process.
        pid: u32,
    },
    /// It cannot do what it was asked for, outside any task.
    Failed(String),
    /// The modules that a forkserver has imported have started threads, of these names.
    Threaded(String),
    /// A task returned.
    Result {
        /// Which.
        task: u64,
        /// The mapping that it returned.
        result: Payload,
    },
    /// A task raised.
    Error {
        /// Which.
        task: u64,
        /// Whether an interrupt from here was the cause.
        interrupted: bool,
        /// What it raised.
        error: PythonError,
    },
    /// A task in a process that executes several has printed whole lines.
    Printed {
        /// Which.
        task: u64,
        /// The lines.
        text: String,
    },
    /// The next answer is that of a task after which the supervisor is waited for ([`super::Channel::go_on`]).
    Pauses {
        /// Whether the task has started a process.
        started: bool,
    },
    /// A payload as JSON.
    Described {
        /// Which request.
        task: u64,
        /// The text of each value.
        json: JsonObject,
    },
}

/// What a task was given, by its number: the memory files of its payload, of which its result may bring some back.
pub type Given<'g> = &'g dyn Fn(u64, usize) -> Option<MemoryFile>;

/// The task that a frame is about.
pub(super) fn task_of(frame: &[u8]) -> u64 {
    frame.get(5..HEADER).and_then(|task| task.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Takes the first whole message from the received bytes, or nothing while it is not all there.
pub fn decode(
    data: &mut ReadBuffer,
    fds: &mut VecDeque<OwnedFd>,
    given: Given<'_>,
) -> Result<Option<Message>, ProtocolError> {
    let bytes = data.unread();
    if bytes.len() < HEADER {
        return Ok(None);
    }
    let mut header = Reader { bytes, kind: 0, task: 0, given, files: Vec::new() };
    let length = header.u32()? as usize;
    if !(HEADER - 4..=MAX_FRAME).contains(&length) {
        return Err(ProtocolError::Length(length as u64));
    }
    let kind = header.u8()?;
    if !matches!(kind, READY..=DESCRIBED | PRINTED | THREADED | PAUSES) {
        return Err(ProtocolError::Kind(kind));
    }
    let task = header.u64()?;
    let Some(body) = bytes.get(HEADER..length + 4) else { return Ok(None) };
    let message = Reader { bytes: body, kind, task, given, files: Vec::new() }.message(fds)?;
    data.consume(length + 4);
    Ok(Some(message))
}

/// Received bytes, some of them read already.
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

    /// Whether every byte was read.
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
    task: u64,
    given: Given<'a>,
    /// The memory files of the frame, as far as they were referred to: their numbers come in order.
    files: Vec<Arc<OwnedFd>>,
}

impl<'a> Reader<'a> {
    fn message(mut self, fds: &mut VecDeque<OwnedFd>) -> Result<Message, ProtocolError> {
        let task = self.task;
        match self.kind {
            READY => Ok(Message::Ready { pid: self.u32()? }),
            FAILED => Ok(Message::Failed(self.rest("text")?)),
            THREADED => Ok(Message::Threaded(self.rest("text")?)),
            RESULT => Ok(Message::Result { task, result: self.payload(fds)? }),
            ERROR => self.error(fds),
            DESCRIBED => Ok(Message::Described { task, json: self.json(fds)? }),
            PRINTED => Ok(Message::Printed { task, text: self.rest("text")? }),
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
            // What called first and what failed in the end say most.
            if number < MOST_LINES / 2 || number >= MOST_LINES / 2 + left_out {
                traceback.push(shortened(line, LONGEST_LINE).into_owned());
            } else if number == MOST_LINES / 2 {
                traceback.push(format!("  [{left_out} lines are left out]\n"));
            }
        }
        let mut payload = self.payload(fds)?.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
        let instance = payload.pop().ok_or(ProtocolError::Malformed(self.kind, "exception"))?;
        Ok(Message::Error { task: self.task, interrupted, error: PythonError { message, traceback, instance } })
    }

    /// The JSON of each value of a payload: the key, and the text as a piece.
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
        let (look, written) = (flags & LOOK != 0).then(|| self.look()).transpose()?.unzip();
        let form = (flags & FORM != 0).then(|| self.text32()).transpose()?;
        Ok((key, Value::from_worker(stream, buffers, look).with_form(form).with_text(written.flatten())))
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

    /// One of the buffers that the task was given, and what it has changed in it.
    fn given(&mut self, length: u64, fds: &mut VecDeque<OwnedFd>) -> Result<Chunk, ProtocolError> {
        let number = self.u32()? as usize;
        let memory = (self.given)(self.task, number).filter(|memory| memory.length == length);
        let memory = memory.ok_or(ProtocolError::Malformed(self.kind, "reference to a buffer of its task"))?;
        // Changes are bytes or a file, nothing that is changed in turn.
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

    /// What a router compares, and the value's text where that does not tell it.
    fn look(&mut self) -> Result<(Look, Option<Box<OsStr>>), ProtocolError> {
        let kind = self.u8()?;
        let length = self.u32()? as usize;
        let bytes = self.take(length)?;
        let unicode = std::str::from_utf8(bytes);
        let malformed = ProtocolError::Malformed(self.kind, "look");
        let written = || (!bytes.is_empty()).then(|| OsStr::from_bytes(bytes).into());
        Ok(match (kind, unicode) {
            (0, _) => (Look::Null { truthy: false }, None),
            (1, _) => (Look::Null { truthy: true }, written()),
            (2, _) => (Look::Bool(false), Some(OsStr::new("False").into())),
            (3, _) => (Look::Bool(true), Some(OsStr::new("True").into())),
            // An integer, a blank, and how it is written if that is different (`2 2.0`).
            (4, Ok(text)) => {
                let (int, written) = text.split_once(' ').unwrap_or((text, text));
                let written: Box<OsStr> = OsStr::new(written).into();
                match int.parse() {
                    Ok(int) => (Look::Int(int), Some(written)),
                    Err(_) => (Look::Other { truthy: true, text: None }, Some(written)),
                }
            }
            (5, Ok(text)) => (Look::Text(text.into()), None),
            (6 | 7, Ok(text)) => {
                (Look::Other { truthy: kind == 7, text: (!text.is_empty()).then(|| text.into()) }, None)
            }
            (6 | 7, Err(_)) => (Look::Other { truthy: kind == 7, text: None }, written()),
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

/// A text of at most about so many bytes: of a longer one the beginning and the end, with a note of how much is left out.
fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let start = &text[..text.floor_char_boundary(most - most / 4)];
    let end = &text[text.ceil_char_boundary(text.len() - most / 4)..];
    let left_out = text.len() - start.len() - end.len();
    Cow::Owned(format!("{start}… [{left_out} bytes are left out] …{end}"))
}
