//! Frames to workers and forkservers: bytes, and the descriptors that go with them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::protocol::{
    ANYWHERE, CHANGED, DESCRIBE, ELSEWHERE, FOLLOWED, INTERRUPT, LONGEST_QUEUED, MAX_FRAME, POSITION, RUN, SETUP,
    SHARED, SHARED_LENGTH, SPAWN, job_of,
};
use crate::payload::{Chunk, Key, MemoryFile, Payload, Value};

/// What comes after a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Unknown.
    Unknown,
    /// Unknown; the worker waits for it on this CPU.
    WaitAt(u16),
    /// Another task, which may arrive before this one has ended (`side_effects.py`).
    Follows,
}

/// A payload that does not fit into a frame: its keys and small values together are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its payload of {keys} keys takes {bytes} bytes, and {most} bytes can be sent to a worker")]
pub struct TooLong {
    /// The number of keys.
    pub keys: usize,
    /// The length of the frame, bytes.
    pub bytes: u64,
    /// The longest frame, bytes.
    pub most: usize,
}

/// Whether a task with this payload takes a short frame without descriptors.
pub fn is_light(payload: &Payload) -> bool {
    let inline = |chunk: &Chunk| match chunk {
        Chunk::Inline(bytes) => Some(bytes.len()),
        Chunk::Shared(_) | Chunk::Changed(..) => None,
    };
    let mut room = LONGEST_QUEUED / 2;
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

/// Whether a payload fits into a frame.
pub fn fits(payload: &Payload) -> Result<(), TooLong> {
    fits_into(payload, MAX_FRAME)
}

fn fits_into(payload: &Payload, most: usize) -> Result<(), TooLong> {
    // A place in a memory file takes 12 bytes, and a length 8.
    let piece = |chunk: &Chunk| match chunk {
        Chunk::Inline(bytes) => 8 + bytes.len() as u64,
        Chunk::Shared(_) => 20,
        Chunk::Changed(_, changes) => 40 + changes.bytes().map_or(0, |bytes| bytes.len() as u64),
    };
    let entry = |(key, value): (&Key, &Value)| {
        let name = if let Key::Text(name) = key { name.len() } else { 20 };
        32 + name as u64 + piece(value.stream()) + value.buffers().iter().map(piece).sum::<u64>()
    };
    let bytes = 64 + payload.iter().map(entry).sum::<u64>();
    if bytes <= most as u64 { Ok(()) } else { Err(TooLong { keys: payload.len(), bytes, most }) }
}

/// A descriptor that goes with a frame.
#[derive(Debug, Clone, Copy)]
pub enum Passed<'a> {
    /// One that is duplicated if the frame has to wait.
    Borrowed(BorrowedFd<'a>),
    /// A memory file, which is kept open without another descriptor.
    File(&'a Arc<OwnedFd>),
}

impl AsFd for Passed<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Passed::Borrowed(fd) => *fd,
            Passed::File(file) => file.as_fd(),
        }
    }
}

/// A descriptor of a frame that waits until it is sent.
#[derive(Debug)]
pub(super) enum Kept {
    Owned(OwnedFd),
    File(Arc<OwnedFd>),
}

impl AsFd for Kept {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Kept::Owned(fd) => fd.as_fd(),
            Kept::File(file) => file.as_fd(),
        }
    }
}

/// Keeps descriptors until they are sent.
pub(super) fn keep<C: FromIterator<Kept>>(fds: &[Passed<'_>]) -> io::Result<C> {
    fds.iter()
        .map(|fd| match fd {
            Passed::Borrowed(fd) => fd.try_clone_to_owned().map(Kept::Owned),
            Passed::File(file) => Ok(Kept::File(Arc::clone(file))),
        })
        .collect()
}

/// A frame on its way to a worker.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The descriptors that go with them.
    pub fds: Vec<Passed<'a>>,
}

/// The memory files that a payload's frame has already, by the addresses of their handles.
#[derive(Default)]
struct SentFiles {
    /// The number of each file in the frame, for each time that its pieces are sent.
    numbers: FxHashMap<(usize, u32), u32>,
    /// How many times each piece, by its offset, was sent.
    times: FxHashMap<(usize, u64), u32>,
}

