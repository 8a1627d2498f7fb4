//! How workers end: retired, given up, dead, and what becomes of what they were doing.

use std::time::{Duration, Instant};

use super::Supervisor;
use super::jobs::failed;
use super::workers::transitions;
use crate::engine::{FailureKind, Outcome};
use crate::graph::PoolId;
use crate::payload::ErrorClass;
use crate::pool::{Needs, Orphan, WorkerId};
use crate::process::Ended;
use crate::process::sys::Pid;
use crate::worker::ChannelError;

/// A bound on what is read of a worker that is gone, in turns of the loop.
const MOST_TURNS_OF_THE_DEAD: usize = 64;

impl Supervisor {
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
        transitions::give_up(&mut self.routed(pool, worker), fault);
    }

    pub(super) fn retire_worker(&mut self, pool: PoolId, worker: WorkerId) {
        if !self.leave_host(pool, worker) {
            self.close_connection(pool, worker);
        }
    }

    pub(super) fn close_connection(&mut self, pool: PoolId, worker: WorkerId) {
        transitions::close(&mut self.routed(pool, worker));
    }

    /// A worker's process was reaped.
    pub(super) fn on_worker_reaped(&mut self, pool: PoolId, worker: WorkerId, ended: Ended) {
        // It may have answered before it died. What it can have sent then is what a socket holds.
        for _ in 0..MOST_TURNS_OF_THE_DEAD {
            if self.receive_from(pool, worker) {
                break;
            }
        }
        self.close_connection(pool, worker);
        self.worker_gone(pool, worker, Some(ended));
    }

    pub(super) fn worker_gone(&mut self, pool: PoolId, worker: WorkerId, ended: Option<Ended>) {
        let Some(process) = self.pools[pool.index()].workers.remove(&worker) else { return };
        if process.state.was_ready() {
            self.outputs.drain(process.output, &mut self.event_loop);
        } else {
            let lines = self.outputs.take_last_lines(process.output, &mut self.event_loop);
            let interpreter = self.interpreter_of(pool);
            let failure = &mut self.pools[pool.index()].failure;
            match ended {
                Some(ended) => {
                    let who = match &process.launcher {
                        Some(_) => "launcher".to_owned(),
                        None => format!("Python interpreter {}", interpreter.display()),
                    };
                    failure.get_or_insert(format!("the {who} {ended} before a worker was ready{}", printed(&lines)));
                }
                None if failure.is_none() => {
                    let ended = self.how_forkserver_ended(pool);
                    let failure = format!("the interpreter {} {ended} before it was ready", interpreter.display());
                    self.pools[pool.index()].failure = Some(failure);
                }
                None => {}
            }
        }
        self.forget_invitation(pool, worker);
        self.close_host(pool, worker);
        let actor = process.state.running().next().and_then(|its| self.job_actor(its.job)).map(|(_, actor)| actor);
        self.task_is_over((pool, worker), actor, true, Duration::ZERO);
        let oom = self.resources.out_of_memory((pool, worker), ended);
        self.resources.on_gone((pool, worker), actor.map(|actor| self.workflow.actor(actor).display_name()));
        let place_of_death = (pool, process.process.as_ref().map(|(pid, _)| *pid));
        for slot in process.state.slots().to_vec() {
            let orphan = self.tell_pool(pool, |pool, effects| pool.on_worker_ended(slot, Instant::now(), effects));
            if !process.state.was_ready() {
                self.say_that_starts_fail(pool);
            }
            if let Some(orphan) = orphan {
                if process.state.unread() == Some(orphan.job) && !orphan.interrupted {
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

/// The last of what an interpreter printed before it ended, for its message. Nothing, where a wrapper around it does not say why
/// it ends: that is said too.
pub(super) fn printed(lines: &[String]) -> String {
    const SHOWN: usize = 3;
    match &lines[lines.len().saturating_sub(SHOWN)..] {
        [] => "; it printed nothing".to_owned(),
        last => format!(": {}", last.join(" | ")),
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
