//! Worker processes: how they are started, connected, and given their tasks.

pub(super) mod affinity;
pub(super) mod output;
pub(super) mod state;
#[cfg(test)]
mod tests;
pub(super) mod transitions;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use mio::Token;
use mio::net::UnixStream;

use super::Supervisor;
use super::event_loop::Source;
use super::interpreter::Started;
use super::processes::Child;
use super::workers::output::OutputContext;
use crate::graph::{self, ActorId, PoolId};
use crate::pool::WorkerId;
use crate::process::sys::{self, Pid, PidFd};
use crate::worker::{Channel, Queue};

use state::Worker;

/// One worker of a pool.
pub(super) struct WorkerProcess {
    /// None before a launcher's worker has connected, and once the connection is closed, from here or from there.
    pub(super) connection: Option<Connection>,
    pub(super) output: Token,
    /// Known from the start where the supervisor starts the interpreter, otherwise from the worker's first frame on.
    pub(super) process: Option<(Pid, PidFd)>,
    /// The command in front of it, where there is one: the supervisor's own child.
    pub(super) launcher: Option<(Pid, PidFd)>,
    /// Its jobs.
    pub(super) state: Worker,
    /// Whose task it has finished last, of those that may have left something.
    pub(super) last_actor: Option<ActorId>,
    /// Why its connection was given up, where that was not its death.
    pub(super) fault: Option<String>,
}

/// The connection to a worker, and what it is watched as.
pub(super) struct Connection {
    pub(super) channel: Channel,
    pub(super) token: Token,
}

impl WorkerProcess {
    pub(super) fn new(worker: WorkerId, is_shared: bool, output: Token) -> Self {
        WorkerProcess {
            connection: None,
            output,
            process: None,
            launcher: None,
            state: Worker::new(worker, is_shared),
            last_actor: None,
            fault: None,
        }
    }
}

impl Supervisor {
    pub(super) fn spawn_worker(&mut self, pool: PoolId, worker: WorkerId) {
        self.tell_pool(pool, |pool, _| pool.on_worker_starting(worker, Instant::now()));
        if self.join_host(pool, worker) {
            return;
        }
        let spec = self.workflow.pool(pool);
        let shared = spec.kind.shares_process();
        let started = match spec.context {
            _ if !spec.launcher.is_empty() => self.launch_worker(pool, worker),
            graph::Context::Spawn => self.start_fresh_worker(pool, worker),
            graph::Context::Forkserver | graph::Context::Fork => self.fork_worker(pool, worker),
        };
        if let Err(why) = started {
            self.pools[pool.index()].failure = Some(why);
            self.close_connection(pool, worker);
            self.resources.on_not_started((pool, worker));
            self.tell_pool(pool, |pool, effects| pool.on_worker_ended(worker, Instant::now(), effects));
            self.say_that_starts_fail(pool);
        } else if shared {
            self.open_host(pool, worker);
        }
    }

    pub(super) fn is_shared(&self, pool: PoolId) -> bool {
        self.workflow.pool(pool).kind.shares_process()
    }

    /// Asks the pool's forkserver for a worker.
    fn fork_worker(&mut self, pool: PoolId, worker: WorkerId) -> Result<(), String> {
        let cannot = |error: io::Error| format!("cannot connect a worker: {error}");
        let (ours, theirs) = sys::connection().map_err(cannot)?;
        let (output, write) = sys::pipe().map_err(cannot)?;
        let (queue, its_queue) = self.queue_for(pool).map_err(cannot)?.unzip();
        let leaf = self.resources.cgroup_for_worker((pool, worker), &self.workflow)?;
        self.ask_forkserver(pool, theirs, write, its_queue, leaf.as_deref())?;
        let output = self.watch_worker_output(pool, worker, output)?;
        let process = WorkerProcess::new(worker, self.is_shared(pool), output);
        self.pools[pool.index()].workers.insert(worker, process);
        let mut channel = Channel::new(UnixStream::from_std(ours));
        queue.into_iter().for_each(|queue| channel.use_queue(queue));
        self.connect_worker(pool, worker, channel)
    }

    /// A queue for a worker of this pool, and its end of it, where workers have one.
    pub(super) fn queue_for(&self, pool: PoolId) -> io::Result<Option<(Queue, OwnedFd)>> {
        self.pools[pool.index()].pool.can_prefill().then(Queue::new).transpose()
    }

    /// Starts an interpreter that is a worker.
    fn start_fresh_worker(&mut self, pool: PoolId, worker: WorkerId) -> Result<(), String> {
        let leaf = self.resources.cgroup_for_worker((pool, worker), &self.workflow)?;
        let queue = self.queue_for(pool).map_err(|error| format!("cannot connect a worker: {error}"))?;
        let Started { pid, pidfd, channel, output } =
            self.start_interpreter(pool, "fresh.main", "pushflow-worker", queue, leaf.as_deref())?;
        self.processes.add_child(pid, Child::Worker(pool, worker));
        let output = self.watch_worker_output(pool, worker, output)?;
        self.outputs.keep_last_lines(output);
        let process =
            WorkerProcess { process: Some((pid, pidfd)), ..WorkerProcess::new(worker, self.is_shared(pool), output) };
        self.pools[pool.index()].workers.insert(worker, process);
        self.connect_worker(pool, worker, channel)
    }

    pub(super) fn watch_worker_output(
        &mut self,
        pool: PoolId,
        worker: WorkerId,
        output: OwnedFd,
    ) -> Result<Token, String> {
        let context = OutputContext { pool: Some(pool), worker: Some(worker), ..OutputContext::default() };
        let watched = self.outputs.watch(output, context, &mut self.event_loop);
        watched.map_err(|error| format!("cannot watch what a worker prints: {error}"))
    }

    pub(super) fn connect_worker(
        &mut self,
        pool: PoolId,
        worker: WorkerId,
        mut channel: Channel,
    ) -> Result<(), String> {
        let token = self.event_loop.watch(channel.stream(), Source::Worker(pool, worker));
        if let Ok(token) = token {
            // What it was told first may not have fitted.
            let watched = self.event_loop.watch_unsent(&mut channel, token);
            watched.map_err(|error| format!("a worker {error}"))?;
        }
        match (token, self.pools[pool.index()].workers.get_mut(&worker)) {
            (Ok(token), Some(process)) => {
                process.connection = Some(Connection { channel, token });
                Ok(())
            }
            (Ok(token), None) => {
                self.event_loop.unwatch(channel.stream(), token);
                Ok(())
            }
            (Err(error), _) => {
                self.pools[pool.index()].workers.remove(&worker);
                Err(format!("cannot connect a worker: {error}"))
            }
        }
    }
}