impl<'a> Frame<'a> {
    fn new(kind: u8, job: u64) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend([0; 4]);
        bytes.push(kind);
        bytes.extend(job.to_le_bytes());
        Frame { bytes, fds: Vec::new() }
    }

    fn finish(mut self) -> Self {
        let length = (self.bytes.len() - 4) as u32;
        self.bytes[..4].copy_from_slice(&length.to_le_bytes());
        self
    }

    /// The setup of a new interpreter: a pickled dict; and its output, if that is not its standard output already.
    pub fn setup(setup: &'a Value, output: Option<BorrowedFd<'a>>) -> Self {
        let mut frame = Frame::new(SETUP, 0);
        frame.fds.extend(output.map(Passed::Borrowed));
        if let Chunk::Inline(bytes) = setup.stream() {
            frame.bytes.extend(bytes);
        }
        frame.finish()
    }

    /// The same frame with one more descriptor, after its own.
    pub fn and_descriptor(mut self, fd: BorrowedFd<'a>) -> Self {
        self.fds.push(Passed::Borrowed(fd));
        self
    }

    /// Asks a forkserver for a worker with this connection, output and queue, in the cgroup whose `cgroup.procs` is `leaf`.
    pub fn spawn(
        connection: BorrowedFd<'a>,
        output: BorrowedFd<'a>,
        queue: Option<BorrowedFd<'a>>,
        leaf: Option<BorrowedFd<'a>>,
    ) -> Self {
        let mut frame = Frame::new(SPAWN, 0);
        frame.bytes.extend([u8::from(queue.is_some()), u8::from(leaf.is_some())]);
        frame.fds = [connection, output].into_iter().chain(queue).chain(leaf).map(Passed::Borrowed).collect();
        frame.finish()
    }

    /// Sends a task to a worker. The payload must fit ([`fits`]).
    pub fn run(job: u64, actor: u32, payload: &'a Payload, next: Next) -> Self {
        let mut frame = Frame::new(RUN, job);
        frame.bytes.extend(actor.to_le_bytes());
        let next = match next {
            Next::Unknown => ANYWHERE,
            Next::WaitAt(cpu) => cpu,
            Next::Follows => FOLLOWED,
        };
        frame.bytes.extend(next.to_le_bytes());
        frame.put_payload(payload);
        frame.finish()
    }

    /// Asks a worker for a payload as JSON. The payload must fit ([`fits`]).
    pub fn describe(job: u64, payload: &'a Payload) -> Self {
        let mut frame = Frame::new(DESCRIBE, job);
        frame.put_payload(payload);
        frame.finish()
    }

    /// Asks a process that executes several tasks at once to interrupt the task of this job.
    pub fn interrupt(job: u64) -> Self {
        Frame::new(INTERRUPT, job).finish()
    }

    /// For the queue: says that this frame comes over the connection.
    pub(super) fn elsewhere(&self) -> Frame<'static> {
        Frame::new(ELSEWHERE, job_of(&self.bytes)).finish()
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
            // Only buffers can be changed, never a stream.
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

    /// Puts the number of a piece's file in the frame, and its offset.
    fn put_place(&mut self, memory: &'a MemoryFile, sent: &mut SentFiles) {
        let file = Arc::as_ptr(&memory.file) as usize;
        // If a piece is sent again, it belongs to another value, which a task may change separately. It gets its own mapping, with all
        // pieces of the file that are sent for that time.
        let time = sent.times.entry((file, memory.offset)).or_insert(0);
        let number = *sent.numbers.entry((file, *time)).or_insert_with(|| {
            self.fds.push(Passed::File(&memory.file));
            (self.fds.len() - 1) as u32
        });
        *time += 1;
        self.bytes.extend(number.to_le_bytes());
        self.bytes.extend(memory.offset.to_le_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::payload::Plain;

    fn payload(entries: &[(Key, Plain)]) -> Payload {
        entries.iter().map(|(key, value)| (key.clone(), value.to_value())).collect()
    }

    #[test]
    fn a_payload_that_is_too_long_for_a_frame_is_refused_with_its_size() {
        let small = payload(&[("a".into(), Plain::Text("x".repeat(1000))), (Key::Position(3), Plain::Int(1))]);
        let length = Frame::run(1, 2, &small, Next::Unknown).bytes.len();
        assert_eq!(fits_into(&small, length - 200).map_err(|error| error.keys), Err(2));
        assert_eq!(fits_into(&small, length + 200), Ok(()));
        let error = fits_into(&small, 100).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("its payload of 2 keys takes {} bytes, and 100 bytes can be sent to a worker", error.bytes)
        );
    }

    #[test]
    fn the_length_that_is_checked_is_never_shorter_than_the_frame() {
        for count in [0, 1, 2, 50, 1000] {
            let entries: Vec<_> =
                (0..count).map(|at| (Key::Position(at), Plain::Bytes(vec![7; at as usize]))).collect();
            let payload = payload(&entries);
            let length = Frame::run(1, 2, &payload, Next::Unknown).bytes.len();
            assert!(
                fits_into(&payload, length - 1).is_err() && fits_into(&payload, 2 * length + 64).is_ok(),
                "{count}"
            );
        }
    }

    #[test]
    fn memory_files_of_a_frame_that_waits_take_no_further_descriptors() {
        let file: Arc<OwnedFd> = Arc::new(std::fs::File::open("/dev/null").unwrap().into());
        let memory = |offset| Chunk::Shared(MemoryFile { file: Arc::clone(&file), offset, length: 5 });
        let value = Value::from_worker(memory(0), vec![memory(5)], None);
        let payload: Payload = [("x".into(), value)].into_iter().collect();
        let frame = Frame::run(1, 2, &payload, Next::Unknown);
        let kept: Vec<Kept> = keep(&frame.fds).unwrap();
        assert!(matches!(&kept[..], [Kept::File(kept)] if Arc::ptr_eq(kept, &file)), "{kept:?}");
    }
}
