//! The only place where engine, pools, processes and connections meet: one loop that owns the clock and every
//! descriptor.
//!
//! Readiness comes in ([`Supervisor::turn`]), is told to the engine or a pool, and their effects are carried out one
//! after the other from one queue, so that nothing calls itself.

mod answers;
mod assignments;
mod endings;
mod error;
mod event;
mod event_loop;
mod jobs;
mod launches;
mod owners;
mod process_tree;
mod processes;
mod programs;
mod recorder;
mod resources;
mod routing;
mod runs;
mod shutdown;
mod switches;
mod template;
mod termination;
mod workers;

pub use error::SupervisorError;
pub use event::{RunId, SupervisorEvent};
pub use processes::{OrphanCount, SignalTarget, listing, status_socket};
pub use recorder::RecorderCommand;
pub use resources::{CgroupUse, Resources, subtree_for, usage_of_the_supervisor};
pub(crate) use workers::interpreter_in;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Waker;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use tracing::{debug, warn};

use crate::cgroup::Subtree;
use crate::engine;
use crate::graph::{PoolId, Workflow};
use crate::pool::{self, JobId, Pool};
use crate::process::guardian::Guardian;
use crate::process::sys;

use event_loop::{EventLoop, Readiness, Source};
use processes::status_socket::StatusSocket;
use processes::{Child, Processes};
use programs::Programs;
use recorder::Recorder;
use runs::{Jobs, Runs};
use workers::Workers;

/// A limit on the size of files below this is worth a word: large values travel in files.
const SMALL_FILE: u64 = 1 << 30;

/// One turn of the loop reaps no more processes than this: a task may start them faster than they are reaped.
const REAPED_A_TURN: usize = 512;

/// The supervisor of one workflow.
pub struct Supervisor {
    workflow: Arc<Workflow>,
    event_loop: EventLoop,
    processes: Processes,
    status_socket: Option<StatusSocket>,
    /// Which worker gets which job, pool by pool.
    pools: Vec<Pool>,
    workers: Workers,
    programs: Programs,
    resources: Resources,
    jobs: Jobs,
    runs: Runs,
    todo: VecDeque<Todo>,
    /// Jobs that could not be started, and end so in the next turn: a workflow that tries again at once does not keep the loop.
    not_started: Vec<(JobId, engine::Outcome)>,
    reports: Vec<SupervisorEvent>,
    recorder: Recorder,
}

/// The pools of a workflow, without workers.
fn new_pools(workflow: &Workflow) -> Vec<Pool> {
    let prefill = switches::is_on("PUSHFLOW_PREFILL");
    workflow.pools.iter().map(|spec| Pool::new(spec, prefill)).collect()
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.leave_loop();
    }
}

/// An effect that waits to be carried out.
enum Todo {
    Engine(RunId, engine::Effect),
    Pool(PoolId, pool::Effect),
}

impl Supervisor {
    /// A supervisor without runs. It becomes the parent of every orphan below it, and takes SIGINT, SIGTERM, SIGCHLD, SIGUSR1 and,
    /// unless it is ignored, SIGHUP of the process: there is one a process.
    pub fn new(workflow: Arc<Workflow>) -> Result<Self, SupervisorError> {
        sys::become_subreaper().map_err(SupervisorError::Setup)?;
        if let Err(error) = sys::raise_open_files() {
            debug!("no more files can be opened than at first: {error}");
        }
        if let Some(limit) = sys::largest_file().filter(|limit| *limit < SMALL_FILE) {
            warn!(
                "files may not become larger than {limit} bytes here (`ulimit -f`): tasks whose values or output need more \
                 fail with \"File too large\""
            );
        }
        // nohup(1) and its like want the end of the terminal to mean nothing.
        let hangup = (!sys::is_ignored(sys::Signal::SIGHUP)).then_some(SIGHUP);
        let wanted = [SIGINT, SIGTERM, SIGCHLD, SIGUSR1].into_iter().chain(hangup);
        let mut event_loop = EventLoop::new(wanted).map_err(SupervisorError::Setup)?;
        let processes = Processes::new(&mut event_loop).map_err(SupervisorError::Setup)?;
        Ok(Supervisor {
            pools: new_pools(&workflow),
            workers: Workers::new(&workflow, switches::is_on("PUSHFLOW_AFFINITY")),
            programs: Programs::default(),
            workflow,
            event_loop,
            processes,
            status_socket: None,
            resources: Resources::default(),
            jobs: Jobs::default(),
            runs: Runs::default(),
            todo: VecDeque::new(),
            not_started: Vec::new(),
            reports: Vec::new(),
            recorder: Recorder::default(),
        })
    }

