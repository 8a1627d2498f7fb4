//! What a service is asked to do: by a method call, or by a signal.

use std::sync::Arc;
use std::time::Instant;

use tracing::{error, info, warn};

use super::keeping::{Reply, reply};
use super::{Answer, Ask, Notice, Refusal, Service, processes};
use crate::engine::Status;
use crate::graph::{ServiceMode, Workflow};
use crate::pool::Step;
use crate::process::sys::Signal;
use crate::stop_policy::StopAction;
use crate::supervisor::{RunId, SupervisorError};
use crate::text;

impl Service {
    /// Does what is asked, and answers: later, where that has to be on the disk first.
    pub(super) fn act(&mut self, ask: Ask, answer: Reply) {
        let answered = match ask {
            Ask::Run(order) => return self.accept(order, false, Some(answer)),
            Ask::Stop(run, reason) => return self.end_run(run, Status::Stopped, &reason, answer),
            Ask::Abort(run, reason) => return self.end_run(run, Status::Aborted, &reason, answer),
            ask => self.do_now(ask),
        };
        reply(Some(answer), answered);
    }

    fn do_now(&mut self, ask: Ask) -> Result<Answer, Refusal> {
        match ask {
            Ask::Run(_) | Ask::Stop(..) | Ask::Abort(..) => {}
            Ask::Drain => self.drain(),
            Ask::AbortAll(reason) => self.abort_all(&reason),
            Ask::Reload => self.reload().map_err(Refusal::InvalidFile)?,
            Ask::Arrange(snapshot, took) => return Ok(Answer::Processes(self.arrange(&snapshot, took))),
            Ask::Signal(whom, signal) => processes::signal(&mut self.supervisor, &whom, signal)?,
            Ask::Kill(process, signal) => processes::kill(&process, signal)?,
            Ask::Account => self.account_so_far(),
            Ask::BusTried => self.ready(),
        }
        Ok(Answer::Done)
    }

    pub(super) fn on_signal(&mut self, signal: i32) {
        let stop_timeout = self.settings().stop_timeout;
        match self.stop.on_signal(signal, Instant::now(), stop_timeout) {
            StopAction::Reload => {
                // What is wrong has been logged.
                let _ = self.reload();
            }
            StopAction::Kill => {
                info!("killing the running tasks");
                self.supervisor.abort_runs("the workflow was stopped twice");
                self.supervisor.press_tasks(Step::Terminate);
                self.supervisor.signal_leftovers(Signal::SIGTERM);
            }
            StopAction::Stop => {
                info!("SIGTERM: no new task starts, running tasks may finish within {stop_timeout:?}");
                self.begin_to_stop(&Status::Stopped);
                self.supervisor.stop_runs("the workflow was stopped by SIGTERM");
                self.supervisor.press_daemonic_tasks(Step::Terminate);
            }
            StopAction::Interrupt => {
                info!("SIGINT: interrupting the running tasks");
                self.begin_to_stop(&Status::Aborted);
                self.supervisor.abort_runs("the workflow was interrupted by SIGINT");
                self.supervisor.signal_leftovers(Signal::SIGINT);
            }
            // The outputs of runs are written while the service goes on.
            StopAction::SkipOutput => {}
        }
    }

