//! Worker processes: how they are started, connected, and given their tasks.

#[allow(dead_code)]
mod state;
#[cfg(test)]
mod tests;
#[allow(dead_code)]
mod transitions;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use mio::Token;
use mio::net::UnixStream;

use super::Supervisor;
use super::ahead::SentAhead;
use super::event_loop::Source;
use super::interpreter::Started;
use super::output::Context;
use super::processes::Child;
use crate::graph::{self, ActorId, PoolId};
use crate::pool::{Answer, JobId, Pool, WorkerId};
use crate::process::sys::{self, Pid, PidFd};
use crate::worker::{Channel, Next, Queue};

/// One worker of a pool.
pub(super) struct WorkerProcess {
    /// None before a launcher's worker has connected, and once the connection is closed, from here or from there.
    pub(super) connection: Option<Connection>,
    pub(super) output: Token,
    /// Known from the start where the supervisor starts the interpreter, otherwise from the worker's first frame on.
    pub(super) process: Option<(Pid, PidFd)>,
    /// The command in front of it, where there is one: the supervisor's own child.
    pub(super) launcher: Option<(Pid, PidFd)>,
    /// Whether it has said that it can be given work.
    pub(super) ready: bool,
    /// Who works in it: one, unless the workers of the pool share a process.
    pub(super) places: Vec<WorkerId>,
    /// What is being executed, and by whom.
    pub(super) jobs: Vec<(JobId, WorkerId)>,
    /// What it has been sent to do next.
    pub(super) ahead: VecDeque<SentAhead>,
    /// Whether it was told that its task is followed by another one: it says then when there is something to look at between.
    pub(super) followed: bool,
    /// Whether its task came through its queue, and may still be there.
    pub(super) first_is_queued: bool,
    /// It is there still, and the connection is closed.
    pub(super) first_is_unread: bool,
    /// That it has said, of the answer that comes next; and whether the task has started a process.
    pub(super) pauses: Option<bool>,
    /// Since when it has had something to do, or had last, at the earliest: time since boot.
    pub(super) busy_since: Duration,
    /// When it has answered last.
    pub(super) answered: Duration,
    /// Whether its task has announced a process.
    pub(super) has_started_something: bool,
    /// Whose task it has finished last, of those that may have left something.
    pub(super) last_actor: Option<ActorId>,
    /// No more jobs are for it: one of them did not return when it was interrupted.
    pub(super) closing: bool,
    /// Why its connection was given up, where that was not its death.
    pub(super) fault: Option<String>,
}

/// The connection to a worker, and what it is watched as.
pub(super) struct Connection {
    pub(super) channel: Channel,
    pub(super) token: Token,
}

impl WorkerProcess {
    pub(super) fn new(worker: WorkerId, output: Token) -> Self {
        WorkerProcess {
            connection: None,
            output,
            process: None,
            launcher: None,
            ready: false,
            places: vec![worker],
            jobs: Vec::new(),
            ahead: VecDeque::new(),
            followed: false,
            first_is_queued: false,
            first_is_unread: false,
            pauses: None,
            busy_since: Duration::ZERO,
            answered: Duration::ZERO,
            has_started_something: false,
            last_actor: None,
            closing: false,
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

    /// Asks the pool's forkserver for a worker.
    fn fork_worker(&mut self, pool: PoolId, worker: WorkerId) -> Result<(), String> {
        let cannot = |error: io::Error| format!("cannot connect a worker: {error}");
        let (ours, theirs) = sys::connection().map_err(cannot)?;
        let (output, write) = sys::pipe().map_err(cannot)?;
        let (queue, its_queue) = self.queue_for(pool).map_err(cannot)?.unzip();
        let leaf = self.resources.cgroup_for_worker((pool, worker), &self.workflow)?;
        self.ask_forkserver(pool, theirs, write, its_queue, leaf.as_deref())?;
        let output = self.watch_worker_output(pool, worker, output)?;
        self.pools[pool.index()].workers.insert(worker, WorkerProcess::new(worker, output));
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
        self.keep_last_lines(output);
        let process = WorkerProcess { process: Some((pid, pidfd)), ..WorkerProcess::new(worker, output) };
        self.pools[pool.index()].workers.insert(worker, process);
        self.connect_worker(pool, worker, channel)
    }

    pub(super) fn watch_worker_output(
        &mut self,
        pool: PoolId,
        worker: WorkerId,
        output: OwnedFd,
    ) -> Result<Token, String> {
        let context = Context { pool: Some(pool), worker: Some(worker), ..Context::default() };
        let watched = self.watch_output(output, context);
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

    pub(super) fn send_job(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        if !self.jobs.contains_key(&job) {
            // Nobody waits for it any more.
            let end = |pool: &mut Pool, effects: &mut Vec<_>| {
                pool.on_job_ended(worker, Answer::NOT_SHORT, Instant::now(), effects);
            };
            return self.tell_pool(pool, end);
        }
        let host = self.host_of(pool, worker);
        let followed = self.pools[pool.index()].pool.may_be_followed(worker);
        let next = if followed {
            // Nobody waits for anybody.
            self.nearness.part();
            Next::Follows
        } else {
            self.where_to_wait(pool)
        };
        let Some(process) = self.pools[pool.index()].workers.get_mut(&host) else { return };
        process.busy_since = sys::since_boot();
        process.followed = followed;
        let sent = self.send_to(pool, host, job, next);
        self.job_begins(pool, host, worker, job);
        if let Err(error) = sent {
            self.worker_unusable(pool, host, error);
        }
    }

    /// The CPU at which a worker of this pool is to wait after the task that it is sent now, if it matters.
    fn where_to_wait(&mut self, pool: PoolId) -> Next {
        if self.workflow.pool(pool).gevent {
            // Greenlets run also while their thread waits.
            self.nearness.part();
            return Next::Unknown;
        }
        self.nearness.next(self.jobs.len() == 1).map_or(Next::Unknown, Next::Near)
    }
}
