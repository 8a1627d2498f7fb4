//! Worker processes: how they start, what they are given and say, and how they end.
//!
//! [`Workers`] owns the processes of all pools, their connections and outputs, the forkservers and the launchers. It is told
//! what to do and returns what happened; it knows neither pools nor runs. What the jobs of a worker are is in `state.rs`,
//! and what follows from its events in `transitions.rs`.

mod affinity;
mod forkserver;
mod interpreter;
mod late;
mod launcher;
mod output;
mod setup;
mod slots;
mod start;
mod state;
#[cfg(test)]
mod tests;
mod transitions;

use std::sync::Arc;

use mio::Token;
use rustc_hash::FxHashMap;

use super::event_loop::EventLoop;
use super::processes::Processes;
use crate::graph::{ActorId, Context, PoolId, Workflow};
use crate::pool::{JobId, WorkerId};
use crate::process::Ended;
use crate::process::sys::{self, Pid, PidFd};
use crate::worker::message::Given;
use crate::worker::{Channel, ChannelError, Frame, Message, Next};

use affinity::Affinity;
use forkserver::Forkserver;
use interpreter::{Interpreter, printed};
use launcher::LauncherListener;
use state::{Assignment, Delivery};

pub(crate) use interpreter::interpreter_in;
pub(super) use late::Overdue;
pub(super) use output::{OutputContext, Outputs};
pub(super) use slots::Leaving;
pub(super) use state::{Ended as JobEnded, Successor, Worker};
pub(super) use transitions::{Effects, close, give_up, on_answer, on_ready, retract};

/// The workers of all pools.
pub(super) struct Workers {
    workflow: Arc<Workflow>,
    interpreter: Interpreter,
    pools: Vec<PoolWorkers>,
    pub(super) outputs: Outputs,
    /// Where workers behind launchers connect; created with the first of them.
    listener: Option<LauncherListener>,
    pub(super) affinity: Affinity,
}

/// The workers of one pool.
struct PoolWorkers {
    workers: FxHashMap<WorkerId, WorkerProcess>,
    /// In a pool whose workers share processes: the worker that each one's process was started for.
    processes: FxHashMap<WorkerId, WorkerId>,
    /// The process that further workers share.
    open: Option<WorkerId>,
    forkserver: Option<Forkserver>,
    /// Whether the forkserver imports the task modules. Given up when that kills it.
    preload: bool,
    /// Why a worker could not be started, last time.
    failure: Option<String>,
}

/// The components that workers are started in.
pub(super) struct System<'a> {
    pub(super) event_loop: &'a mut EventLoop,
    pub(super) processes: &'a mut Processes,
    pub(super) resources: &'a mut super::Resources,
}

/// One worker of a pool.
pub(super) struct WorkerProcess {
    /// `None` before a launcher's worker has connected, and after either side has closed the connection.
    connection: Option<Connection>,
    pub(super) output: Token,
    /// Known from the start if the supervisor starts the interpreter, otherwise from the first frame of the worker on.
    pub(super) process: Option<(Pid, PidFd)>,
    /// The command in front of it, if there is one: a child of the supervisor.
    pub(super) launcher: Option<(Pid, PidFd)>,
    /// Its jobs.
    pub(super) state: Worker,
    /// The actor of the last task that it has finished, of those that may have left something.
    pub(super) last_actor: Option<ActorId>,
    /// Why its connection was closed, unless that was its death.
    fault: Option<String>,
}

/// The connection to a worker, and what it is watched as.
struct Connection {
    channel: Channel,
    token: Token,
}

/// What an error of its connection means for a worker.
#[must_use]
pub(super) enum Unusable {
    /// It never became a worker, and no other event tells of its end.
    Gone,
    /// It is exiting. It is reaped soon.
    Exiting,
    /// It cannot be used, for this reason.
    Faulty(String),
}

impl WorkerProcess {
    /// Whether it can be told something.
    pub(super) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Why it was given up, if it was.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// It is given up for this reason, unless it was before.
    pub(super) fn set_fault(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }
}

impl Workers {
    /// The pools of a workflow, without any process. Nothing is ever pinned without `affinity`.
    pub(super) fn new(workflow: &Arc<Workflow>, affinity: bool) -> Self {
        Workers {
            interpreter: Interpreter::of(workflow),
            pools: PoolWorkers::all_of(workflow),
            outputs: Outputs::new(Arc::clone(workflow)),
            listener: None,
            affinity: Affinity::new(affinity),
            workflow: Arc::clone(workflow),
        }
    }