    /// The workflow it supervises.
    pub fn workflow(&self) -> &Arc<Workflow> {
        &self.workflow
    }

    /// Cgroups and accounts.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Cgroups and accounts.
    pub fn resources_mut(&mut self) -> &mut Resources {
        &mut self.resources
    }

    /// Puts what is started from now on into leaves of this subtree. The caller reports the limits that its controllers do not enforce
    /// ([`Workflow::limit_names`]).
    pub fn use_subtree(&mut self, subtree: Subtree) {
        self.resources.use_subtree(subtree, &self.workflow);
    }

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

    /// Waits for something to happen, until `wake` at the latest, and does what follows from it. What a caller may
    /// want to know of it is returned, oldest first.
    pub fn turn(&mut self, wake: Option<Instant>) -> Result<Vec<SupervisorEvent>, SupervisorError> {
        self.carry_out();
        if self.reports.is_empty() {
            if self.jobs.is_empty() {
                self.workers.affinity.unpin();
            }
            let wake = self.next_time().into_iter().chain(wake).min();
            let ready = self.event_loop.wait(wake.map(|at| at.saturating_duration_since(Instant::now())))?;
            // Before the tasks that announced it have ended.
            if ready.iter().any(|readiness| readiness.token == self.processes.announcements_token()) {
                self.read_announcements();
            }
            for (job, outcome) in std::mem::take(&mut self.not_started) {
                self.job_ended(job, outcome);
                self.carry_out();
            }
            for readiness in ready {
                self.on_ready(readiness);
            }
            self.on_time(Instant::now());
            self.event_loop.check_guardian()?;
        }
        Ok(std::mem::take(&mut self.reports))
    }

    /// Handles one event and all that follows from it: engine and pools must agree on what is running before either
    /// decides anything more (a task that its run withdraws has then not been promised to a worker).
    fn on_ready(&mut self, Readiness { token, readable, writable }: Readiness) {
        match self.event_loop.source(token) {
            Some(Source::Signals) => self.on_signals(),
            Some(Source::Announced) => self.read_announcements(),
            Some(Source::Leftover(pid)) => self.processes.on_leftover_ended(token, pid, &mut self.event_loop),
            Some(Source::StatusSocket) => self.on_status_socket_ready(),
            Some(Source::StatusClient) => {
                if let Some(socket) = &mut self.status_socket {
                    socket.on_client_ready(token, &mut self.event_loop);
                }
            }
            Some(Source::Guardian) => self.event_loop.on_guardian_ready(),
            Some(Source::Forkserver(pool)) => {
                let (workers, mut system) = self.workers_and_system();
                workers.on_forkserver_ready(&mut system, pool, writable);
            }
            Some(Source::Worker(pool, worker)) => self.on_worker_ready(pool, worker, readable, writable),
            Some(Source::Output) => self.on_output_ready(token),
            Some(Source::KeptOutput) => self.programs.kept_outputs.on_ready(token, &mut self.event_loop),
            Some(Source::LauncherListener) => self.on_listener_ready(token),
            Some(Source::UnauthenticatedPeer) => self.on_peer_ready(token),
            // The loop is awake, which is all that was wanted.
            Some(Source::Waker) | None => {}
        }
        self.carry_out();
    }

    fn on_signals(&mut self) {
        for signal in self.event_loop.take_signals() {
            match signal {
                SIGCHLD => self.reap_children(),
                SIGUSR1 => self.listing().log(),
                signal => self.reports.push(SupervisorEvent::Signal(signal)),
            }
        }
    }

