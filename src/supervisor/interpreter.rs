//! The Python of a workflow and its pools, and how one is started.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use mio::net::UnixStream;

use super::Supervisor;
use super::setup::setup;
use crate::cgroup::Leaf;
use crate::graph::{PoolId, Workflow};
use crate::process::Program;
use crate::process::sys::{self, Pid, PidFd};
use crate::worker::{Channel, Frame, Queue, bundle};

/// The Python of a workflow.
#[derive(Debug)]
pub(super) struct Interpreter(PathBuf);

impl Interpreter {
    pub(super) fn of(workflow: &Workflow) -> Self {
        Interpreter(workflow.python.as_deref().map_or_else(|| "python3".into(), interpreter_in))
    }
}

/// The interpreter that a path names: itself, or that of the environment whose folder it is.
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

/// An interpreter that has just been started and told what it is.
pub(super) struct Started {
    pub(super) pid: Pid,
    pub(super) pidfd: PidFd,
    pub(super) channel: Channel,
    /// What it prints.
    pub(super) output: OwnedFd,
}

impl Supervisor {
    pub(super) fn interpreter_of(&self, pool: PoolId) -> PathBuf {
        self.workflow.pool(pool).python.as_deref().map_or_else(|| self.interpreter.0.clone(), interpreter_in)
    }

    /// What a process of this kind is called in `ps` and `systemctl status`.
    pub(super) fn title(&self, kind: &str) -> String {
        format!("{kind}: {}", self.workflow.name)
    }

    /// Starts the interpreter of a pool in a leaf, connected by a descriptor, to run `entry` of the Python side.
    pub(super) fn start_interpreter(
        &mut self,
        pool: PoolId,
        entry: &str,
        kind: &str,
        queue: Option<(Queue, OwnedFd)>,
        leaf: Option<&Leaf>,
    ) -> Result<Started, String> {
        let interpreter = self.interpreter_of(pool);
        let cannot = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => format!("there is no interpreter {}", interpreter.display()),
            _ => format!("cannot start the interpreter {}: {error}", interpreter.display()),
        };
        let (ours, theirs) = sys::connection().map_err(cannot)?;
        let (output, write) = sys::pipe().map_err(cannot)?;
        let program = Program::new(&interpreter, write.as_fd())
            .args(bundle::arguments(theirs.as_raw_fd(), &self.title(kind)))
            .inherit(theirs.as_fd())
            .leaf(leaf.map(Leaf::door));
        let (pid, pidfd) = self.nearness.start(program).map_err(cannot)?;
        drop((theirs, write));
        let mut channel = Channel::new(UnixStream::from_std(ours));
        let (queue, its_queue) = queue.unzip();
        let setup = setup(&self.workflow, pool, self.pools[pool.index()].preload, queue.is_some());
        let mut frame = Frame::setup(&setup, None).and_descriptor(self.announced.pipe());
        if let Some(its_queue) = &its_queue {
            frame = frame.and_descriptor(its_queue.as_fd());
        }
        channel
            .send_raw(bundle::source(entry, bundle::cache().as_deref()))
            .and_then(|()| channel.send(frame))
            .map_err(|error| format!("the interpreter {} {error}", interpreter.display()))?;
        queue.into_iter().for_each(|queue| channel.use_queue(queue));
        Ok(Started { pid, pidfd, channel, output })
    }
}
