//! What workers say, and what follows from it.

use super::Supervisor;
use super::jobs::Job;
use super::routing::Reply;
use super::workers::{self, OutputContext};
use crate::engine::{Failure, FailureKind, Outcome};
use crate::graph::PoolId;
use crate::pool::{JobId, WorkerId};
use crate::process::sys::{self, Pid};
use crate::worker::Message;

/// Maximum number of messages of one worker that are handled in one turn of the loop. It is larger than the number of answers that a
/// prefilled worker can give, and small enough that others have their turn.
const MESSAGES_A_TURN: usize = 512;

impl Supervisor {
    pub(super) fn on_worker_ready(&mut self, pool: PoolId, worker: WorkerId, readable: bool, writable: bool) {
        if writable && let Err(error) = self.workers.flush((pool, worker), &self.event_loop) {
            return self.worker_unusable(pool, worker, error);
        }
        if readable {
            self.receive_from(pool, worker);
        }
    }

    /// False if there may be more.
    pub(super) fn receive_from(&mut self, pool: PoolId, worker: WorkerId) -> bool {
        for _ in 0..MESSAGES_A_TURN {
            let jobs = &self.jobs;
            let given = |task, number| match jobs.get(&JobId(task)) {
                Some(Job::Task { payload, .. }) => payload.memory().nth(number).cloned(),
                _ => None,
            };
            match self.workers.receive((pool, worker), &given) {
                Ok(Some(message)) => self.on_message(pool, worker, message),
                Ok(None) => return true,
                Err(error) => {
                    self.worker_unusable(pool, worker, error);
                    return true;
                }
            }
        }
        self.workers.defer_messages((pool, worker), &mut self.event_loop);
        false
    }

    fn on_message(&mut self, pool: PoolId, worker: WorkerId, message: Message) {
        match message {
            Message::Ready { pid } => {
                let (workers, mut system) = self.workers_and_system();
                if workers.adopt((pool, worker), Pid::from_raw(pid.cast_signed()), &mut system) {
                    workers::on_ready(&mut self.routed(pool, worker));
                }
            }
            Message::Result { job, result } => {
                self.on_answer(pool, worker, job, Reply::Outcome(Outcome::Returned(result)));
            }
            Message::Error { job, interrupted, error } => {
                let kind = if interrupted { FailureKind::Interrupted } else { FailureKind::Raised };
                self.on_answer(pool, worker, job, Reply::Outcome(Outcome::Failed(Failure { kind, error })));
            }
            Message::Described { job, json } => self.on_answer(pool, worker, job, Reply::Json(json)),
            Message::Printed { job, text } => self.on_printed_by(pool, worker, JobId(job), &text),
            Message::Failed(why) => self.workers.set_failure(pool, why),
            Message::Pauses { started } => {
                if started {
                    // While the task that has announced it is the worker's current one.
                    self.read_announcements();
                }
                if let Some(process) = self.workers.get_mut((pool, worker)) {
                    process.state.on_pauses(started);
                }
            }
            // Only a forkserver says this.
            Message::Threaded(_) => {}
        }
    }

    fn on_answer(&mut self, pool: PoolId, worker: WorkerId, task: u64, reply: Reply) {
        workers::on_answer(&mut self.routed(pool, worker), JobId(task), reply, sys::since_boot());
    }

    /// One of the tasks of a process has printed.
    fn on_printed_by(&mut self, pool: PoolId, worker: WorkerId, job: JobId, text: &str) {
        let process = self.workers.get((pool, worker)).and_then(|process| process.process.as_ref());
        let pid = process.map(|(pid, _)| pid.as_raw());
        let context = OutputContext { pool: Some(pool), worker: Some(worker), task: self.job_actor(job), pid };
        self.workers.outputs.log_lines(&context, text);
    }
}