    /// From now on the pools are those of this workflow. There must be no worker.
    pub(super) fn replace_workflow(&mut self, workflow: &Arc<Workflow>) {
        self.interpreter = Interpreter::of(workflow);
        self.pools = PoolWorkers::all_of(workflow);
        self.outputs.replace_workflow(Arc::clone(workflow));
        self.workflow = Arc::clone(workflow);
    }

    pub(super) fn has_pool(&self, pool: PoolId) -> bool {
        pool.index() < self.pools.len()
    }

    pub(super) fn get(&self, (pool, worker): (PoolId, WorkerId)) -> Option<&WorkerProcess> {
        self.pools.get(pool.index())?.workers.get(&worker)
    }

    pub(super) fn get_mut(&mut self, (pool, worker): (PoolId, WorkerId)) -> Option<&mut WorkerProcess> {
        self.pools.get_mut(pool.index())?.workers.get_mut(&worker)
    }

    /// All workers.
    pub(super) fn all(&self) -> impl Iterator<Item = ((PoolId, WorkerId), &WorkerProcess)> {
        let pools = self.pools.iter().enumerate();
        pools.flat_map(|(index, pool)| {
            pool.workers.iter().map(move |(worker, process)| ((PoolId::from(index), *worker), process))
        })
    }

    /// Why a worker of this pool could not be started, last time.
    pub(super) fn failure(&self, pool: PoolId) -> &str {
        self.pools[pool.index()].failure.as_deref().unwrap_or("they die before they are ready")
    }

    /// A worker of this pool could not be started.
    pub(super) fn set_failure(&mut self, pool: PoolId, failure: String) {
        self.pools[pool.index()].failure = Some(failure);
    }

    /// Writes what did not fit before.
    pub(super) fn flush(&mut self, id: (PoolId, WorkerId), event_loop: &EventLoop) -> Result<(), ChannelError> {
        let Some(Connection { channel, token }) = self.connection(id) else { return Ok(()) };
        channel.flush()?;
        event_loop.watch_unsent(channel, *token)
    }

    /// The next message of a worker, if there is one.
    pub(super) fn receive(
        &mut self,
        id: (PoolId, WorkerId),
        given: Given<'_>,
    ) -> Result<Option<Message>, ChannelError> {
        self.connection(id).map_or(Ok(None), |connection| connection.channel.receive(given))
    }

    /// Leaves the further messages of a worker to the next turn of the loop.
    pub(super) fn defer_messages(&mut self, id: (PoolId, WorkerId), event_loop: &mut EventLoop) {
        if let Some(Connection { channel, token }) = self.connection(id) {
            channel.stop_reading();
            event_loop.defer(*token);
        }
    }

