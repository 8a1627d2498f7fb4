//! What workers say: that they are ready, how tasks have ended, what is printed, and what follows from it.

use tracing::debug;

use super::Supervisor;
use super::jobs::Job;
use super::processes::Child;
use super::routing::Reply;
use super::workers::{Connection, transitions};
use crate::engine::{Failure, FailureKind, Outcome};
use crate::graph::PoolId;
use crate::pool::{JobId, WorkerId};
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
            Message::Result { task, result } => {
                self.on_answer(pool, worker, task, Reply::Outcome(Outcome::Returned(result)));
            }
            Message::Error { task, interrupted, error } => {
                let kind = if interrupted { FailureKind::Interrupted } else { FailureKind::Raised };
                self.on_answer(pool, worker, task, Reply::Outcome(Outcome::Failed(Failure { kind, error })));
            }
            Message::Described { task, json } => self.on_answer(pool, worker, task, Reply::Json(json)),
            Message::Printed { task, text } => self.on_printed_by(pool, worker, JobId(task), &text),
            Message::Failed(why) => self.pools[pool.index()].failure = Some(why),
            Message::Pauses { started } => {
                if started {
                    // While the task that has announced it is the worker's.
                    self.read_announcements();
                }
                if let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) {
                    process.state.on_pauses(started);
                }
            }
            // Only a forkserver says so.
            Message::Threaded(_) => {}
        }
    }

    fn on_answer(&mut self, pool: PoolId, worker: WorkerId, task: u64, reply: Reply) {
        transitions::on_answer(&mut self.routed(pool, worker), JobId(task), reply, sys::since_boot());
    }

    fn on_worker_started(&mut self, pool: PoolId, worker: WorkerId, pid: Pid) {
        let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) else { return };
        let output = process.output;
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
        self.outputs.drain(output, &mut self.event_loop);
        self.outputs.set_pid(output, pid.as_raw());
        transitions::on_ready(&mut self.routed(pool, worker));
    }
}
