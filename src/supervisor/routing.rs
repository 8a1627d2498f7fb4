//! What the events of workers mean for pools, runs, accounts and output.

use std::time::Instant;

use mio::Token;

use super::Supervisor;
use super::jobs::failed;
use super::workers::{Effects, JobEnded, Outputs, Successor, System, Worker, Workers};
use crate::engine::{FailureKind, Outcome};
use crate::graph::PoolId;
use crate::payload::{ErrorClass, JsonObject};
use crate::pool::{Answer, JobId, SHORT, WorkerId};
use crate::process::sys::Signal;

/// What a worker answers to a job.
pub(super) enum Reply {
    /// How a task ended.
    Outcome(Outcome),
    /// A payload as JSON.
    Json(JsonObject),
}

/// One worker of the supervisor.
pub(super) struct Routed<'a> {
    pub(super) supervisor: &'a mut Supervisor,
    pub(super) pool: PoolId,
    pub(super) worker: WorkerId,
}

impl Routed<'_> {
    fn id(&self) -> (PoolId, WorkerId) {
        (self.pool, self.worker)
    }
}

impl Effects for Routed<'_> {
    type Reply = Reply;

    fn worker(&mut self) -> Option<&mut Worker> {
        let id = self.id();
        self.supervisor.workers.get_mut(id).map(|process| &mut process.state)
    }

    fn empty_queue(&mut self) -> Vec<JobId> {
        self.supervisor.workers.empty_queue(self.id())
    }

    fn is_escalating(&self) -> bool {
        self.supervisor.pools[self.pool.index()].is_escalating(self.worker)
    }

    fn on_started(&mut self) {
        let Some(process) = self.supervisor.workers.get(self.id()) else { return };
        let output = process.output;
        let pid = process.process.as_ref().map(|(pid, _)| *pid);
        self.supervisor.resources.on_worker_ready((self.pool, self.worker), pid);
        self.supervisor.workers.outputs.stop_keeping_lines(output);
    }

    fn on_slot_ready(&mut self, slot: WorkerId) {
        self.supervisor.tell_pool(self.pool, |pool, effects| pool.on_worker_ready(slot, Instant::now(), effects));
    }

    fn on_job_began(&mut self, job: JobId) {
        self.supervisor.account_start(self.id(), job);
        self.supervisor.on_job_began(self.id(), job);
    }

    fn on_job_ended(&mut self, ended: &JobEnded, reply: Reply) {
        let (pool, worker, job) = (self.pool, self.worker, ended.job);
        let Some(output) = self.supervisor.workers.get(self.id()).map(|process| process.output) else { return };
        let this = &mut *self.supervisor;
        if ended.successor == Successor::Unknown {
            this.workers.affinity.on_answer(this.jobs.len() == 1, ended.took, ended.at);
        }
        this.resources.on_task_ended((pool, worker), job);
        if ended.silent {
            // The next job may have begun, and what is found now belongs to that; what was read before belongs to this one.
            this.workers.outputs.end_line(output);
            if ended.started_something {
                this.processes.want_scan();
            }
        } else {
            let actor = this.job_actor(job).map(|(_, actor)| actor);
            let name = actor.map(|actor| this.workflow.actor(actor).display_name());
            this.resources.log_refusals((pool, worker), name);
            // What the task has printed is read before the output belongs to the next one.
            this.workers.outputs.drain(output, &mut this.event_loop);
            this.task_is_over((pool, worker), actor, ended.started_something, ended.took);
        }
        // A silent job was short, whatever is measured here: that includes the wait for this turn. After a job that prints, the next
        // one has to wait until the output was read.
        let short = (ended.silent || ended.took <= SHORT) && !this.workers.outputs.has_printed(output);
        let answer = Answer { took: ended.took, short };
        if ended.slot_ends {
            this.workers.forget_slot(pool, ended.slot);
            // The pool returns the job as an orphan; but it has been answered.
            this.tell_pool(pool, |pool, effects| pool.on_worker_ended(ended.slot, Instant::now(), effects));
        } else {
            this.tell_pool(pool, |pool, effects| pool.on_job_ended(ended.slot, answer, Instant::now(), effects));
        }
        match reply {
            Reply::Outcome(outcome) => this.job_ended(job, outcome),
            Reply::Json(json) => this.job_ended(job, json),
        }
    }

    fn on_job_lost(&mut self, job: JobId, fault: &str) {
        let message = format!("the worker process of the task {fault}");
        self.ends_unanswered(job, failed(FailureKind::Lost, ErrorClass::WorkerLost, message));
    }

    fn on_job_interrupted(&mut self, job: JobId) {
        let message = "the task was interrupted before it had begun".to_owned();
        self.ends_unanswered(job, failed(FailureKind::Interrupted, ErrorClass::TaskInterrupted, message));
    }

    fn on_job_not_begun(&mut self, job: JobId) {
        self.supervisor.has_not_begun(self.pool, self.worker, job);
        self.on_prefilled_retracted(&[job]);
    }

    fn on_job_unread(&mut self, job: JobId) {
        // Now, as the end of the worker would count it as a task that has ended.
        self.supervisor.resources.on_task_not_begun((self.pool, self.worker), job);
    }

    fn on_prefilled_retracted(&mut self, jobs: &[JobId]) {
        self.supervisor.back_to_pool(self.pool, self.worker, jobs);
    }

    fn resume(&mut self) {
        let resumed = self.supervisor.workers.resume(self.id(), &self.supervisor.event_loop);
        if let Err(error) = resumed {
            self.supervisor.worker_unusable(self.pool, self.worker, error);
        }
    }

    fn disconnect(&mut self) {
        let id = self.id();
        self.supervisor.workers.disconnect(id, &mut self.supervisor.event_loop);
    }

    fn kill(&mut self, fault: String) {
        let id = self.id();
        if let Some(process) = self.supervisor.workers.get_mut(id) {
            process.set_fault(fault);
            self.supervisor.signal_worker(self.pool, self.worker, Signal::SIGKILL);
        }
    }
}

