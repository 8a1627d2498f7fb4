//! How workers are started and connected.

use std::io;
use std::os::fd::OwnedFd;

use mio::Token;
use mio::net::UnixStream;
use tracing::debug;

use super::interpreter::Started;
use super::{Connection, OutputContext, System, Worker, WorkerProcess, Workers};
use crate::cgroup::Leaf;
use crate::graph::{self, PoolId};
use crate::pool::WorkerId;
use crate::process::sys::{self, Pid, PidFd};
use crate::process::tree;
use crate::supervisor::event_loop::{EventLoop, Source};
use crate::supervisor::processes::Child;
use crate::worker::{Channel, Queue};

impl Workers {
    /// Starts the process of a worker. `prefill`: it gets a queue, from which jobs can be retracted.
    pub(in crate::supervisor) fn start(
        &mut self,
        id: (PoolId, WorkerId),
        prefill: bool,
        system: &mut System<'_>,
    ) -> Result<(), String> {
        let leaf = system.resources.cgroup_for_worker(id, &self.workflow)?;
        let leaf = leaf.as_deref();
        let spec = self.workflow.pool(id.0);
        let is_shared = spec.kind.shares_process();
        match spec.context {
            _ if !spec.launcher.is_empty() => self.launch(system, id, leaf)?,
            graph::Context::Spawn => self.spawn(system, id, prefill, leaf)?,
            graph::Context::Forkserver | graph::Context::Fork => self.fork(system, id, prefill, leaf)?,
        }
        if is_shared {
            self.open_process(id);
        }
        Ok(())
    }

    /// Asks the forkserver of the pool for a worker.
    fn fork(
        &mut self,
        system: &mut System<'_>,
        id: (PoolId, WorkerId),
        prefill: bool,
        leaf: Option<&Leaf>,
    ) -> Result<(), String> {
        let (ours, theirs) = sys::connection().map_err(cannot_connect)?;
        let (output, write) = sys::pipe().map_err(cannot_connect)?;
        let (queue, its_queue) = new_queue(prefill)?.unzip();
        self.ask_forkserver(system, id.0, theirs, write, its_queue, leaf)?;
        let output = self.watch_output(id, output, system.event_loop)?;
        let process = self.new_process(id, output);
        self.pools[id.0.index()].workers.insert(id.1, process);
        let mut channel = Channel::new(UnixStream::from_std(ours));
        queue.into_iter().for_each(|queue| channel.use_queue(queue));
        self.connect(id, channel, system.event_loop)
    }

    /// Starts an interpreter that is a worker.
    fn spawn(
        &mut self,
        system: &mut System<'_>,
        id: (PoolId, WorkerId),
        prefill: bool,
        leaf: Option<&Leaf>,
    ) -> Result<(), String> {
        let queue = new_queue(prefill)?;
        let Started { pid, pidfd, channel, output } =
            self.start_interpreter(system, id.0, "spawn_main.main", "pushflow-worker", queue, leaf)?;
        system.processes.add_child(pid, Child::Worker(id.0, id.1));
        let output = self.watch_output(id, output, system.event_loop)?;
        self.outputs.keep_last_lines(output);
        let process = WorkerProcess { process: Some((pid, pidfd)), ..self.new_process(id, output) };
        self.pools[id.0.index()].workers.insert(id.1, process);
        self.connect(id, channel, system.event_loop)
    }

    pub(super) fn new_process(&self, (pool, worker): (PoolId, WorkerId), output: Token) -> WorkerProcess {
        WorkerProcess {
            connection: None,
            output,
            process: None,
            launcher: None,
            state: Worker::new(worker, self.workflow.pool(pool).kind.shares_process()),
            last_actor: None,
            fault: None,
        }
    }

    pub(super) fn watch_output(
        &mut self,
        (pool, worker): (PoolId, WorkerId),
        output: OwnedFd,
        event_loop: &mut EventLoop,
    ) -> Result<Token, String> {
        let context = OutputContext { pool: Some(pool), worker: Some(worker), ..OutputContext::default() };
        let watched = self.outputs.watch(output, context, event_loop);
        watched.map_err(|error| format!("cannot watch what a worker prints: {error}"))
    }

    pub(super) fn connect(
        &mut self,
        (pool, worker): (PoolId, WorkerId),
        mut channel: Channel,
        event_loop: &mut EventLoop,
    ) -> Result<(), String> {
        let token = match event_loop.watch(channel.stream(), Source::Worker(pool, worker)) {
            Ok(token) => token,
            Err(error) => {
                self.pools[pool.index()].workers.remove(&worker);
                return Err(cannot_connect(error));
            }
        };
        // The first frames may not have fitted.
        event_loop.watch_unsent(&mut channel, token).map_err(|error| format!("a worker {error}"))?;
        match self.get_mut((pool, worker)) {
            Some(process) => process.connection = Some(Connection { channel, token }),
            None => event_loop.unwatch(channel.stream(), token),
        }
        Ok(())
    }

    /// A worker has said what its process is. False if that has ended already.
    pub(in crate::supervisor) fn adopt(
        &mut self,
        id @ (pool, worker): (PoolId, WorkerId),
        pid: Pid,
        system: &mut System<'_>,
    ) -> bool {
        let Some(process) = self.get_mut(id) else { return false };
        let output = process.output;
        if process.process.is_none() {
            match (PidFd::open(pid), &process.launcher) {
                (Ok(pidfd), None) => {
                    process.process = Some((pid, pidfd));
                    system.processes.add_child(pid, Child::Worker(pool, worker));
                    system.processes.worker_started(pid);
                }
                // Behind a launcher with a pid namespace of its own, this number means nothing here.
                (Ok(pidfd), Some((launcher, _))) if pid == *launcher || tree::is_below(pid, *launcher) => {
                    process.process = Some((pid, pidfd));
                }
                (_, Some(_)) => {}
                // It has ended and was reaped as an orphan: the end of its connection tells the rest.
                (Err(error), None) => {
                    debug!("worker {pid} has ended before it could be used: {error}");
                    return false;
                }
            }
        }
        self.outputs.drain(output, system.event_loop);
        self.outputs.set_pid(output, pid.as_raw());
        true
    }
}

fn new_queue(prefill: bool) -> Result<Option<(Queue, OwnedFd)>, String> {
    prefill.then(Queue::new).transpose().map_err(cannot_connect)
}

fn cannot_connect(error: io::Error) -> String {
    format!("cannot connect a worker: {error}")
}
