//! A Python value: a pickle and its out-of-band buffers, which are never copied.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::stat::fstat;
use nix::sys::uio::pread;

/// A handle on a pickled Python value. Cloning copies no data.
#[derive(Debug, Clone)]
pub struct Value(Arc<Pickled>);

#[derive(Debug)]
struct Pickled {
    stream: Chunk,
    buffers: Vec<Chunk>,
    routing_value: Option<RoutingValue>,
    json_repr: Option<Box<str>>,
    text: Option<Box<OsStr>>,
}

/// A piece of a value: bytes in this process, or shared memory that only workers map.
#[derive(Debug)]
pub enum Chunk {
    /// Small: the bytes themselves.
    Inline(Box<[u8]>),
    /// A large piece, in a memory file.
    Shared(MemoryFile),
    /// A large piece that came with a task, which has changed parts of it: the original file, and the changes
    /// (`src/worker/python/pages.py`).
    Changed(MemoryFile, Box<Chunk>),
}

/// A piece of a sealed memory file, which may contain other pieces. Cloning copies no data.
#[derive(Debug, Clone)]
pub struct MemoryFile {
    /// The descriptor of the file.
    pub file: Arc<OwnedFd>,
    /// The offset of the piece in bytes.
    pub offset: u64,
    /// The length of the piece in bytes.
    pub length: u64,
}

impl MemoryFile {
    /// The piece as text. The file is read only if it is sealed in memory, so that nobody can change or shrink it and reading never
    /// waits.
    pub fn read_text(&self) -> io::Result<String> {
        let seals = SealFlag::from_bits_retain(fcntl(&*self.file, FcntlArg::F_GET_SEALS)?);
        let size = fstat(&*self.file)?.st_size.unsigned_abs();
        let is_there = self.offset.checked_add(self.length).is_some_and(|end| end <= size);
        if !seals.contains(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_WRITE) || !is_there {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; usize::try_from(self.length).map_err(|_| io::ErrorKind::OutOfMemory)?];
        let mut at = 0;
        while at < bytes.len() {
            match pread(&*self.file, &mut bytes[at..], (self.offset + at as u64) as i64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => at += count,
            }
        }
        String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

impl Chunk {
    /// The length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Chunk::Inline(bytes) => bytes.len() as u64,
            Chunk::Shared(memory) | Chunk::Changed(memory, _) => memory.length,
        }
    }

    /// Whether the piece is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, if they are in this process.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Chunk::Inline(bytes) => Some(bytes),
            Chunk::Shared(..) | Chunk::Changed(..) => None,
        }
    }

    /// The memory file that contains the piece, except for its changes.
    pub fn memory(&self) -> Option<&MemoryFile> {
        match self {
            Chunk::Inline(_) => None,
            Chunk::Shared(memory) | Chunk::Changed(memory, _) => Some(memory),
        }
    }
}

/// What Rust knows of a value without Python: what a router compares, with Python's equality.
#[derive(Debug, Clone, PartialEq)]
pub enum RoutingValue {
    /// `None`, `"None"` or `"null"`.
    Null {
        /// Its truth value in Python: the two strings are true.
        truthy: bool,
    },
    /// An instance of `bool`.
    Bool(bool),
    /// An integer, or a float equal to one, numpy's included.
    Int(i64),
    /// A string, or an instance of a subclass (a string enumeration).
    Text(Box<str>),
    /// Any other value.
    Other {
        /// Its truth value in Python.
        truthy: bool,
        /// Its text in a command (a path, a float), if it has one.
        text: Option<Box<str>>,
    },
}

impl RoutingValue {
    /// The truth value in Python.
    pub fn is_true(&self) -> bool {
        match self {
            RoutingValue::Null { truthy } | RoutingValue::Other { truthy, .. } => *truthy,
            RoutingValue::Bool(value) => *value,
            RoutingValue::Int(value) => *value != 0,
            RoutingValue::Text(text) => !text.is_empty(),
        }
    }
}

impl Value {
    /// A value that a worker sent: a pickle (protocol 2 to 5), the buffers that it refers to, and the routing value, if it was asked for.
    pub fn from_worker(stream: Chunk, buffers: Vec<Chunk>, routing_value: Option<RoutingValue>) -> Self {
        Value(Arc::new(Pickled { stream, buffers, routing_value, json_repr: None, text: None }))
    }

    /// The same value with its text, if the routing value does not contain it. For a value that is not shared yet.
    pub fn with_text(mut self, text: Option<Box<OsStr>>) -> Self {
        if let (Some(text), Some(pickled)) = (text, Arc::get_mut(&mut self.0)) {
            pickled.text = Some(text);
        }
        self
    }

    /// The text that the worker sent.
    pub fn known_text(&self) -> Option<&OsStr> {
        self.0.text.as_deref()
    }

    /// The same value with its JSON for records. For a value that is not shared yet.
    pub fn with_json_repr(mut self, json: Option<impl Into<Box<str>>>) -> Self {
        if let (Some(json), Some(pickled)) = (json, Arc::get_mut(&mut self.0)) {
            pickled.json_repr = Some(json.into());
        }
        self
    }

    /// The JSON for records that the worker sent (`src/worker/python/json_repr.py`).
    pub fn json_repr(&self) -> Option<&str> {
        self.0.json_repr.as_deref()
    }

    /// A value that was pickled in this process.
    pub fn from_pickle(stream: Vec<u8>, routing_value: Option<RoutingValue>) -> Self {
        Self::from_worker(Chunk::Inline(stream.into_boxed_slice()), Vec::new(), routing_value)
    }

    /// The pickle.
    pub fn stream(&self) -> &Chunk {
        &self.0.stream
    }

    /// The out-of-band buffers that the pickle refers to, in order.
    pub fn buffers(&self) -> &[Chunk] {
        &self.0.buffers
    }

    /// The routing value that the worker sent.
    pub fn known_routing_value(&self) -> Option<&RoutingValue> {
        self.0.routing_value.as_ref()
    }

    /// The routing value. It is decoded from the pickle if the worker sent none.
    pub fn routing_value(&self) -> RoutingValue {
        match &self.0.routing_value {
            Some(routing_value) => routing_value.clone(),
            None => super::json::routing_value(self),
        }
    }
}
