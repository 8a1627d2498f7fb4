//! What workers say: that they are ready, how tasks have ended, what is printed, and what follows from it.

use std::time::Instant;

use tracing::debug;

use super::Supervisor;
use super::jobs::Job;
use super::processes::Child;
use super::workers::Connection;
use crate::engine::{Failure, FailureKind, Outcome};
use crate::graph::PoolId;
use crate::pool::{Answer, JobId, SHORT, WorkerId};
use crate::process::sys::{self, Pid, PidFd};
use crate::process::tree;
use crate::worker::Message;

/// So many messages of one worker are handled in one turn of the loop: more than it can have answers to give, however many tasks it was
/// sent ahead, and few enough that others have their turn when it says more.
const MESSAGES_A_TURN: usize = 512;

impl Supervisor {
    pub(super) fn on_worker_ready(&mut self, pool: PoolId, worker: WorkerId, readable: bool, writable: bool) {
        if writable {
            let connection =
                self.pools[pool.index()].workers.get_mut(&worker).and_then(|process| process.connection.as_mut());
            let flushed = connection.map(|Connection { channel, token }| {
                channel.flush().and_then(|()| self.event_loop.watch_unsent(channel, *token))
            });
            if let Some(Err(error)) = flushed {
                return self.worker_unusable(pool, worker, error);
            }
        }
        if readable {
            self.receive_from(pool, worker);
        }
    }

    /// False if there may be more.
    pub(super) fn receive_from(&mut self, pool: PoolId, worker: WorkerId) -> bool {
        for _ in 0..MESSAGES_A_TURN {
            let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return true };
            let Some(connection) = &mut process.connection else { return true };
            let jobs = &self.jobs;
            let given = |task, number| match jobs.get(&JobId(task)) {
                Some(Job::Task { payload, .. }) => payload.memory().nth(number).cloned(),
                _ => None,
            };
            match connection.channel.receive(&given) {
                Ok(Some(message)) => self.on_message(pool, worker, message),
                Ok(None) => return true,
                Err(error) => {
                    self.worker_unusable(pool, worker, error);
                    return true;
                }
            }
        }
        let connection = self.pools[pool.index()].workers.get_mut(&worker).and_then(|it| it.connection.as_mut());
        if let Some(Connection { channel, token }) = connection {
            channel.stop_reading();
            let token = *token;
            self.event_loop.defer(token);
        }
        false
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
                this.job_described(job, json);
            }),
            Message::Printed { task, text } => self.on_printed_by(pool, worker, JobId(task), &text),
            Message::Failed(why) => self.pools[pool.index()].failure = Some(why),
            Message::Pauses { started } => {
                if started {
                    // While the task that has announced it is the worker's.
                    self.read_announcements();
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
                    self.processes.add_child(pid, Child::Worker(pool, worker));
                    self.processes.worker_started(pid);
                }
                // Behind a launcher that has its own numbers for processes, this one is not known here.
                (Ok(pidfd), Some((launcher, _))) if pid == *launcher || tree::is_below(pid, *launcher) => {
                    process.process = Some((pid, pidfd));
                }
                (_, Some(_)) => {}
                // It has died and was reaped as an orphan: its connection tells the rest.
                (Err(error), None) => return debug!("worker {pid} is gone before it could be used: {error}"),
            }
        }
        process.ready = true;
        let output = process.output;
        let known = process.process.as_ref().map(|(pid, _)| *pid);
        self.resources.on_worker_ready((pool, worker), known);
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
        self.resources.on_task_ended((pool, worker), JobId(task));
        if silent {
            // The next one may have begun, and what there is to look at now is not this one's; but what was read is.
            self.end_line(output);
            if started_something {
                self.processes.want_scan();
            }
        } else {
            let name = actor.map(|actor| self.workflow.actor(actor).display_name());
            self.resources.log_refusals((pool, worker), name);
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
        let told = channel.go_on().and_then(|()| self.event_loop.watch_unsent(channel, *token));
        if let Err(error) = told {
            self.worker_unusable(pool, worker, error);
        }
    }
}
