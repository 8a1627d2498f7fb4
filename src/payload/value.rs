//! One Python value: a pickle and its out-of-band buffers, never copied.

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
    look: Option<Look>,
    form: Option<Box<str>>,
    text: Option<Box<OsStr>>,
}

/// A piece of a value: bytes here, or shared memory that only the workers map.
#[derive(Debug)]
pub enum Chunk {
    /// Small: the bytes themselves.
    Inline(Box<[u8]>),
    /// Large: in a memory file.
    Shared(MemoryFile),
    /// A large one that a task was given and has changed in places: the file as it was, and what is different
    /// (`src/worker/python/pages.py`).
    Changed(MemoryFile, Box<Chunk>),
}

/// A piece of a sealed memory file, in which there may be others. Cloning copies no data.
#[derive(Debug, Clone)]
pub struct MemoryFile {
    /// The descriptor of the file.
    pub file: Arc<OwnedFd>,
    /// Where the piece begins, bytes.
    pub offset: u64,
    /// The length of the piece in bytes.
    pub length: u64,
}

impl MemoryFile {
    /// The piece as text. The file is read only where it is one in memory that nobody can change or shrink any more: reading it
    /// waits for nobody.
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
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Chunk::Inline(bytes) => bytes.len() as u64,
            Chunk::Shared(memory) | Chunk::Changed(memory, _) => memory.length,
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, where they are here.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Chunk::Inline(bytes) => Some(bytes),
            Chunk::Shared(..) | Chunk::Changed(..) => None,
        }
    }

    /// The memory file that all or most of it is in.
    pub fn memory(&self) -> Option<&MemoryFile> {
        match self {
            Chunk::Inline(_) => None,
            Chunk::Shared(memory) | Chunk::Changed(memory, _) => Some(memory),
        }
    }
}

/// What Rust may know of a value without Python: what a router compares, in Python's own sense of equality.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// `None`, `"None"` or `"null"`.
    Null {
        /// Whether Python takes the value for true (the two strings).
        truthy: bool,
    },
    /// An instance of `bool`.
    Bool(bool),
    /// An integer, or a float equal to one, numpy's included.
    Int(i64),
    /// A string, or something equal to one (a string enumeration).
    Text(Box<str>),
    /// Anything else.
    Other {
        /// Whether Python takes it for true.
        truthy: bool,
        /// How it is written where text is needed (a path, a float), if it has such a form.
        text: Option<Box<str>>,
    },
}

impl Look {
    /// Python's truth value.
    pub fn is_true(&self) -> bool {
        match self {
            Look::Null { truthy } | Look::Other { truthy, .. } => *truthy,
            Look::Bool(value) => *value,
            Look::Int(value) => *value != 0,
            Look::Text(text) => !text.is_empty(),
        }
    }
}

impl Value {
    /// A value as a worker sent it: a pickle (protocol 2 to 5), the buffers it refers to, and a look where one was asked for.
    pub fn from_worker(stream: Chunk, buffers: Vec<Chunk>, look: Option<Look>) -> Self {
        Value(Arc::new(Pickled { stream, buffers, look, form: None, text: None }))
    }

    /// The same value with its text, where its look does not tell that. For a value that is not shared yet.
    pub fn with_text(mut self, text: Option<Box<OsStr>>) -> Self {
        if let (Some(text), Some(pickled)) = (text, Arc::get_mut(&mut self.0)) {
            pickled.text = Some(text);
        }
        self
    }

    /// The text that came with the value.
    pub fn known_text(&self) -> Option<&OsStr> {
        self.0.text.as_deref()
    }

    /// The same value with its form for records: JSON text. For a value that is not shared yet.
    pub fn with_form(mut self, form: Option<impl Into<Box<str>>>) -> Self {
        if let (Some(form), Some(pickled)) = (form, Arc::get_mut(&mut self.0)) {
            pickled.form = Some(form.into());
        }
        self
    }

    /// The value as JSON text for a record, where its maker has said it (`src/worker/python/forms.py`).
    pub fn form(&self) -> Option<&str> {
        self.0.form.as_deref()
    }

    /// A value pickled here.
    pub fn from_pickle(stream: Vec<u8>, look: Option<Look>) -> Self {
        Self::from_worker(Chunk::Inline(stream.into_boxed_slice()), Vec::new(), look)
    }

    /// The pickle.
    pub fn stream(&self) -> &Chunk {
        &self.0.stream
    }

    /// The out-of-band buffers that the pickle refers to, in order.
    pub fn buffers(&self) -> &[Chunk] {
        &self.0.buffers
    }

    /// The look that came with the value.
    pub fn known_look(&self) -> Option<&Look> {
        self.0.look.as_ref()
    }

    /// What is known of the value; decoded here where the worker sent no look along.
    pub fn look(&self) -> Look {
        match &self.0.look {
            Some(look) => look.clone(),
            None => super::json::look(self),
        }
    }
}
