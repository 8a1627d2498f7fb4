//! What callers ask of the service over the bus.

use std::time::Instant;

use tracing::info;

use super::signal;
use crate::engine::Status;
use crate::service::request::{ReplySender, send_reply};
use crate::service::{Command, RequestError, Response, Service};
use crate::supervisor::RunId;
use crate::text;

impl Service {
    /// Carries out a command and replies, later if something has to be on the disk first.
    pub(in crate::service) fn on_command(&mut self, command: Command, reply: ReplySender) {
        let done = match command {
            Command::Run(request) => return self.accept(request, false, Some(reply)),
            Command::Stop(run, reason) => return self.stop_run(run, Status::Stopped, &reason, reply),
            Command::Abort(run, reason) => return self.stop_run(run, Status::Aborted, &reason, reply),
            Command::ListProcesses(snapshot, took) => Ok(Response::Processes(self.list_processes(&snapshot, took))),
            Command::Drain => {
                self.drain();
                Ok(Response::Done)
            }
            Command::AbortAll(reason) => {
                self.abort_all(&reason);
                Ok(Response::Done)
            }
            Command::Reload => self.reload().map(|()| Response::Done).map_err(RequestError::InvalidFile),
            Command::Signal(target, number) => {
                signal::signal(&mut self.supervisor, &target, number).map(|()| Response::Done)
            }
            Command::Kill(process, number) => signal::kill(&process, number).map(|()| Response::Done),
            Command::UpdateUsage => {
                self.update_usage();
                Ok(Response::Done)
            }
            Command::BusTried => {
                self.ready();
                Ok(Response::Done)
            }
        };
        send_reply(Some(reply), done);
    }

    fn drain(&mut self) {
        if !self.is_ending() {
            info!("draining: no more runs are accepted, {} are finished first", self.active.len() + self.queue.len());
            self.draining = true;
        }
    }

    fn abort_all(&mut self, reason: &str) {
        let reason = reason_or(reason, "every run was aborted");
        self.end_queued(&Status::Aborted);
        self.supervisor.abort_runs(&reason);
    }

    pub(super) fn end_queued(&mut self, status: &Status) {
        while let Some((run, _)) = self.queue.pop() {
            self.end_run(run, status, None, None);
        }
        self.end_beginning(None, status);
    }

    /// Ends a run. The end of one that has not begun is announced when it is on the disk.
    fn stop_run(&mut self, run: RunId, status: Status, reason: &str, reply: ReplySender) {
        if self.queue.remove(run) {
            return self.end_run(run, &status, None, Some(reply));
        }
        if self.end_beginning(Some(run), &status) {
            return send_reply(Some(reply), Ok(Response::Done));
        }
        let done = self.stop_active_run(run, status, reason);
        send_reply(Some(reply), done.map(|()| Response::Done));
    }

    fn stop_active_run(&mut self, run: RunId, status: Status, reason: &str) -> Result<(), RequestError> {
        let aborting = status == Status::Aborted;
        let reason = reason_or(reason, if aborting { "the run was aborted" } else { "the run was stopped" });
        let there = match aborting {
            true => self.supervisor.abort_run(run, &reason),
            false => self.supervisor.stop_run(run, &reason),
        };
        // Stopping may have ended it at once.
        if !there && !self.active.contains_key(&run) {
            return Err(RequestError::NoSuchRun(format!(
                "there is no run {run} that could be stopped: it is over, or never was"
            )));
        }
        info!(run = run.0, "{}", text::line(&reason));
        self.durability.stopping(run.0, &reason);
        let patience = self.settings().stop_timeout;
        if !aborting && let Some(active) = self.active.get_mut(&run) {
            active.deadline = active.deadline.or(Instant::now().checked_add(patience));
        }
        Ok(())
    }
}

fn reason_or(reason: &str, usual: &str) -> String {
    if reason.is_empty() { usual.to_owned() } else { format!("{usual}: {}", signal::shortened(reason)) }
}
