//! Worker processes: from the request to the forkserver until they are reaped.

use std::io;
use std::time::Instant;

use mio::Token;
use mio::net::UnixStream;
use tracing::debug;

use super::Supervisor;
use super::jobs::{Job, failed};
use super::output::Context;
use super::reaper::Child;
use super::sources::Source;
use crate::engine::{Failure, FailureKind, Outcome};
use crate::graph::PoolId;
use crate::payload::ErrorClass;
use crate::pool::{JobId, Step, WorkerId};
use crate::process::sys::{self, Pid, PidFd, Signal};
use crate::process::{Ended, tree};
use crate::worker::{Channel, ChannelError, Frame, Message};

/// One worker of a pool.
pub(super) struct WorkerProcess {
    /// None once the connection is closed, from here or from there.
    channel: Option<Channel>,
    token: Token,
    output: Token,
    /// Known from its first frame on.
    process: Option<(Pid, PidFd)>,
    job: Option<JobId>,
    /// Why its connection was given up, where that was not its death.
    fault: Option<String>,
}

impl Supervisor {
    pub(super) fn spawn_worker(&mut self, pool: PoolId, worker: WorkerId) {
        if let Err(why) = self.try_spawn_worker(pool, worker) {
            self.pools[pool.index()].failure = Some(why);
            self.tell_pool(pool, |pool, effects| pool.on_worker_ended(worker, effects));
        }
    }

    fn try_spawn_worker(&mut self, pool: PoolId, worker: WorkerId) -> Result<(), String> {
        let cannot = |error: io::Error| format!("cannot connect a worker: {error}");
        let (ours, theirs) = sys::connection().map_err(cannot)?;
        let (output, write) = sys::pipe().map_err(cannot)?;
        self.ask_forkserver(pool, theirs, write)?;
        let mut channel = Channel::new(UnixStream::from_std(ours));
        let token = self.sources.add(&self.poll, channel.stream(), Source::Worker(pool, worker)).map_err(cannot)?;
        let output = self.watch_output(output, Context { pool: Some(pool), ..Context::default() }).map_err(cannot)?;
        let process = WorkerProcess { channel: Some(channel), token, output, process: None, job: None, fault: None };
        self.pools[pool.index()].workers.insert(worker, process);
        Ok(())
    }

    pub(super) fn send_job(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        let Some(work) = self.jobs.get(&job) else { return };
        process.job = Some(job);
        let output = process.output;
        let frame = match work {
            Job::Task { actor, payload, .. } => Frame::run(job.0, actor.0, payload),
            Job::Describe { payload, .. } => Frame::describe(job.0, payload),
        };
        let sent = match &mut process.channel {
            Some(channel) => {
                channel.send(frame).and_then(|()| self.sources.watch_unsent(&self.poll, channel, process.token))
            }
            None => Err(ChannelError::Closed),
        };
        if let Job::Task { run, task, actor, .. } = work {
            let (run, task, actor) = (*run, *task, *actor);
            self.hand_output_to(output, (run, actor));
            self.tell_run(run, |engine, _| engine.on_task_started(task, Instant::now()));
        }
        if let Err(error) = sent {
            self.worker_unusable(pool, worker, error);
        }
    }

    pub(super) fn on_worker_ready(&mut self, pool: PoolId, worker: WorkerId, readable: bool, writable: bool) {
        if writable {
            let channel =
                self.pools[pool.index()].workers.get_mut(&worker).and_then(|process| process.channel.as_mut());
            if let Some(Err(error)) = channel.map(Channel::flush) {
                return self.worker_unusable(pool, worker, error);
            }
        }
        if readable {
            self.receive_from(pool, worker);
        }
    }

    fn receive_from(&mut self, pool: PoolId, worker: WorkerId) {
        loop {
            let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
            let Some(channel) = &mut process.channel else { return };
            match channel.receive() {
                Ok(Some(message)) => self.on_message(pool, worker, message),
                Ok(None) => return,
                Err(error) => return self.worker_unusable(pool, worker, error),
            }
        }
    }

    fn on_message(&mut self, pool: PoolId, worker: WorkerId, message: Message) {
        match message {
            Message::Ready { pid } => self.on_worker_started(pool, worker, Pid::from_raw(pid as i32)),
            Message::Result { task, result } => self.on_answer(pool, worker, task, |this, job| {
                this.job_ended(job, Outcome::Returned(result));
            }),
            Message::Error { task, interrupted, error } => self.on_answer(pool, worker, task, |this, job| {
                let kind = if interrupted { FailureKind::Interrupted } else { FailureKind::Raised };
                this.job_ended(job, Outcome::Failed(Failure { kind, error }));
            }),
            Message::Described { task, json } => self.on_answer(pool, worker, task, |this, job| {
                this.job_described(job, &json);
            }),
            Message::Failed(why) => self.pools[pool.index()].failure = Some(why),
        }
    }

