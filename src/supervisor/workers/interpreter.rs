//! The Python interpreters of a workflow and its pools, and how one is started.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::net::UnixStream;

use super::setup::setup;
use super::{System, Workers};
use crate::cgroup::Leaf;
use crate::graph::{PoolId, Workflow};
use crate::process::sys::{self, Pid, PidFd};
use crate::process::{Program, StartFailure, explain, start_failure};
use crate::worker::{Channel, ChannelError, Frame, Queue, bundle};

/// The interpreter of a workflow.
#[derive(Debug)]
pub(in crate::supervisor) struct Interpreter(PathBuf);

impl Interpreter {
    pub(in crate::supervisor) fn of(workflow: &Workflow) -> Self {
        Interpreter(workflow.python.as_deref().map_or_else(|| "python3".into(), interpreter_in))
    }
}

/// The interpreter at a path: the file itself, or that of a virtual environment if the path is a folder.
pub(crate) fn interpreter_in(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    let bin = path.join("bin");
    ["python3", "python"]
        .map(|name| bin.join(name))
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or(bin.join("python3"))
}

/// An interpreter that was started and has been sent its setup.
pub(in crate::supervisor) struct Started {
    pub(in crate::supervisor) pid: Pid,
    pub(in crate::supervisor) pidfd: PidFd,
    pub(in crate::supervisor) channel: Channel,
    /// What it prints.
    pub(in crate::supervisor) output: OwnedFd,
}

/// Why an interpreter, or a launcher of interpreters, could not be started.
pub(in crate::supervisor) fn cannot_start(what: &str, name: &OsStr, error: &io::Error) -> String {
    match start_failure(name, None, Path::new(".")) {
        Some(StartFailure::NotFound(_)) if error.kind() == io::ErrorKind::NotFound => {
            format!("there is no {what} {}", name.display())
        }
        _ => format!("cannot start the {what} {}: {}", name.display(), explain(name, None, Path::new("."), error)),
    }
}

/// Maximum time that the loop waits for the end of an interpreter that has closed its connection and is exiting.
pub(in crate::supervisor) const PATIENCE: Duration = Duration::from_millis(200);

/// Why an interpreter could not be sent its setup. If a wrapper around Python has failed, how it ended and what it printed.
fn ended_early(interpreter: &Path, error: &ChannelError, process: (Pid, &PidFd), output: BorrowedFd<'_>) -> String {
    let interpreter = interpreter.display();
    let Some(ended) = sys::end_within(process, PATIENCE) else {
        return format!("the interpreter {interpreter} {error}");
    };
    // As much as a pipe holds; it does not block.
    let mut bytes = vec![0; 64 << 10];
    let count = nix::unistd::read(output, &mut bytes).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    format!("the interpreter {interpreter} {ended} before it was ready{}", printed(&lines))
}

/// The last lines that an interpreter printed before it ended, for a message. A wrapper around Python may print nothing; the message
/// says that too.
pub(in crate::supervisor) fn printed(lines: &[String]) -> String {
    const SHOWN: usize = 3;
    match &lines[lines.len().saturating_sub(SHOWN)..] {
        [] => "; it printed nothing".to_owned(),
        last => format!(": {}", last.join(" | ")),
    }
}

impl Workers {
    pub(in crate::supervisor) fn interpreter_of(&self, pool: PoolId) -> PathBuf {
        self.workflow.pool(pool).python.as_deref().map_or_else(|| self.interpreter.0.clone(), interpreter_in)
    }

    /// The title of a process of this kind in `ps` and `systemctl status`.
    pub(in crate::supervisor) fn title(&self, kind: &str) -> String {
        format!("{kind}: {}", self.workflow.name)
    }

    /// Starts the interpreter of a pool in a cgroup, connected by a descriptor. It runs the function `entry` of the Python side.
    pub(in crate::supervisor) fn start_interpreter(
        &mut self,
        system: &mut System<'_>,
        pool: PoolId,
        entry: &str,
        kind: &str,
        queue: Option<(Queue, OwnedFd)>,
        leaf: Option<&Leaf>,
    ) -> Result<Started, String> {
        let interpreter = self.interpreter_of(pool);
        let cannot = |error: io::Error| cannot_start("interpreter", interpreter.as_os_str(), &error);
        let (ours, theirs) = sys::connection().map_err(cannot)?;
        let (output, write) = sys::pipe().map_err(cannot)?;
        let program = Program::new(&interpreter, write.as_fd())
            .args(bundle::arguments(theirs.as_raw_fd(), &self.title(kind)))
            .inherit(theirs.as_fd())
            .leaf(leaf.map(Leaf::procs_fd));
        let (pid, pidfd) = self.affinity.start(program).map_err(cannot)?;
        drop((theirs, write));
        let mut channel = Channel::new(UnixStream::from_std(ours));
        let (queue, its_queue) = queue.unzip();
        let setup = setup(&self.workflow, pool, self.pools[pool.index()].preload, queue.is_some());
        let mut frame = Frame::setup(&setup, None).and_descriptor(system.processes.announcements());
        if let Some(its_queue) = &its_queue {
            frame = frame.and_descriptor(its_queue.as_fd());
        }
        channel
            .send_raw(bundle::source(entry, bundle::cache().as_deref()))
            .and_then(|()| channel.send(frame))
            .map_err(|error| ended_early(&interpreter, &error, (pid, &pidfd), output.as_fd()))?;
        queue.into_iter().for_each(|queue| channel.use_queue(queue));
        Ok(Started { pid, pidfd, channel, output })
    }
}
