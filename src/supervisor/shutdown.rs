//! The end: every process is gone before the supervisor says so.
//!
//! Daemonic processes get SIGTERM, and after the grace time SIGKILL; non-daemonic ones are waited for. The children of a
//! Python process are first left to that process: it terminates its daemonic ones in an order in which its pools and
//! managers do not get stuck, and waits for the others.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::owners::PoolOwners;
use super::processes::{Child, Occupation, Owners, longest_grace};
use super::recorder::{self, Action, Recorder, RecorderCommand, Running};
use super::workers::OutputContext;
use super::{Supervisor, SupervisorError, SupervisorEvent, new_pools};
use crate::graph::{Kind, Workflow};
use crate::pool::EscalationStep;
use crate::process::Program;
use crate::process::sys::{self, Pid, Signal};
use crate::process::tree::{self, Process, Snapshot};

use super::jobs::Job;

impl Supervisor {
    /// Lets all workers go and waits for what is not daemonic, up to `patience`, but not for the recorder
    /// ([`Supervisor::end_recorder`]); whatever is left then below the
    /// supervisor gets SIGTERM, and after the grace time SIGKILL. Names what survives even that.
    pub fn shut_down(&mut self, patience: Duration) -> Result<(), SupervisorError> {
        self.shut_down_while(patience, &mut |_| {})
    }

    /// The same; whenever something has happened meanwhile, or the loop was woken, this is called.
    pub fn shut_down_while(&mut self, patience: Duration, also: Meanwhile<'_>) -> Result<(), SupervisorError> {
        self.read_announcements();
        let awaited = if self.processes.has_no_leftovers() { None } else { self.await_leftovers(patience) };
        self.processes.end_orphans(false);
        self.let_go();
        self.signal_daemonic_workers(Signal::SIGTERM);
        if let Some(awaited) = awaited {
            info!("waiting for what tasks have left running, up to {patience:?}: {awaited}");
        }
        let grace = self.grace();
        let begin = Instant::now();
        for (at, signal) in [(grace, Signal::SIGTERM), (grace * 2, Signal::SIGKILL)] {
            match self.wait_for_nothing(later(begin, at.min(patience)), also)? {
                Wait::Empty => return Ok(()),
                Wait::Hurry => return self.end_everything(also),
                Wait::Over if at < patience => self.signal_daemonic(signal),
                Wait::Over => return self.end_everything(also),
            }
        }
        match self.wait_for_nothing(later(begin, patience), also)? {
            Wait::Empty => Ok(()),
            Wait::Hurry | Wait::Over => self.end_everything(also),
        }
    }