    fn begin_to_stop(&mut self, queued: &Status) {
        self.end_queued(queued);
        // Tasks, then what they left: each may be waited for, and pressed twice.
        self.notifier.stopping();
        self.extend_timeout();
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

    fn end_queued(&mut self, status: &Status) {
        while let Some((run, _)) = self.queue.pop() {
            self.put_end(run, status, None, None);
        }
        self.end_beginning(None, status);
    }

    /// Ends a run; one that has not begun is over when that is on the disk.
    fn end_run(&mut self, run: RunId, status: Status, reason: &str, answer: Reply) {
        if self.queue.remove(run) {
            return self.put_end(run, &status, None, Some(answer));
        }
        if self.end_beginning(Some(run), &status) {
            return reply(Some(answer), Ok(Answer::Done));
        }
        let done = self.end_active_run(run, status, reason);
        reply(Some(answer), done.map(|()| Answer::Done));
    }

    fn end_active_run(&mut self, run: RunId, status: Status, reason: &str) -> Result<(), Refusal> {
        let aborting = status == Status::Aborted;
        let reason = reason_or(reason, if aborting { "the run was aborted" } else { "the run was stopped" });
        let there = match aborting {
            true => self.supervisor.abort_run(run, &reason),
            false => self.supervisor.stop_run(run, &reason),
        };
        // Stopping may have ended it at once.
        if !there && !self.active.contains_key(&run) {
            return Err(Refusal::NoSuchRun(format!(
                "there is no run {run} that could be stopped: it is over, or never was"
            )));
        }
        info!(run = run.0, "{}", text::line(&reason));
        self.keep_stopping(run, &reason);
        let patience = self.settings().stop_timeout;
        if !aborting && let Some(active) = self.active.get_mut(&run) {
            active.patience_ends = active.patience_ends.or(Instant::now().checked_add(patience));
        }
        Ok(())
    }

    /// Reads the workflow file again. What is wrong with it is logged and returned, and changes nothing.
    fn reload(&mut self) -> Result<(), String> {
        self.notifier.reloading();
        let result = match (self.load)() {
            Ok(workflow) => {
                match (self.mode, self.active.len()) {
                    (ServiceMode::Run, _) => info!(
                        "the workflow file was read again: this run goes on with what it began with, [service] stop_timeout \
                         holds now, and the rest when the service is started again"
                    ),
                    (_, 0) => info!("the workflow file was read again"),
                    (_, active) => info!(
                        "the workflow file was read again: runs start with it once the {active} running have ended; \
                         [service] max_queued_runs and stop_timeout hold now"
                    ),
                }
                // One that is to run once has begun, and one that takes runs was promised to those that call it.
                if workflow.service.mode != self.mode {
                    let (new, old, rest) = match self.mode {
                        ServiceMode::Run => ("resident", "run", ""),
                        ServiceMode::Resident => ("run", "resident", "; the rest of the file holds"),
                    };
                    warn!(
                        "[service] mode is {new:?} in the file, and stays {old:?} until the service is restarted{rest}"
                    );
                }
                self.say_what_stays(&workflow);
                self.replacement = Some(Arc::new(workflow));
                Ok(())
            }
            Err(wrong) => {
                error!(detail = wrong, "the workflow stays as it was, since its file is wrong now:");
                Err(wrong)
            }
        };
        if self.ready_by.is_none() {
            self.notifier.ready();
        }
        result
    }

    /// The history was opened with what the file said then.
    fn say_what_stays(&self, new: &Workflow) {
        let first = &self.first;
        let changed = [
            ("[history]", new.history != first.history),
            ("[service] on_crash", new.service.on_crash != first.service.on_crash),
        ];
        for (name, _) in changed.into_iter().filter(|(_, changed)| *changed) {
            warn!("{name} is not what the service was started with: it holds when the service is restarted");
        }
    }

    /// Puts what was loaded in the workflow's place, once nothing runs, and the history has the ends of what ran: the old recorder
    /// records them.
    pub(super) fn replace_workflow(&mut self) -> Result<(), SupervisorError> {
        if !self.active.is_empty() || self.keeping.ending() > 0 {
            return Ok(());
        }
        let Some(workflow) = self.replacement.take() else { return Ok(()) };
        self.board.with(|state| state.replace(Arc::clone(&workflow)));
        let (supervisor, line, deferred) = (&mut self.supervisor, &self.line, &mut self.deferred);
        // The workers of the old one may take their time to end.
        let missed = supervisor.replace_workflow(workflow, &mut |supervisor| {
            while let Ok(request) = line.requests.try_recv() {
                deferred.extend(processes::answer(supervisor, request));
            }
        })?;
        for happening in missed {
            self.on_happening(happening);
        }
        let recorder = (self.recorder)(self.supervisor.workflow());
        let records = recorder.is_some();
        match (self.supervisor.record_with(recorder), records) {
            (true, true) => info!("[record] has changed: runs are recorded as it says now"),
            (true, false) => info!("[record] has changed: runs are not recorded in MongoDB any more"),
            (false, _) => {}
        }
        self.tell(Notice::Replaced);
        Ok(())
    }

    pub(super) fn press_what_lingers(&mut self, now: Instant) {
        if self.stop.on_time(now).is_some() {
            warn!("the running tasks have not finished in time: killing them");
            self.supervisor.press_tasks(Step::Terminate);
        }
    }
}

fn reason_or(reason: &str, usual: &str) -> String {
    if reason.is_empty() { usual.to_owned() } else { format!("{usual}: {}", processes::shortened(reason)) }
}
