//! What processes print: read line by line, logged with the actor, pool and process it comes from.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::Token;
use mio::unix::pipe::Receiver;
use tracing::info;

use super::event_loop::Source;
use super::{RunId, Supervisor};
use crate::graph::{ActorId, PoolId};
use crate::log_queue;
use crate::pool::WorkerId;
use crate::process::sys;
use crate::text;

/// Longer lines are logged in pieces.
pub(super) const LONGEST_LINE: usize = 16 * 1024;
/// How much is read at once.
const READ_SIZE: usize = 16 * 1024;
/// One turn of the loop reads no more of one process, so that a flood holds up nobody else: as much as a pipe usually holds.
const MOST_A_TURN: usize = 64 * 1024;
/// At the end of a task what its pipe holds at that moment is read, and no more than this: the largest pipe that a process may have
/// without privileges (`/proc/sys/fs/pipe-max-size`).
const MOST_AT_AN_END: usize = 1024 * 1024;
/// While the log is behind, what is printed is looked at so often.
const LOG_AGAIN: Duration = Duration::from_millis(20);
/// How many of the last lines are kept for an error message.
const KEPT_LINES: usize = 20;

/// Whose output it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Context {
    pub(super) pool: Option<PoolId>,
    pub(super) worker: Option<WorkerId>,
    pub(super) task: Option<(RunId, ActorId)>,
    pub(super) pid: Option<i32>,
}

/// One pipe that processes print into.
pub(super) struct Output {
    pipe: Receiver,
    pub(super) context: Context,
    /// Something was read since somebody asked.
    printed: bool,
    partial: Vec<u8>,
    /// The last lines, where an error message wants them.
    kept: Option<Vec<String>>,
    /// Nobody can write any more.
    ended: bool,
}

/// How far reading got.
enum Progress {
    /// Nothing is there now.
    Empty,
    /// There may be more.
    More,
    /// Every process that could write has gone.
    End,
}

impl Supervisor {
    /// Reads a pipe from now on.
    pub(super) fn watch_output(&mut self, pipe: OwnedFd, context: Context) -> io::Result<Token> {
        let mut pipe = Receiver::from(pipe);
        let token = self.event_loop.watch(&mut pipe, Source::Output)?;
        self.outputs
            .insert(token, Output { pipe, context, printed: false, partial: Vec::new(), kept: None, ended: false });
        Ok(token)
    }

    /// Changes whose output it is. What was printed up to now is read and logged as it was.
    pub(super) fn set_output_context(&mut self, token: Token, set: impl FnOnce(&mut Context)) {
        self.drain_output(token);
        if let Some(output) = self.outputs.get_mut(&token) {
            set(&mut output.context);
        }
    }

    /// The output of a worker that was idle belongs to this task from now on.
    pub(super) fn hand_output_to(&mut self, token: Token, task: (RunId, ActorId)) {
        if let Some(output) = self.outputs.get_mut(&token) {
            output.context.task = Some(task);
        }
    }

    /// Keeps the last lines, for [`Supervisor::take_last_lines`].
    pub(super) fn keep_last_lines(&mut self, token: Token) {
        if let Some(output) = self.outputs.get_mut(&token) {
            output.kept = Some(Vec::new());
        }
    }

    /// Nobody will ask for the last lines any more.
    pub(super) fn stop_keeping_lines(&mut self, token: Token) {
        if let Some(output) = self.outputs.get_mut(&token) {
            output.kept = None;
        }
    }

    /// The last lines that were printed up to now.
    pub(super) fn take_last_lines(&mut self, token: Token) -> Vec<String> {
        self.drain_output(token);
        let Some(output) = self.outputs.get_mut(&token) else { return Vec::new() };
        let kept = output.kept.take().unwrap_or_default();
        if output.ended {
            self.outputs.remove(&token);
        }
        kept
    }

    pub(super) fn on_output_ready(&mut self, token: Token) {
        if log_queue::is_behind() {
            // Who reads the log is slower than what is printed: that waits in its pipe, as if it were printed there.
            return self.event_loop.defer_until(token, Instant::now() + LOG_AGAIN);
        }
        if let Some((pool, worker)) = self.followed_worker(token) {
            // It may have gone on to the next task before it printed. Nothing can begin between here and the reading.
            self.retract(pool, worker);
        }
        match self.read_output(token, MOST_A_TURN) {
            Progress::Empty => {}
            Progress::More => self.event_loop.defer(token),
            Progress::End => self.output_ended(token),
        }
    }

