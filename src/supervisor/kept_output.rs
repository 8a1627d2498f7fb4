//! The standard output of programs where it becomes a part of the payload: read through a pipe, up to a limit.
//!
//! A pipe and not a file: what a program writes to `/dev/stdout` is added to what it has printed before, and a program that prints
//! more than is kept cannot fill the memory. Its next write fails (EPIPE, SIGPIPE), as if what it is piped into had ended.

use std::io::{self, Read};
use std::os::fd::OwnedFd;

use mio::Token;
use mio::unix::pipe::Receiver;

use super::Supervisor;
use super::event_loop::Source;

/// A program may print so much where its output is kept, bytes; more is an error.
pub(super) const MOST_KEPT_OUTPUT: usize = 256 << 20;
/// How much is read at once,
const READ_SIZE: usize = 64 * 1024;
/// and how often in one turn of the loop.
const READS_A_TURN: usize = 8;

/// The output of one program.
pub(super) struct KeptOutput {
    /// None once nothing more is read.
    pipe: Option<Receiver>,
    bytes: Vec<u8>,
    /// It has printed more than is kept.
    too_much: bool,
}

/// What a program has printed.
pub(super) enum Printed {
    /// All of it.
    Whole(Vec<u8>),
    /// More than is kept.
    TooMuch,
}

impl KeptOutput {
    /// Reads what is there, at most about so many bytes; whether there may be more.
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

impl Supervisor {
    /// Keeps what comes through this pipe.
    pub(super) fn keep_output(&mut self, pipe: OwnedFd) -> io::Result<Token> {
        let mut pipe = Receiver::from(pipe);
        let token = self.event_loop.watch(&mut pipe, Source::KeptOutput)?;
        self.kept_outputs.insert(token, KeptOutput { pipe: Some(pipe), bytes: Vec::new(), too_much: false });
        Ok(token)
    }

    pub(super) fn on_kept_output_ready(&mut self, token: Token) {
        let Some(kept) = self.kept_outputs.get_mut(&token) else { return };
        if kept.read(&mut self.scratch, READS_A_TURN * READ_SIZE) {
            self.event_loop.defer(token);
        } else if kept.too_much
            && let Some(mut pipe) = kept.pipe.take()
        {
            // Closed: whoever still prints learns that nobody reads it.
            self.event_loop.unwatch(&mut pipe, token);
        }
    }

    /// What was printed until now, by a program that has ended. What its children print later belongs to nobody.
    pub(super) fn take_kept_output(&mut self, token: Token) -> Option<Printed> {
        let mut kept = self.kept_outputs.remove(&token)?;
        if let Some(pipe) = &kept.pipe {
            // So much and no more: its children may go on printing as fast as this reads.
            let waiting = rustix::io::ioctl_fionread(pipe).unwrap_or_default();
            kept.read(&mut self.scratch, usize::try_from(waiting).unwrap_or_default());
        }
        if let Some(mut pipe) = kept.pipe.take() {
            self.event_loop.unwatch(&mut pipe, token);
        }
        Some(if kept.too_much { Printed::TooMuch } else { Printed::Whole(kept.bytes) })
    }
}
