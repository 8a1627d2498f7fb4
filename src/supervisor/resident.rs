//! What a service needs of the supervisor and a single run does not: to be woken, to be seen alive, to act on one run
//! among several, and to have its workflow replaced between runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Waker;

use super::shutdown::Meanwhile;
use super::{RunId, Supervisor, SupervisorError, SupervisorEvent, new_pools};
use crate::graph::Workflow;
use crate::pool::EscalationStep;
use crate::process::guardian::Guardian;
use crate::process::sys::{Pid, Signal};
use crate::process::tree;

impl Supervisor {
    /// A way for other threads to end the waiting of [`Supervisor::turn`].
    pub fn waker(&mut self) -> Result<Waker, SupervisorError> {
        self.event_loop.waker().map_err(SupervisorError::Setup)
    }

    /// Calls this from the loop, at once and then that often: also while it shuts down.
    pub fn set_heartbeat(&mut self, every: Duration, beat: impl FnMut() + 'static) {
        self.event_loop.set_heartbeat(every, beat);
    }

    /// From now on the end of the guardian is the end of everything: [`SupervisorError::Unguarded`].
    pub fn watch_guardian(&mut self, guardian: Guardian) -> Result<(), SupervisorError> {
        self.event_loop.watch_guardian(guardian)
    }

    /// From now on a thread watches the loop: if it does not turn, the process is ended, and all below it. [`Supervisor::leave_loop`] says
    /// that it is not to turn any more.
    pub fn start_guard(&mut self) -> Result<(), SupervisorError> {
        self.event_loop.start_watchdog(None)
    }

    /// What follows is not the loop's work, and may take any time.
    pub fn leave_loop(&self) {
        self.event_loop.pause_watchdog();
    }

    /// Stops one run: nothing new starts, its running tasks finish. Whether there is such a run.
    pub fn stop_run(&mut self, run: RunId, reason: &str) -> bool {
        let now = Instant::now();
        self.retract_all();
        self.tell_run(run, |engine, effects| engine.stop(reason, now, effects));
        self.runs.contains_key(&run)
    }

    /// Aborts one run: nothing new starts, its running tasks are interrupted. Whether there is such a run.
    pub fn abort_run(&mut self, run: RunId, reason: &str) -> bool {
        let now = Instant::now();
        self.retract_all();
        self.tell_run(run, |engine, effects| engine.abort(reason, now, effects));
        self.runs.contains_key(&run)
    }

    /// Puts another workflow in the place of this one, between runs: the workers of the old one end first. What
    /// happened meanwhile is returned; `also` is called whenever something has, or the loop was woken.
    ///
    /// # Panics
    /// While a run is going on.
    pub fn replace_workflow(
        &mut self,
        workflow: Arc<Workflow>,
        also: Meanwhile<'_>,
    ) -> Result<Vec<SupervisorEvent>, SupervisorError> {
        assert!(self.runs.is_empty(), "the workflow of a run is not replaced under it");
        let mut missed = Vec::new();
        self.let_go();
        for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGKILL)] {
            if let Some(signal) = signal {
                let recorder = self.recorder_pid();
                tree::signal_below(&[Pid::this()], signal, |process| Some(process.pid) == recorder);
            }
            let deadline = Instant::now() + self.grace();
            self.carry_out();
            while self.has_workers() && Instant::now() < deadline {
                missed.extend(self.turn(Some(deadline))?);
                also(self);
            }
        }
        if self.has_workers() {
            // Their pools would be gone when they are reaped.
            return Err(SupervisorError::Survivors(tree::names(&tree::descendants(Pid::this()))));
        }
        self.pools = new_pools(&workflow);
        self.workers.replace_workflow(&workflow);
        self.processes.workflow_replaced();
        self.resources.take_latest_durations();
        self.workflow = workflow;
        Ok(missed)
    }

    /// Whether there are children that execute tasks or make those that do.
    fn has_workers(&self) -> bool {
        let recorder = self.recorder_pid();
        self.processes.children().any(|(pid, _)| Some(pid) != recorder)
    }

    /// Presses the running tasks of one run harder, at once.
    pub fn press_run(&mut self, run: RunId, step: EscalationStep) {
        let now = Instant::now();
        let jobs = self.runs.get(&run).map(|run| run.jobs.values().copied().collect::<Vec<_>>());
        for job in jobs.unwrap_or_default() {
            self.press_job(job, step, now);
        }
    }
}