    /// SIGTERM, grace, SIGKILL for all that is left.
    fn end_everything(&mut self, also: Meanwhile<'_>) -> Result<(), SupervisorError> {
        self.processes.end_orphans(true);
        let (grace, recorder) = (self.grace(), self.recorder.pid());
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let told = self.processes.signal_below(Pid::this(), signal, |process| Some(process.pid) == recorder);
            if !told.is_empty() {
                let processes = if told.len() == 1 { "process that was" } else { "processes that were" };
                info!("sent {} to {} {processes} still running", signal.as_str(), told.len());
            }
            if let Wait::Empty = self.wait_for_nothing(Instant::now() + grace, also)? {
                return Ok(());
            }
        }
        let mut left = tree::descendants(Pid::this());
        left.retain(|process| Some(process.pid) != recorder);
        if !self.nothing_is_left() {
            warn!("these processes survive SIGKILL: {}", tree::names(&left));
        }
        Ok(())
    }

    /// The longest grace time of the pools: how long a process has between one signal and the next.
    pub fn grace(&self) -> Duration {
        longest_grace(&self.workflow)
    }

    /// Lets all workers go that have nothing to do, the others after their task. Nothing new starts.
    pub fn let_go(&mut self) {
        for index in 0..self.pools.len() {
            self.tell_pool(index.into(), |pool, effects| pool.close(effects));
            let (workers, mut system) = self.workers_and_system();
            workers.end_forkserver(&mut system, index.into());
        }
        self.end_pending_launchers();
        // What is queued may still start a process.
        self.carry_out();
    }

    /// Presses the running tasks whose workers are daemonic.
    pub fn escalate_daemonic_tasks(&mut self, step: EscalationStep) {
        let is_daemonic = |job: &Job| match job {
            Job::Task { actor, .. } => {
                let actor = self.workflow.actor(*actor);
                matches!(actor.kind, Kind::Python(_)) && self.workflow.pool(actor.pool).kind.is_daemonic()
            }
            Job::Describe { .. } => false,
        };
        let jobs = self.jobs.iter().filter(|(_, job)| is_daemonic(job)).map(|(id, _)| id).collect();
        self.escalate_jobs(jobs, step);
    }

    /// Signals what is below the supervisor and is neither its own nor a part of a running task: those are pressed.
    pub fn signal_leftovers(&mut self, signal: Signal) {
        let snapshot = Snapshot::take();
        let mut not = HashSet::new();
        for (_, process) in self.workers.all() {
            for (pid, _) in [&process.process, &process.launcher].into_iter().flatten() {
                not.insert(*pid);
                if !process.state.is_shared() && !process.state.is_idle() {
                    not.extend(snapshot.below(*pid).into_iter().map(|process| process.pid));
                }
            }
        }
        for pid in self.programs.all().map(|program| program.process.0) {
            not.insert(pid);
            not.extend(snapshot.below(pid).into_iter().map(|process| process.pid));
        }
        let owners = PoolOwners::new(&self.workers, &self.programs, &self.jobs);
        for orphan in self.processes.orphans_in(&snapshot) {
            let owner = self.processes.owner_of_orphan(orphan, &owners);
            if owner.is_some_and(|owner| is_pressed_whole(owners.occupation(owner))) {
                not.insert(orphan.pid);
                not.extend(snapshot.below(orphan.pid).into_iter().map(|process| process.pid));
            }
        }
        not.extend(self.processes.children().map(|(pid, _)| pid));
        not.extend(self.processes.starting());
        self.processes.signal_below(Pid::this(), signal, |process| not.contains(&process.pid));
    }

    /// Signals the workers that Python takes for daemonic, with all below them.
    fn signal_daemonic_workers(&mut self, signal: Signal) {
        let daemonic = self.processes.children().filter_map(|(_, child)| match child {
            Child::Worker(pool, worker) if self.workflow.pool(pool).kind.is_daemonic() => Some((pool, worker)),
            _ => None,
        });
        for (pool, worker) in daemonic.collect::<Vec<_>>() {
            self.signal_worker(pool, worker, signal);
        }
    }

    /// Signals all that is daemonic: workers, and what tasks have started as such.
    fn signal_daemonic(&mut self, signal: Signal) {
        self.signal_daemonic_workers(signal);
        let daemonic: Vec<Process> = tree::descendants(Pid::this())
            .into_iter()
            .filter(|process| self.processes.is_announced_as_daemonic(process) == Some(true))
            .collect();
        if !daemonic.is_empty() {
            info!("sent {} to daemonic processes: {}", signal.as_str(), tree::names(&daemonic));
            self.processes.signal_branches(&daemonic, signal);
        }
    }

    /// Replaces the workflow, between runs: the workers of the old one end first. Returns what happened meanwhile. `meanwhile` is called
    /// after each turn of the loop.
    ///
    /// # Panics
    /// If a run has not ended.
    pub fn replace_workflow(
        &mut self,
        workflow: Arc<Workflow>,
        meanwhile: Meanwhile<'_>,
    ) -> Result<Vec<SupervisorEvent>, SupervisorError> {
        assert!(self.runs.is_empty(), "the workflow of a run is not replaced");
        let mut missed = Vec::new();
        self.let_go();
        for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGKILL)] {
            if let Some(signal) = signal {
                let recorder = self.recorder.pid();
                tree::signal_below(&[Pid::this()], signal, |process| Some(process.pid) == recorder);
            }
            let deadline = Instant::now() + self.grace();
            self.carry_out();
            while self.has_workers() && Instant::now() < deadline {
                missed.extend(self.turn(Some(deadline))?);
                meanwhile(self);
            }
        }
        if self.has_workers() {
            // When they are reaped, their pools must be there.
            return Err(SupervisorError::Survivors(tree::names(&tree::descendants(Pid::this()))));
        }
        self.pools = new_pools(&workflow);
        self.workers.replace_workflow(&workflow);
        self.processes.workflow_replaced();
        self.resources.take_latest_durations();
        self.workflow = workflow;
        Ok(missed)
    }

    /// Whether there are children other than the recorder.
    fn has_workers(&self) -> bool {
        let recorder = self.recorder.pid();
        self.processes.children().any(|(pid, _)| Some(pid) != recorder)
    }

    /// Copies the history with this command, which is restarted when it fails, until [`Supervisor::end_recorder`]. What has recorded
    /// before ends first; without a command, nothing records any more. Whether that is a change.
    pub fn record_with(&mut self, command: Option<RecorderCommand>) -> bool {
        if self.recorder.intended() == command.as_ref() {
            return false;
        }
        let action = self.recorder.set_command(command, Instant::now());
        self.on_recorder_action(action);
        true
    }

    /// Starts the recorder, if that is to be done.
    pub(super) fn on_recorder_action(&mut self, action: Action) {
        if let Action::Start(command) = action {
            let started = self.start_recorder(&command);
            self.recorder.on_started(started, Instant::now());
        }
    }

    fn start_recorder(&mut self, command: &RecorderCommand) -> io::Result<Running> {
        let (input, ours) = sys::pipe()?;
        let (printed, output) = sys::pipe()?;
        let program = Program::new(&command.program, output.as_fd()).args(&command.arguments).stdin(input);
        let (pid, process) = self.workers.affinity.start(program)?;
        let context = OutputContext { pid: Some(pid.as_raw()), ..OutputContext::default() };
        self.workers.outputs.watch(printed, context, &mut self.event_loop)?;
        self.processes.add_child(pid, Child::Recorder);
        Ok(Running { pid, process, input: Some(ours), since: Instant::now() })
    }

    /// Nothing more is written to the history: the recorder records the rest and ends, or is ended. Call it after
    /// [`Supervisor::shut_down`].
    pub fn end_recorder(&mut self) -> Result<(), SupervisorError> {
        let action = self.recorder.prepare_end();
        self.on_recorder_action(action);
        self.recorder.end(None, Instant::now());
        let by = Instant::now() + recorder::PATIENCE + 2 * self.grace() + Duration::from_secs(1);
        while let Some(pid) = self.recorder.pid() {
            if Instant::now() >= by {
                warn!("the recorder ({pid}) survives SIGKILL: it hangs in the kernel, and is not waited for");
                break;
            }
            self.turn(Some(by))?;
        }
        self.recorder = Recorder::default();
        Ok(())
    }

    /// Whether there is nothing below the supervisor but the recorder.
    fn nothing_is_left(&self) -> bool {
        match self.recorder.pid() {
            None => sys::has_no_children(),
            Some(recorder) => Snapshot::take().children(Pid::this()).iter().all(|child| child.pid == recorder),
        }
    }

    /// Waits until there is nothing below the supervisor, until then at the latest, and less if a signal arrives.
    fn wait_for_nothing(&mut self, deadline: Instant, also: Meanwhile<'_>) -> Result<Wait, SupervisorError> {
        while !self.nothing_is_left() {
            if Instant::now() >= deadline {
                return Ok(Wait::Over);
            }
            if self.turn(Some(deadline))?.iter().any(|happening| matches!(happening, SupervisorEvent::Signal(_))) {
                return Ok(Wait::Hurry);
            }
            also(self);
        }
        Ok(Wait::Empty)
    }
}

/// Whether all processes of an owner are signalled when its task is.
fn is_pressed_whole(occupation: Occupation) -> bool {
    matches!(occupation, Occupation::Task { .. } | Occupation::Program)
}

/// What is done while the end is waited for.
pub type Meanwhile<'a> = &'a mut dyn FnMut(&mut Supervisor);

/// A point in time; durations from a file can be longer than the clock.
fn later(begin: Instant, duration: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    begin + duration.min(YEAR)
}

/// How a wait for the end ended.
enum Wait {
    /// Nothing is there any more.
    Empty,
    /// Somebody does not want to wait.
    Hurry,
    /// The time is over.
    Over,
}
