//! What processes print: read line by line, and logged with the actor, pool and process that it comes from.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Token;
use mio::unix::pipe::Receiver;
use rustc_hash::FxHashMap;
use tracing::info;

use crate::graph::{ActorId, PoolId, Workflow};
use crate::log_queue;
use crate::pool::WorkerId;
use crate::process::sys;
use crate::supervisor::RunId;
use crate::supervisor::event_loop::{EventLoop, Source};
use crate::text;

/// Longer lines are logged in pieces.
pub(in crate::supervisor) const LONGEST_LINE: usize = 16 * 1024;
/// How much is read at once, bytes.
const READ_SIZE: usize = 16 * 1024;
/// How much is read of one process in one turn of the loop, so that a flood does not delay others: as much as a pipe usually holds.
const MOST_A_TURN: usize = 64 * 1024;
/// How much is read at the end of a task, out of what its pipe holds at that moment: the largest pipe that a process may have without
/// privileges (`/proc/sys/fs/pipe-max-size`).
const MOST_AT_AN_END: usize = 1024 * 1024;
/// While the log is behind, output is read again after this time.
const LOG_AGAIN: Duration = Duration::from_millis(20);
/// Number of last lines that are kept for an error message.
const KEPT_LINES: usize = 20;

/// Where an output comes from.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::supervisor) struct OutputContext {
    pub(in crate::supervisor) pool: Option<PoolId>,
    pub(in crate::supervisor) worker: Option<WorkerId>,
    pub(in crate::supervisor) task: Option<(RunId, ActorId)>,
    pub(in crate::supervisor) pid: Option<i32>,
}

/// One pipe that processes print into.
struct Output {
    pipe: Receiver,
    context: OutputContext,
    /// Whether something was read since [`Outputs::has_printed`] was called.
    printed: bool,
    partial: Vec<u8>,
    /// The last lines, if an error message may need them.
    kept: Option<Vec<String>>,
    /// No process can write any more.
    ended: bool,
}

/// How far reading got.
enum Progress {
    /// Nothing is there now.
    Empty,
    /// There may be more.
    More,
    /// Every process that could write has ended.
    End,
}

/// All pipes that workers, forkservers and programs print into.
pub(in crate::supervisor) struct Outputs {
    workflow: Arc<Workflow>,
    outputs: FxHashMap<Token, Output>,
    /// What output is read into.
    scratch: Vec<u8>,
}

impl Outputs {
    pub(in crate::supervisor) fn new(workflow: Arc<Workflow>) -> Self {
        Outputs { workflow, outputs: FxHashMap::default(), scratch: Vec::new() }
    }

    /// From now on pools and actors are those of this workflow.
    pub(in crate::supervisor) fn replace_workflow(&mut self, workflow: Arc<Workflow>) {
        self.workflow = workflow;
    }

    /// Reads a pipe from now on.
    pub(in crate::supervisor) fn watch(
        &mut self,
        pipe: OwnedFd,
        context: OutputContext,
        event_loop: &mut EventLoop,
    ) -> io::Result<Token> {
        let mut pipe = Receiver::from(pipe);
        let token = event_loop.watch(&mut pipe, Source::Output)?;
        let output = Output { pipe, context, printed: false, partial: Vec::new(), kept: None, ended: false };
        self.outputs.insert(token, output);
        Ok(token)
    }

    /// The process that prints is known from now on.
    pub(in crate::supervisor) fn set_pid(&mut self, token: Token, pid: i32) {
        if let Some(output) = self.outputs.get_mut(&token) {
            output.context.pid = Some(pid);
        }
    }

    /// The output of a worker belongs to this task from now on.
    pub(in crate::supervisor) fn set_task(&mut self, token: Token, task: (RunId, ActorId)) {
        if let Some(output) = self.outputs.get_mut(&token) {
            output.context.task = Some(task);
        }
    }

    /// The worker that prints there.
    pub(in crate::supervisor) fn worker(&self, token: Token) -> Option<(PoolId, WorkerId)> {
        let context = self.outputs.get(&token)?.context;
        context.pool.zip(context.worker)
    }

    /// Keeps the last lines for [`Outputs::take_last_lines`].
    pub(in crate::supervisor) fn keep_last_lines(&mut self, token: Token) {
        if let Some(output) = self.outputs.get_mut(&token) {
            output.kept = Some(Vec::new());
        }
    }

    /// Nobody will ask for the last lines.
    pub(in crate::supervisor) fn stop_keeping_lines(&mut self, token: Token) {
        if let Some(output) = self.outputs.get_mut(&token) {
            output.kept = None;
        }
    }

    /// The last lines that were printed up to now.
    pub(in crate::supervisor) fn take_last_lines(&mut self, token: Token, event_loop: &mut EventLoop) -> Vec<String> {
        self.drain(token, event_loop);
        let Some(output) = self.outputs.get_mut(&token) else { return Vec::new() };
        let kept = output.kept.take().unwrap_or_default();
        if output.ended {
            self.outputs.remove(&token);
        }
        kept
    }