    /// Whose output it is, if that may be at another task than is known.
    fn followed_worker(&self, token: Token) -> Option<(PoolId, WorkerId)> {
        let Context { pool: Some(pool), worker: Some(worker), .. } = self.outputs.get(&token)?.context else {
            return None;
        };
        self.pools[pool.index()].workers.get(&worker)?.state.may_be_further().then_some((pool, worker))
    }

    /// Reads all that has been printed up to now, also a line without its end: what follows is somebody else's. What is printed while
    /// this reads is left to later turns: a process that prints without end has no last byte.
    pub(super) fn drain_output(&mut self, token: Token) {
        let Some(output) = self.outputs.get(&token).filter(|output| !output.ended) else { return };
        let waiting = sys::waiting_to_be_read(output.pipe.as_fd()).min(MOST_AT_AN_END);
        if waiting > 0
            && let Progress::End = self.read_output(token, waiting)
        {
            return self.output_ended(token);
        }
        self.end_line(token);
    }

    /// Whether anything was printed since this was asked last.
    pub(super) fn has_printed(&mut self, token: Token) -> bool {
        self.outputs.get_mut(&token).is_some_and(|output| std::mem::take(&mut output.printed))
    }

    fn output_ended(&mut self, token: Token) {
        self.end_line(token);
        let Some(output) = self.outputs.get_mut(&token) else { return };
        output.ended = true;
        self.event_loop.unwatch(&mut output.pipe, token);
        // Lines that somebody will ask for stay until they are taken.
        if output.kept.is_none() {
            self.outputs.remove(&token);
        }
    }

    /// A line that has no end yet ends here: what follows is somebody else's.
    pub(super) fn end_line(&mut self, token: Token) {
        if self.outputs.get(&token).is_none_or(|output| output.partial.is_empty()) {
            return;
        }
        let Some(mut output) = self.outputs.remove(&token) else { return };
        let line = std::mem::take(&mut output.partial);
        self.on_line(&mut output, &line);
        self.outputs.insert(token, output);
    }

    /// Reads no more than so many bytes.
    fn read_output(&mut self, token: Token, most: usize) -> Progress {
        let Some(mut output) = self.outputs.remove(&token) else { return Progress::Empty };
        if output.ended {
            self.outputs.insert(token, output);
            return Progress::Empty;
        }
        let mut buffer = std::mem::take(&mut self.scratch);
        buffer.resize(READ_SIZE, 0);
        let mut progress = Progress::More;
        let mut left = most;
        while left > 0 {
            match output.pipe.read(&mut buffer[..left.min(READ_SIZE)]) {
                Ok(0) => progress = Progress::End,
                Ok(count) => {
                    left -= count;
                    output.printed = true;
                    self.on_printed(&mut output, &buffer[..count]);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => progress = Progress::Empty,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => progress = Progress::End,
            }
            break;
        }
        self.scratch = buffer;
        self.outputs.insert(token, output);
        progress
    }

    fn on_printed(&self, output: &mut Output, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if output.partial.is_empty() {
                self.on_line(output, line);
            } else {
                let mut whole = std::mem::take(&mut output.partial);
                whole.extend(line);
                self.on_line(output, &whole);
            }
        }
        output.partial.extend(bytes);
        if output.partial.len() >= LONGEST_LINE {
            // What a progress bar has overwritten is not logged.
            let shown = output.partial.trim_ascii_end().iter().rposition(|byte| *byte == b'\r');
            output.partial.drain(..shown.unwrap_or_default());
        }
        if output.partial.len() >= LONGEST_LINE {
            let piece = std::mem::take(&mut output.partial);
            self.on_line(output, &piece);
        }
    }

    fn on_line(&self, output: &mut Output, line: &[u8]) {
        if let Some(kept) = &mut output.kept {
            if kept.len() == KEPT_LINES {
                kept.remove(0);
            }
            kept.push(String::from_utf8_lossy(line).into_owned());
        }
        self.log_line(&output.context, line);
    }

    pub(super) fn log_line(&self, context: &Context, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = text::printed(&line);
        let pool = context.pool.map(|pool| self.workflow.pool(pool).name.as_str());
        let (run, actor) = context.task.unzip();
        let actor = actor.map(|actor| self.actor_name(actor));
        let run = run.map(|run| run.0);
        info!(target: "task", actor, pool, run, worker_pid = context.pid, "{line}");
    }
}