    fn reap_children(&mut self) {
        for number in 0.. {
            if number == REAPED_A_TURN {
                self.event_loop.defer_reaping();
                break;
            }
            let Some((child, reaped)) = self.processes.reap() else { break };
            self.resources.on_reaped(child, &reaped);
            match child {
                Some(Child::Worker(pool, worker)) => self.on_worker_reaped(pool, worker, reaped.ended),
                Some(Child::Program(pool, worker)) => self.on_program_reaped(pool, worker, reaped.ended),
                Some(Child::Forkserver(pool, phase)) => {
                    let (workers, mut system) = self.workers_and_system();
                    workers.on_forkserver_reaped(&mut system, pool, phase, reaped.pid, reaped.ended);
                }
                Some(Child::Recorder) => {
                    let action = self.recorder.on_reaped(reaped.ended, Instant::now());
                    self.on_recorder_action(action);
                }
                Some(Child::LetGo) => {}
                None => {
                    debug!("reaped the orphan {}, which {}", reaped.pid, reaped.ended);
                    self.processes.on_orphan_reaped(reaped.pid);
                }
            }
        }
        self.resources.remove_empty_cgroups();
    }

    fn on_time(&mut self, now: Instant) {
        self.event_loop.on_time(now);
        if self.runs.is_any_overdue(now) {
            self.retract_all();
        }
        let due = self.runs.on_time(now);
        self.todo.extend(due.into_iter().map(|(run, effect)| Todo::Engine(run, effect)));
        self.carry_out();
        for (index, pool) in self.pools.iter_mut().enumerate() {
            if pool.next_time().is_some_and(|at| at <= now) {
                let mut effects = Vec::new();
                pool.on_time(now, &mut effects);
                self.todo.extend(effects.into_iter().map(|effect| Todo::Pool(PoolId::from(index), effect)));
            }
        }
        self.carry_out();
        if self.processes.is_scan_due(now) {
            self.scan_for_orphans(None);
        }
        self.processes.kill_overdue_orphans(now);
        let action = self.recorder.on_time(now, self.grace());
        self.on_recorder_action(action);
        self.runs.log_on_time(now, &mut self.jobs, &self.workflow);
        self.workers.on_time(now, &mut self.event_loop);
    }

    fn next_time(&self) -> Option<Instant> {
        if !self.not_started.is_empty() {
            return Some(Instant::now());
        }
        let pools = self.pools.iter().filter_map(Pool::next_time);
        let others = [
            self.event_loop.next_time(Instant::now()),
            self.processes.next_time(),
            self.recorder.next_time(),
            self.runs.next_time(),
            self.workers.next_time(),
        ];
        pools.chain(others.into_iter().flatten()).min()
    }

    fn carry_out(&mut self) {
        while let Some(todo) = self.todo.pop_front() {
            match todo {
                Todo::Engine(run, effect) => self.carry_out_engine(run, effect),
                Todo::Pool(pool, effect) => self.carry_out_pool(pool, effect),
            }
        }
    }

    /// Tells a pool something, and queues what it asks for.
    fn tell_pool<T>(&mut self, id: PoolId, tell: impl FnOnce(&mut Pool, &mut Vec<pool::Effect>) -> T) -> T {
        let mut effects = Vec::new();
        let answer = tell(&mut self.pools[id.index()], &mut effects);
        self.todo.extend(effects.into_iter().map(|effect| Todo::Pool(id, effect)));
        answer
    }

    fn carry_out_pool(&mut self, pool: PoolId, effect: pool::Effect) {
        match effect {
            pool::Effect::Spawn(worker) => self.spawn_worker(pool, worker),
            pool::Effect::Send(worker, job) => self.send_job(pool, worker, job),
            pool::Effect::Prefill(worker, job) => self.prefill(pool, worker, job),
            pool::Effect::Retract(worker) => self.retract(pool, worker),
            pool::Effect::Launch(worker, job) => self.launch_program(pool, worker, job),
            pool::Effect::Escalate(worker, step) => self.escalate(pool, worker, step),
            pool::Effect::Stuck(worker) => self.worker_is_stuck(pool, worker),
            pool::Effect::Retire(worker) => self.retire_worker(pool, worker),
            pool::Effect::Late(worker) => self.workers.log_late(pool, worker),
            pool::Effect::Overdue(worker) => self.worker_is_overdue(pool, worker),
            pool::Effect::Refuse(job) => self.refuse_job(pool, job),
        }
    }
}
