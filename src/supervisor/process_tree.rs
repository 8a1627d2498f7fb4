//! Routing between the process tree and what it needs to know: tasks that end, orphans, listings, signals.

use std::io;
use std::time::{Duration, Instant};

use super::Supervisor;
use super::owners::PoolOwners;
use super::processes::listing::Listing;
use super::processes::status_socket::StatusSocket;
use super::processes::{Facts, OrphanCount, Owner, SignalTarget, control_group_of};
use crate::graph::{ActorId, PoolId};
use crate::pool::WorkerId;
use crate::process::sys::{Pid, Signal};
use crate::process::tree::{Process, Snapshot};

impl Supervisor {
    /// Reads what was announced up to now; some of it if it is very much.
    pub(super) fn read_announcements(&mut self) {
        let owners = PoolOwners::new(&self.workers, &self.programs, &self.jobs);
        let started = self.processes.read_announcements(&mut self.event_loop, &owners);
        self.note_started(started);
    }

    /// A worker or program has finished a task, or is gone.
    pub(super) fn task_is_over(
        &mut self,
        owner: Owner,
        actor: Option<ActorId>,
        started_something: bool,
        took: Duration,
    ) {
        if !self.processes.is_worth_a_scan(started_something, took) {
            return;
        }
        let worker = self.workers.get_mut(owner);
        let can_work = worker.is_some_and(|process| {
            process.last_actor = actor;
            process.is_connected()
        });
        match actor {
            Some(actor) if self.workflow.actor(actor).leave_children => self.scan_for_orphans(Some((owner, actor))),
            // The owner is idle: what there is comes from this task, or from an earlier one.
            _ if can_work && self.processes.may_scan(Instant::now()) => self.scan_for_orphans(None),
            _ => self.processes.want_scan(),
        }
    }

    /// Finds orphans and begins to end them.
    pub(super) fn scan_for_orphans(&mut self, leaver: Option<(Owner, ActorId)>) {
        let owners = PoolOwners::new(&self.workers, &self.programs, &self.jobs);
        let started = self.processes.scan(leaver, &mut self.event_loop, &self.workflow, &owners);
        self.note_started(started);
    }

    /// Signals what has left a worker or program, but not its task.
    pub(super) fn signal_orphans_of(&mut self, pool: PoolId, worker: WorkerId, signal: Signal) {
        let owners = PoolOwners::new(&self.workers, &self.programs, &self.jobs);
        self.processes.signal_orphans_of((pool, worker), signal, &owners);
    }

    /// Notes what is below the workers now and may go on after them: processes that are not daemonic are waited for. Returns their
    /// names, if there are any that were announced.
    pub(super) fn await_leftovers(&mut self, patience: Duration) -> Option<String> {
        self.scan_for_orphans(None);
        if patience.is_zero() {
            return None;
        }
        let snapshot = Snapshot::take();
        self.read_announcements();
        self.processes.await_leftovers(&snapshot, self.grace())
    }

    /// How many processes tasks have left behind up to now.
    pub fn orphan_count(&self) -> OrphanCount {
        self.processes.orphan_count()
    }

    /// A value that changes when a process starts or ends, as far as the supervisor knows.
    pub fn population(&self) -> (usize, usize, u64) {
        self.processes.population()
    }

    /// The process tree as it is now.
    pub fn listing(&mut self) -> Listing {
        let mut listing = self.arrange(&Snapshot::take());
        listing.add_details();
        listing
    }

    /// The tree in a snapshot, with everything that the supervisor knows of its processes. [`Listing::add_details`] does the rest.
    pub fn arrange(&mut self, snapshot: &Snapshot) -> Listing {
        self.read_announcements();
        let facts = Facts {
            guardian: self.event_loop.guardian_pid(),
            tasks: self.runs.task_count(),
            has_cgroups: self.resources.subtree().is_some(),
        };
        let owners = PoolOwners::new(&self.workers, &self.programs, &self.jobs);
        self.processes.arrange(snapshot, facts, &self.workflow, &owners)
    }

    /// Sends a signal, deepest first, also to what appears meanwhile. Processes that get SIGKILL are stopped first, so that none escapes
    /// by forking. Returns the processes that got it.
    pub fn signal(&mut self, target: SignalTarget, signal: Signal) -> Vec<Process> {
        self.read_announcements();
        let owners = PoolOwners::new(&self.workers, &self.programs, &self.jobs);
        self.processes.signal(target, signal, &self.workflow, &owners)
    }

    /// The cgroup that is divided among the processes of the supervisor, relative to the root of this cgroup namespace; none if there
    /// is none.
    pub fn control_group(&self) -> Option<String> {
        self.resources.subtree()?;
        // The supervisor itself is in a leaf.
        control_group_of(Pid::this())?.rsplit_once('/').map(|(group, _)| group.to_owned())
    }

    /// Shows the tree to everyone who connects to the status socket (`pushflow ps`).
    ///
    /// # Errors
    /// If no folder for the socket can be used: why the last one cannot.
    pub fn open_status_socket(&mut self) -> io::Result<()> {
        self.status_socket = Some(StatusSocket::open(&mut self.event_loop)?);
        Ok(())
    }

    pub(super) fn on_status_socket_ready(&mut self) {
        let Some(socket) = &mut self.status_socket else { return };
        let clients = socket.accept(&mut self.event_loop);
        if clients.is_empty() {
            return;
        }
        // A listing is plain data.
        let text = serde_json::to_vec(&self.listing()).unwrap_or_default();
        if let Some(socket) = &mut self.status_socket {
            socket.serve(clients, &text, &mut self.event_loop);
        }
    }

    /// Jobs of these workers have started something.
    fn note_started(&mut self, workers: Vec<Owner>) {
        for (pool, worker) in workers {
            if let Some(process) = self.workers.get_mut((pool, worker))
                && !process.state.on_started_something()
            {
                // It has no job whose end would be a reason to scan.
                self.processes.want_scan();
            }
        }
    }
}