    /// Gives a job to a slot of a process. It has the job even if that cannot be sent.
    pub(super) fn send(
        &mut self,
        (pool, process): (PoolId, WorkerId),
        (slot, job): (WorkerId, JobId),
        (frame, next): (Frame<'_>, Next),
        event_loop: &EventLoop,
    ) -> Result<(), ChannelError> {
        let Some(process) = self.get_mut((pool, process)) else { return Ok(()) };
        let since = sys::since_boot();
        let (delivery, sent) = match &mut process.connection {
            Some(Connection { channel, token }) => {
                let delivery = if channel.queues(&frame) { Delivery::Queued } else { Delivery::Direct };
                (delivery, channel.send(frame).and_then(|()| event_loop.watch_unsent(channel, *token)))
            }
            None => (Delivery::Direct, Err(ChannelError::Closed)),
        };
        let successor = if next == Next::Follows { Successor::Follows } else { Successor::Unknown };
        process.state.assign(Assignment { job, slot, delivery, successor, since, started_something: false });
        sent
    }

    /// Gives a job to a worker behind the jobs that it has. `None` if it takes none.
    pub(super) fn prefill(
        &mut self,
        id: (PoolId, WorkerId),
        job: JobId,
        frame: Frame<'_>,
        event_loop: &EventLoop,
    ) -> Option<Result<(), ChannelError>> {
        let process = self.get_mut(id)?;
        let Connection { channel, token } = process.connection.as_mut()?;
        let is_prefilled = process.state.prefill(job, sys::since_boot());
        is_prefilled.then(|| channel.send(frame).and_then(|()| event_loop.watch_unsent(channel, *token)))
    }

    /// Empties the queue of a worker. The jobs that were in it, the oldest first.
    pub(super) fn empty_queue(&mut self, id: (PoolId, WorkerId)) -> Vec<JobId> {
        let queue = self.connection(id).and_then(|connection| connection.channel.queue());
        queue.map_or_else(Vec::new, |queue| queue.retract().into_iter().map(JobId).collect())
    }

    /// Interrupts one of the jobs of a process.
    pub(super) fn interrupt(&mut self, id: (PoolId, WorkerId), job: JobId) -> Result<(), ChannelError> {
        let connection = self.connection(id).ok_or(ChannelError::Closed)?;
        connection.channel.send(Frame::interrupt(job.0))
    }

    /// Lets a worker go on that waits after its answer.
    pub(super) fn resume(&mut self, id: (PoolId, WorkerId), event_loop: &EventLoop) -> Result<(), ChannelError> {
        let Some(Connection { channel, token }) = self.connection(id) else { return Ok(()) };
        channel.go_on()?;
        event_loop.watch_unsent(channel, *token)
    }

    /// Closes the connection of a worker.
    pub(super) fn disconnect(&mut self, id: (PoolId, WorkerId), event_loop: &mut EventLoop) {
        if let Some(Connection { mut channel, token }) = self.get_mut(id).and_then(|process| process.connection.take())
        {
            event_loop.unwatch(channel.stream(), token);
        }
    }

    fn connection(&mut self, id: (PoolId, WorkerId)) -> Option<&mut Connection> {
        self.get_mut(id)?.connection.as_mut()
    }

    /// What an error of its connection means for a worker. `None` if there is no such worker.
    pub(super) fn on_error(&self, id: (PoolId, WorkerId), error: &ChannelError) -> Option<Unusable> {
        let process = self.get(id)?;
        let is_closed = matches!(error, ChannelError::Closed);
        Some(match (&process.process, &process.launcher) {
            (None, None) => Unusable::Gone,
            (Some((pid, _)), None) if is_closed && is_exiting(*pid) => Unusable::Exiting,
            (Some((pid, _)), Some((launcher, _))) if is_closed && pid == launcher && is_exiting(*pid) => {
                Unusable::Exiting
            }
            // What a launcher does after the end of its worker does not matter.
            (_, Some(_)) if is_closed => Unusable::Faulty("ended".to_owned()),
            _ => Unusable::Faulty(error.to_string()),
        })
    }

    /// Removes a worker that has ended, with its last output read. If it was not ready, why is the failure of its pool.
    pub(super) fn remove(
        &mut self,
        id @ (pool, worker): (PoolId, WorkerId),
        ended: Option<Ended>,
        system: &mut System<'_>,
    ) -> Option<WorkerProcess> {
        let process = self.pools[pool.index()].workers.remove(&worker)?;
        if process.state.was_ready() {
            self.outputs.drain(process.output, system.event_loop);
        } else {
            let lines = self.outputs.take_last_lines(process.output, system.event_loop);
            let interpreter = self.interpreter_of(pool);
            let known = self.pools[pool.index()].failure.is_some();
            let failure = match ended {
                _ if known => None,
                Some(ended) => {
                    let who = match &process.launcher {
                        Some(_) => "launcher".to_owned(),
                        None => format!("Python interpreter {}", interpreter.display()),
                    };
                    Some(format!("the {who} {ended} before a worker was ready{}", printed(&lines)))
                }
                None => {
                    let ended = self.how_forkserver_ended(system.processes, pool);
                    Some(format!("the interpreter {} {ended} before it was ready", interpreter.display()))
                }
            };
            failure.into_iter().for_each(|failure| self.set_failure(pool, failure));
        }
        self.forget_pending(id);
        self.close_process(id);
        Some(process)
    }
}

impl PoolWorkers {
    fn all_of(workflow: &Workflow) -> Vec<Self> {
        let workers = workflow.pools.iter().map(|spec| PoolWorkers {
            workers: FxHashMap::default(),
            processes: FxHashMap::default(),
            open: None,
            forkserver: None,
            preload: spec.preload || spec.context == Context::Fork,
            failure: None,
        });
        workers.collect()
    }
}

/// Whether a process is exiting: its connection ended because of that (PF_EXITING, include/linux/sched.h).
fn is_exiting(pid: Pid) -> bool {
    const PF_EXITING: u32 = 0x4;
    match procfs::process::Process::new(pid.as_raw()).and_then(|process| process.stat()) {
        Ok(stat) => stat.flags & PF_EXITING != 0 || matches!(stat.state, 'Z' | 'X'),
        Err(_) => true,
    }
}