    fn on_worker_started(&mut self, pool: PoolId, worker: WorkerId, pid: Pid) {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        match PidFd::open(pid) {
            Ok(pidfd) => {
                process.process = Some((pid, pidfd));
                let output = process.output;
                self.set_output_context(output, |context| context.pid = Some(pid.as_raw()));
                self.children.insert(pid, Child::Worker(pool, worker));
                self.tell_pool(pool, |pool, effects| pool.on_worker_ready(worker, Instant::now(), effects));
            }
            // It has died and was reaped as a stranger: its connection tells the rest.
            Err(error) => debug!("worker {pid} is gone before it could be used: {error}"),
        }
    }

    fn on_answer(&mut self, pool: PoolId, worker: WorkerId, task: u64, end: impl FnOnce(&mut Self, JobId)) {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        if process.job != Some(JobId(task)) {
            let fault = format!("sent garbage: an answer to task {task}, which it was not given");
            return self.give_up_worker(pool, worker, fault);
        }
        process.job = None;
        // What the task has printed is read before the output belongs to the next one.
        let output = process.output;
        self.drain_output(output);
        self.tell_pool(pool, |pool, effects| pool.on_job_ended(worker, Instant::now(), effects));
        end(self, JobId(task));
    }

    /// The connection is of no use any more.
    fn worker_unusable(&mut self, pool: PoolId, worker: WorkerId, error: ChannelError) {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        match (&process.process, &error) {
            // It never became a worker, and nothing else will tell of its end.
            (None, _) => {
                self.close_connection(pool, worker);
                self.worker_gone(pool, worker, None);
            }
            (Some((pid, _)), ChannelError::Closed) if is_exiting(*pid) => self.close_connection(pool, worker),
            (Some(_), _) => self.give_up_worker(pool, worker, error.to_string()),
        }
    }

    /// Kills a worker that broke the protocol; its reaping ends its job.
    fn give_up_worker(&mut self, pool: PoolId, worker: WorkerId, fault: String) {
        self.close_connection(pool, worker);
        if let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) {
            process.fault.get_or_insert(fault);
            self.signal_worker(pool, worker, Signal::SIGKILL);
        }
    }

    pub(super) fn retire_worker(&mut self, pool: PoolId, worker: WorkerId) {
        self.close_connection(pool, worker);
    }

    fn close_connection(&mut self, pool: PoolId, worker: WorkerId) {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        if let Some(mut channel) = process.channel.take() {
            self.sources.remove(&self.poll, channel.stream(), process.token);
        }
    }

    /// A worker's process was reaped.
    pub(super) fn on_worker_reaped(&mut self, pool: PoolId, worker: WorkerId, ended: Ended) {
        // It may have answered before it died.
        self.receive_from(pool, worker);
        self.close_connection(pool, worker);
        self.worker_gone(pool, worker, Some(ended));
    }

    fn worker_gone(&mut self, pool: PoolId, worker: WorkerId, ended: Option<Ended>) {
        let Some(process) = self.pools[pool.index()].workers.remove(&worker) else { return };
        self.drain_output(process.output);
        if ended.is_none() && self.pools[pool.index()].failure.is_none() {
            self.pools[pool.index()].failure = Some("they die before they are ready".to_owned());
        }
        let orphan = self.tell_pool(pool, |pool, effects| pool.on_worker_ended(worker, effects));
        let Some(orphan) = orphan else { return };
        let why = match (process.fault, ended) {
            (Some(fault), _) => fault,
            (None, Some(ended)) => ended.to_string(),
            (None, None) => "disappeared".to_owned(),
        };
        let outcome = if orphan.interrupted {
            let message = format!("the task was interrupted and did not return: its worker process {why}");
            failed(FailureKind::Interrupted, ErrorClass::TaskInterrupted, message)
        } else {
            let message = format!("the worker process of the task {why}");
            failed(FailureKind::Lost, ErrorClass::WorkerLost, message)
        };
        self.job_ended(orphan.job, outcome);
    }

    pub(super) fn press(&mut self, pool: PoolId, worker: WorkerId, step: Step) {
        let signal = match step {
            Step::Interrupt => Signal::SIGINT,
            Step::Terminate => Signal::SIGTERM,
            Step::Kill => Signal::SIGKILL,
        };
        self.signal_worker(pool, worker, signal);
        self.signal_program(pool, worker, signal);
    }

    /// Signals a worker and all below it, deepest first.
    fn signal_worker(&self, pool: PoolId, worker: WorkerId, signal: Signal) {
        if let Some((pid, pidfd)) =
            self.pools[pool.index()].workers.get(&worker).and_then(|process| process.process.as_ref())
        {
            tree::signal_descendants(*pid, signal);
            // A child that is not reaped yet has its number for itself: this cannot fail in a way that matters.
            let _ = pidfd.signal(signal);
        }
    }
}

/// Whether a process is on its way out: its connection ended because it did (PF_EXITING, include/linux/sched.h).
fn is_exiting(pid: Pid) -> bool {
    const PF_EXITING: u32 = 0x4;
    match procfs::process::Process::new(pid.as_raw()).and_then(|process| process.stat()) {
        Ok(stat) => stat.flags & PF_EXITING != 0 || matches!(stat.state, 'Z' | 'X'),
        Err(_) => true,
    }
}
