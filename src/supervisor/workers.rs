//! Worker processes: from the request to the forkserver until they are reaped.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use mio::Token;
use mio::net::UnixStream;
use tracing::debug;

use super::Supervisor;
use super::ahead::SentAhead;
use super::interpreter::Started;
use super::jobs::{Job, failed};
use super::leaves::may_be_out_of_memory;
use super::output::Context;
use super::reaper::Child;
use super::sources::Source;
use crate::engine::{Failure, FailureKind, Outcome};
use crate::graph::{self, ActorId, PoolId};
use crate::payload::ErrorClass;
use crate::pool::{Answer, JobId, Needs, Orphan, Pool, SHORT, WorkerId};
use crate::process::sys::{self, Pid, PidFd, Signal};
use crate::process::{Ended, tree};
use crate::worker::{Channel, ChannelError, Message, Next, Queue};

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
            self.leave_leaf(pool, worker);
            self.tell_pool(pool, |pool, effects| pool.on_worker_ended(worker, effects));
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
        let leaf = self.make_worker_leaf(pool, worker)?;
        self.ask_forkserver(pool, theirs, write, its_queue, leaf.as_deref())?;
        let output = self.watch_worker_output(pool, worker, output)?;
        self.pools[pool.index()].workers.insert(worker, WorkerProcess::new(worker, output));
        let mut channel = Channel::new(UnixStream::from_std(ours));
        queue.into_iter().for_each(|queue| channel.use_queue(queue));
        self.connect_worker(pool, worker, channel)
    }

    /// A queue for a worker of this pool, and its end of it, where workers have one.
    pub(super) fn queue_for(&self, pool: PoolId) -> io::Result<Option<(Queue, OwnedFd)>> {
        self.workflow.pool(pool).can_send_ahead().then(Queue::new).transpose()
    }

    /// Starts an interpreter that is a worker.
    fn start_fresh_worker(&mut self, pool: PoolId, worker: WorkerId) -> Result<(), String> {
        let leaf = self.make_worker_leaf(pool, worker)?;
        let queue = self.queue_for(pool).map_err(|error| format!("cannot connect a worker: {error}"))?;
        let Started { pid, pidfd, channel, output } =
            self.start_interpreter(pool, "fresh.main", "pushflow-worker", queue, leaf.as_deref())?;
        self.children.insert(pid, Child::Worker(pool, worker));
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
        let token = self.sources.add(&self.poll, channel.stream(), Source::Worker(pool, worker));
        if let Ok(token) = token {
            // What it was told first may not have fitted.
            let watched = self.sources.watch_unsent(&self.poll, &mut channel, token);
            watched.map_err(|error| format!("a worker {error}"))?;
        }
        match (token, self.pools[pool.index()].workers.get_mut(&worker)) {
            (Ok(token), Some(process)) => {
                process.connection = Some(Connection { channel, token });
                Ok(())
            }
            (Ok(token), None) => {
                self.sources.remove(&self.poll, channel.stream(), token);
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

    pub(super) fn on_worker_ready(&mut self, pool: PoolId, worker: WorkerId, readable: bool, writable: bool) {
        if writable {
            let connection =
                self.pools[pool.index()].workers.get_mut(&worker).and_then(|process| process.connection.as_mut());
            let flushed = connection.map(|Connection { channel, token }| {
                channel.flush().and_then(|()| self.sources.watch_unsent(&self.poll, channel, *token))
            });
            if let Some(Err(error)) = flushed {
                return self.worker_unusable(pool, worker, error);
            }
        }
        if readable {
            self.receive_from(pool, worker);
        }
    }

    pub(super) fn receive_from(&mut self, pool: PoolId, worker: WorkerId) {
        loop {
            let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
            let Some(connection) = &mut process.connection else { return };
            let jobs = &self.jobs;
            let given = |task, number| match jobs.get(&JobId(task)) {
                Some(Job::Task { payload, .. }) => payload.memory().nth(number).cloned(),
                _ => None,
            };
            match connection.channel.receive(&given) {
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
            Message::Printed { task, text } => self.on_printed_by(pool, worker, JobId(task), &text),
            Message::Failed(why) => self.pools[pool.index()].failure = Some(why),
            Message::Pauses { started } => {
                if started {
                    // While the task that has announced it is the worker's.
                    self.hear_announcements();
                }
                if let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) {
                    process.pauses = Some(started);
                }
            }
            // Only a forkserver says so.
            Message::Threaded(_) => {}
        }
    }

    fn on_worker_started(&mut self, pool: PoolId, worker: WorkerId, pid: Pid) {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        if process.ready {
            return self.give_up_worker(pool, worker, "sent garbage: it was ready already".to_owned());
        }
        if process.process.is_none() {
            match (PidFd::open(pid), &process.launcher) {
                (Ok(pidfd), None) => {
                    process.process = Some((pid, pidfd));
                    self.children.insert(pid, Child::Worker(pool, worker));
                    self.announced.started(pid);
                }
                // Behind a launcher that has its own numbers for processes, this one is not known here.
                (Ok(pidfd), Some((launcher, _))) if pid == *launcher || tree::is_below(pid, *launcher) => {
                    process.process = Some((pid, pidfd));
                }
                (_, Some(_)) => {}
                // It has died and was reaped as a stranger: its connection tells the rest.
                (Err(error), None) => return debug!("worker {pid} is gone before it could be used: {error}"),
            }
        }
        process.ready = true;
        let output = process.output;
        let known = process.process.as_ref().map(|(pid, _)| *pid);
        self.meter_worker(pool, worker, known);
        self.stop_keeping_lines(output);
        self.set_output_context(output, |context| context.pid = Some(pid.as_raw()));
        let places = self.pools[pool.index()].workers.get(&worker).map(|process| process.places.clone());
        for place in places.unwrap_or_default() {
            self.tell_pool(pool, |pool, effects| pool.on_worker_ready(place, Instant::now(), effects));
        }
    }

    fn on_answer(&mut self, pool: PoolId, worker: WorkerId, task: u64, end: impl FnOnce(&mut Self, JobId)) {
        let actor = self.job_actor(JobId(task)).map(|(_, actor)| actor);
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        let Some(at) = process.jobs.iter().position(|(job, _)| *job == JobId(task)) else {
            let fault = format!("sent garbage: an answer to task {task}, which it was not given");
            return self.give_up_worker(pool, worker, fault);
        };
        let (_, place) = process.jobs.swap_remove(at);
        let (output, closing) = (process.output, process.closing);
        let started_something = std::mem::take(&mut process.has_started_something);
        let (followed, pauses) = (process.followed, process.pauses.take());
        let silent = followed && pauses.is_none();
        let now = sys::since_boot();
        // What was sent ahead has not begun before the answer that came before.
        let since = if followed { process.busy_since.max(process.answered) } else { process.busy_since };
        let took = now.saturating_sub(since);
        process.answered = now;
        if !followed {
            self.nearness.on_answer(self.jobs.len() == 1, took, now);
        }
        self.account_end(pool, worker, JobId(task));
        if silent {
            // The next one may have begun, and what there is to look at now is not this one's; but what was read is.
            self.end_line(output);
            if started_something {
                self.want_look();
            }
        } else {
            self.say_what_was_refused(pool, worker, actor);
            // What the task has printed is read before the output belongs to the next one.
            self.drain_output(output);
            self.task_is_over((pool, worker), actor, started_something || pauses == Some(true), took);
        }
        // A worker says when it was not silent: what is measured here may be the time until this was looked at. Where tasks print,
        // the next one had better wait until that was read.
        let short = (silent || took <= SHORT) && !self.has_printed(output);
        let answer = Answer { took, short };
        if closing {
            self.leave_closing_host(pool, worker, place);
        } else {
            self.tell_pool(pool, |pool, effects| pool.on_job_ended(place, answer, Instant::now(), effects));
        }
        self.next_job_begins(pool, worker);
        end(self, JobId(task));
        if pauses.is_some() {
            self.let_worker_go_on(pool, worker);
        }
    }

    fn let_worker_go_on(&mut self, pool: PoolId, worker: WorkerId) {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        let Some(Connection { channel, token }) = &mut process.connection else { return };
        let told = channel.go_on().and_then(|()| self.sources.watch_unsent(&self.poll, channel, *token));
        if let Err(error) = told {
            self.worker_unusable(pool, worker, error);
        }
    }

    /// The connection is of no use any more.
    pub(super) fn worker_unusable(&mut self, pool: PoolId, worker: WorkerId, error: ChannelError) {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        match (&process.process, &process.launcher, &error) {
            // It never became a worker, and nothing else will tell of its end.
            (None, None, _) => {
                self.close_connection(pool, worker);
                self.worker_gone(pool, worker, None);
            }
            (Some((pid, _)), None, ChannelError::Closed) if is_exiting(*pid) => self.close_connection(pool, worker),
            (Some((pid, _)), Some((launcher, _)), ChannelError::Closed) if pid == launcher && is_exiting(*pid) => {
                self.close_connection(pool, worker);
            }
            // What a launcher does after its worker is of no interest.
            (_, Some(_), ChannelError::Closed) => self.give_up_worker(pool, worker, "ended".to_owned()),
            _ => self.give_up_worker(pool, worker, error.to_string()),
        }
    }

    /// Kills a worker that broke the protocol; its reaping ends its job.
    pub(super) fn give_up_worker(&mut self, pool: PoolId, worker: WorkerId, fault: String) {
        self.close_connection(pool, worker);
        self.lose_what_was_begun(pool, worker, &fault);
        if let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) {
            process.fault.get_or_insert(fault);
            self.signal_worker(pool, worker, Signal::SIGKILL);
        }
    }

    pub(super) fn retire_worker(&mut self, pool: PoolId, worker: WorkerId) {
        if !self.leave_host(pool, worker) {
            self.close_connection(pool, worker);
        }
    }

    pub(super) fn close_connection(&mut self, pool: PoolId, worker: WorkerId) {
        self.take_back_for_good(pool, worker);
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        if let Some(Connection { mut channel, token }) = process.connection.take() {
            self.sources.remove(&self.poll, channel.stream(), token);
        }
    }

    /// A worker's process was reaped.
    pub(super) fn on_worker_reaped(&mut self, pool: PoolId, worker: WorkerId, ended: Ended) {
        // It may have answered before it died.
        self.receive_from(pool, worker);
        self.close_connection(pool, worker);
        self.worker_gone(pool, worker, Some(ended));
    }

    pub(super) fn worker_gone(&mut self, pool: PoolId, worker: WorkerId, ended: Option<Ended>) {
        let Some(process) = self.pools[pool.index()].workers.remove(&worker) else { return };
        if process.ready {
            self.drain_output(process.output);
        } else {
            let last = self.take_last_lines(process.output).pop();
            let interpreter = self.interpreter_of(pool);
            let failure = &mut self.pools[pool.index()].failure;
            match ended {
                Some(ended) => {
                    let last = last.map(|line| format!(": {line}")).unwrap_or_default();
                    let who = if process.launcher.is_some() { "launcher" } else { "Python interpreter" };
                    failure.get_or_insert(format!("the {who} {ended} before a worker was ready{last}"));
                }
                None => {
                    failure.get_or_insert(format!("{} ended while it was starting", interpreter.display()));
                }
            }
        }
        self.forget_invitation(pool, worker);
        self.close_host(pool, worker);
        let actor = process.jobs.first().and_then(|(job, _)| self.job_actor(*job)).map(|(_, actor)| actor);
        self.task_is_over((pool, worker), actor, true, Duration::ZERO);
        let oom = may_be_out_of_memory(ended).then(|| self.out_of_memory(pool, worker)).flatten();
        self.say_what_was_refused(pool, worker, actor);
        self.close_meter(pool, worker);
        self.leave_leaf(pool, worker);
        let place_of_death = (pool, process.process.as_ref().map(|(pid, _)| *pid));
        for place in process.places {
            let orphan = self.tell_pool(pool, |pool, effects| pool.on_worker_ended(place, effects));
            if let Some(orphan) = orphan {
                if process.first_is_unread && !orphan.interrupted {
                    self.has_not_begun(pool, worker, orphan.job);
                    self.tell_pool(pool, |pool, effects| pool.submit_first(orphan.job, Needs::IdleWorker, effects));
                    continue;
                }
                let outcome = match &oom {
                    Some(oom) if !orphan.interrupted => {
                        self.ran_out_of_memory(place_of_death, orphan.job, oom, FailureKind::Lost)
                    }
                    _ => lost(orphan, process.fault.as_deref(), ended),
                };
                self.job_ended(orphan.job, outcome);
            }
        }
    }
}

/// The outcome of a job whose worker process is gone.
fn lost(orphan: Orphan, fault: Option<&str>, ended: Option<Ended>) -> Outcome {
    let ended = ended.map(|ended| ended.to_string());
    if orphan.interrupted {
        let why = ended.as_deref().or(fault).unwrap_or("disappeared");
        let message = format!("the task was interrupted and did not return: its worker process {why}");
        return failed(FailureKind::Interrupted, ErrorClass::TaskInterrupted, message);
    }
    let why = fault.or(ended.as_deref()).unwrap_or("disappeared");
    failed(FailureKind::Lost, ErrorClass::WorkerLost, format!("the worker process of the task {why}"))
}

/// Whether a process is on its way out: its connection ended because it did (PF_EXITING, include/linux/sched.h).
fn is_exiting(pid: Pid) -> bool {
    const PF_EXITING: u32 = 0x4;
    match procfs::process::Process::new(pid.as_raw()).and_then(|process| process.stat()) {
        Ok(stat) => stat.flags & PF_EXITING != 0 || matches!(stat.state, 'Z' | 'X'),
        Err(_) => true,
    }
}
