//! The standard output of programs that becomes a part of the payload: read through a pipe, up to a limit.
//!
//! With a pipe instead of a file, what a program writes to `/dev/stdout` is appended to what it has printed before, and a program
//! that prints more than the limit cannot fill the memory: its next write fails (EPIPE, SIGPIPE), as if the next program of a
//! pipeline had ended.

use std::io::{self, Read};
use std::os::fd::OwnedFd;

use mio::Token;
use mio::unix::pipe::Receiver;
use rustc_hash::FxHashMap;

use crate::supervisor::event_loop::{EventLoop, Source};

/// Maximum length of an output that is kept, bytes. More is an error.
pub(in crate::supervisor) const MOST_KEPT_OUTPUT: usize = 256 << 20;
/// How much is read at once, bytes,
const READ_SIZE: usize = 64 * 1024;
/// and how often in one turn of the loop.
const READS_A_TURN: usize = 8;

/// The output of one program.
struct KeptOutput {
    /// `None` once nothing more is read.
    pipe: Option<Receiver>,
    bytes: Vec<u8>,
    /// It has printed more than is kept.
    too_much: bool,
}

/// What a program has printed.
pub(in crate::supervisor) enum Printed {
    /// All of it.
    Whole(Vec<u8>),
    /// More than is kept.
    TooMuch,
}

impl KeptOutput {
    /// Reads what is there, at most this number of bytes. Whether there may be more.
    fn read(&mut self, scratch: &mut Vec<u8>, most: usize) -> bool {
        scratch.resize(READ_SIZE, 0);
        let mut left = most;
        while left > 0 {
            let Some(pipe) = &mut self.pipe else { return false };
            let room = READ_SIZE.min(left);
            match pipe.read(&mut scratch[..room]) {
                Ok(0) => return false,
                Ok(count) => {
                    left -= count;
                    if self.bytes.len() + count > MOST_KEPT_OUTPUT {
                        self.too_much = true;
                        self.bytes = Vec::new();
                        return false;
                    }
                    self.bytes.extend_from_slice(&scratch[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

/// The outputs of programs that are kept.
#[derive(Default)]
pub(in crate::supervisor) struct KeptOutputs {
    outputs: FxHashMap<Token, KeptOutput>,
    /// What output is read into.
    scratch: Vec<u8>,
}

impl KeptOutputs {
    /// Keeps what comes through this pipe.
    pub(in crate::supervisor) fn watch(&mut self, pipe: OwnedFd, event_loop: &mut EventLoop) -> io::Result<Token> {
        let mut pipe = Receiver::from(pipe);
        let token = event_loop.watch(&mut pipe, Source::KeptOutput)?;
        self.outputs.insert(token, KeptOutput { pipe: Some(pipe), bytes: Vec::new(), too_much: false });
        Ok(token)
    }

    /// Something was printed.
    pub(in crate::supervisor) fn on_ready(&mut self, token: Token, event_loop: &mut EventLoop) {
        let Some(kept) = self.outputs.get_mut(&token) else { return };
        if kept.read(&mut self.scratch, READS_A_TURN * READ_SIZE) {
            event_loop.defer(token);
        } else if kept.too_much
            && let Some(mut pipe) = kept.pipe.take()
        {
            // Closed: the program learns that nobody reads what it prints.
            event_loop.unwatch(&mut pipe, token);
        }
    }

    /// What was printed up to now, by a program that has ended. What its children print later is ignored.
    pub(in crate::supervisor) fn take(&mut self, token: Token, event_loop: &mut EventLoop) -> Option<Printed> {
        let mut kept = self.outputs.remove(&token)?;
        if let Some(pipe) = &kept.pipe {
            // This much and no more: children may go on printing as fast as this reads.
            let waiting = rustix::io::ioctl_fionread(pipe).unwrap_or_default();
            kept.read(&mut self.scratch, usize::try_from(waiting).unwrap_or_default());
        }
        if let Some(mut pipe) = kept.pipe.take() {
            event_loop.unwatch(&mut pipe, token);
        }
        Some(if kept.too_much { Printed::TooMuch } else { Printed::Whole(kept.bytes) })
    }
}