    /// Whether an output is left unread for now, because the log is behind: it waits in its pipe, as if the reader of the log read
    /// from that.
    pub(in crate::supervisor) fn must_wait(token: Token, event_loop: &mut EventLoop) -> bool {
        let behind = log_queue::is_behind();
        if behind {
            event_loop.defer_until(token, Instant::now() + LOG_AGAIN);
        }
        behind
    }

    /// Something was printed.
    pub(in crate::supervisor) fn on_ready(&mut self, token: Token, event_loop: &mut EventLoop) {
        match self.read(token, MOST_A_TURN) {
            Progress::Empty => {}
            Progress::More => event_loop.defer(token),
            Progress::End => self.on_end(token, event_loop),
        }
    }

    /// Reads all that was printed up to now, including a line without its end: what follows belongs to another task. What is printed
    /// during this call is left to later turns: a process that prints without end has no last byte.
    pub(in crate::supervisor) fn drain(&mut self, token: Token, event_loop: &mut EventLoop) {
        let Some(output) = self.outputs.get(&token).filter(|output| !output.ended) else { return };
        let waiting = sys::waiting_to_be_read(output.pipe.as_fd()).min(MOST_AT_AN_END);
        if waiting > 0
            && let Progress::End = self.read(token, waiting)
        {
            return self.on_end(token, event_loop);
        }
        self.end_line(token);
    }

    /// Whether anything was printed since the last call.
    pub(in crate::supervisor) fn has_printed(&mut self, token: Token) -> bool {
        self.outputs.get_mut(&token).is_some_and(|output| std::mem::take(&mut output.printed))
    }

    fn on_end(&mut self, token: Token, event_loop: &mut EventLoop) {
        self.end_line(token);
        let Some(output) = self.outputs.get_mut(&token) else { return };
        output.ended = true;
        event_loop.unwatch(&mut output.pipe, token);
        // Lines that somebody will ask for stay until they are taken.
        if output.kept.is_none() {
            self.outputs.remove(&token);
        }
    }

    /// Ends an incomplete line: what follows belongs to another task.
    pub(in crate::supervisor) fn end_line(&mut self, token: Token) {
        let Some(output) = self.outputs.get_mut(&token).filter(|output| !output.partial.is_empty()) else { return };
        let line = std::mem::take(&mut output.partial);
        on_line(&self.workflow, output, &line);
    }

    /// Reads at most this number of bytes.
    fn read(&mut self, token: Token, most: usize) -> Progress {
        let Some(output) = self.outputs.get_mut(&token).filter(|output| !output.ended) else { return Progress::Empty };
        self.scratch.resize(READ_SIZE, 0);
        let mut left = most;
        while left > 0 {
            match output.pipe.read(&mut self.scratch[..left.min(READ_SIZE)]) {
                Ok(0) => return Progress::End,
                Ok(count) => {
                    left -= count;
                    output.printed = true;
                    on_printed(&self.workflow, output, &self.scratch[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Empty,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Progress::End,
            }
        }
        Progress::More
    }

    /// Logs whole lines that a task beside others has printed.
    pub(in crate::supervisor) fn log_lines(&self, context: &OutputContext, text: &str) {
        for line in text.split('\n') {
            let mut pieces = line.as_bytes().chunks(LONGEST_LINE);
            log_line(&self.workflow, context, pieces.next().unwrap_or_default());
            pieces.for_each(|piece| log_line(&self.workflow, context, piece));
        }
    }
}

fn on_printed(workflow: &Workflow, output: &mut Output, mut bytes: &[u8]) {
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        bytes = rest;
        if output.partial.is_empty() {
            on_line(workflow, output, line);
        } else {
            let mut whole = std::mem::take(&mut output.partial);
            whole.extend(line);
            on_line(workflow, output, &whole);
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
        on_line(workflow, output, &piece);
    }
}

fn on_line(workflow: &Workflow, output: &mut Output, line: &[u8]) {
    if let Some(kept) = &mut output.kept {
        if kept.len() == KEPT_LINES {
            kept.remove(0);
        }
        kept.push(String::from_utf8_lossy(line).into_owned());
    }
    log_line(workflow, &output.context, line);
}

fn log_line(workflow: &Workflow, context: &OutputContext, line: &[u8]) {
    let line = String::from_utf8_lossy(line);
    let line = text::printed(&line);
    let pool = context.pool.map(|pool| workflow.pool(pool).name.as_str());
    let (run, actor) = context.task.unzip();
    let actor = actor.map(|actor| workflow.actor(actor).display_name());
    let run = run.map(|run| run.0);
    info!(target: "task", actor, pool, run, worker_pid = context.pid, "{line}");
}