impl Routed<'_> {
    fn ends_unanswered(&mut self, job: JobId, outcome: Outcome) {
        let (pool, worker) = (self.pool, self.worker);
        self.supervisor.resources.on_task_ended((pool, worker), job);
        let now = Instant::now();
        self.supervisor.tell_pool(pool, |pool, effects| pool.on_job_ended(worker, Answer::NOT_SHORT, now, effects));
        self.supervisor.job_ended(job, outcome);
    }
}

impl Supervisor {
    /// The workers, and the components that they are started in.
    pub(super) fn workers_and_system(&mut self) -> (&mut Workers, System<'_>) {
        let Supervisor { workers, event_loop, processes, resources, .. } = self;
        (workers, System { event_loop, processes, resources })
    }

    pub(super) fn on_output_ready(&mut self, token: Token) {
        if Outputs::must_wait(token, &mut self.event_loop) {
            return;
        }
        if let Some((pool, worker)) = self.workers.outputs.worker(token)
            && self.workers.get((pool, worker)).is_some_and(|process| process.state.may_be_further())
        {
            // It may have begun the next task before it printed. After this, no task begins before the output was read.
            self.retract(pool, worker);
        }
        self.workers.outputs.on_ready(token, &mut self.event_loop);
    }

    pub(super) fn on_listener_ready(&mut self, socket: Token) {
        let (workers, mut system) = self.workers_and_system();
        for (pool, worker) in workers.on_listener_ready(socket, &mut system) {
            self.signal_worker(pool, worker, Signal::SIGKILL);
        }
    }

    pub(super) fn on_peer_ready(&mut self, peer: Token) {
        let (workers, mut system) = self.workers_and_system();
        if let Some((pool, worker)) = workers.on_peer_ready(peer, &mut system) {
            self.signal_worker(pool, worker, Signal::SIGKILL);
        }
    }
}
