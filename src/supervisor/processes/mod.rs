//! The process tree below the supervisor: its children, what tasks announce, what they leave behind, and signals to all of it.
//!
//! It knows nothing of how workers and programs are started. It asks about them through [`Owners`].

mod announced;
mod arrange;
mod children;
pub mod listing;
mod origin;
mod orphans;
mod owners;
mod signalled;
mod signals;
pub mod status_socket;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub(super) use arrange::Facts;
pub(super) use children::{Child, ForkserverPhase};
pub(super) use listing::control_group_of;
pub(super) use origin::{ORIGIN_VARIABLE, origin_of};
pub use orphans::OrphanCount;
pub(super) use orphans::longest_grace;
pub(super) use owners::{Occupation, Owner, Owners, WorkerPids};
pub use signals::SignalTarget;

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use mio::Token;
use mio::unix::SourceFd;
use tracing::{info, warn};

use super::event_loop::{EventLoop, Source};
use crate::graph::{ActorId, Workflow};
use crate::process::sys::{self, Pid, PidFd, Reaped, Signal};
use crate::process::tree::{self, Process, Snapshot, some_names};

use announced::{Announced, Announcement, Started};
use origin::Origin;
use orphans::{Candidate, Orphans};
use signalled::Signalled;

/// The process tree.
pub(super) struct Processes {
    /// The direct children, until they are reaped.
    children: HashMap<Pid, Child>,
    /// How many processes were reaped.
    reaped: u64,
    announced: Announced,
    orphans: Orphans,
    signalled: Signalled,
}

impl Processes {
    pub(super) fn new(event_loop: &mut EventLoop) -> io::Result<Self> {
        Ok(Processes {
            children: HashMap::new(),
            reaped: 0,
            announced: Announced::new(event_loop)?,
            orphans: Orphans::default(),
            signalled: Signalled::default(),
        })
    }

    /// A child was started, or has become another one.
    pub(super) fn add_child(&mut self, pid: Pid, child: Child) {
        self.children.insert(pid, child);
    }

    /// What a child is; none if the supervisor has not started it.
    pub(super) fn child(&self, pid: Pid) -> Option<Child> {
        self.children.get(&pid).copied()
    }

    /// All direct children that the supervisor has started.
    pub(super) fn children(&self) -> impl Iterator<Item = (Pid, Child)> {
        self.children.iter().map(|(pid, child)| (*pid, *child))
    }

    /// Reaps one child that has ended. An orphan is reaped too.
    #[must_use]
    pub(super) fn reap(&mut self) -> Option<(Option<Child>, Reaped)> {
        let reaped = sys::reap().ok()??;
        self.reaped += 1;
        Some((self.children.remove(&reaped.pid), reaped))
    }

    /// A value that changes when a process starts or ends, as far as the supervisor knows.
    pub(super) fn population(&self) -> (usize, usize, u64) {
        (self.children.len(), self.announced.len(), self.reaped)
    }

    /// The pipe into which interpreters announce what tasks start.
    pub(super) fn announcements(&self) -> BorrowedFd<'_> {
        self.announced.pipe()
    }

    /// What the pipe is watched as.
    pub(super) fn announcements_token(&self) -> Token {
        self.announced.token()
    }

    /// A worker is ready.
    pub(super) fn worker_started(&mut self, pid: Pid) {
        self.announced.worker_started(pid);
    }

    /// The workers that forkservers have forked and that are not ready yet.
    pub(super) fn starting(&self) -> impl Iterator<Item = Pid> {
        self.announced.starting()
    }

    /// Another workflow has taken the place of the one that tasks were of: owners, tasks and jobs have other meanings now.
    pub(super) fn workflow_replaced(&mut self) {
        self.announced.forget_tasks();
    }

    /// Whether Python marks a process as daemonic; none if it has announced nothing of it.
    pub(super) fn is_announced_as_daemonic(&self, process: &Process) -> Option<bool> {
        self.announced.get(process)?.daemonic
    }

    /// Reads what was announced up to now. If it is very much, the rest is left to the next turn. Returns the owners whose tasks have
    /// started something.
    #[must_use]
    pub(super) fn read_announcements(&mut self, event_loop: &mut EventLoop, owners: &impl Owners) -> Vec<Owner> {
        let (announcements, more) = self.announced.read();
        let started = announcements.iter().filter_map(|it| self.on_announcement(it, owners)).collect();
        if more {
            event_loop.defer(self.announced.token());
        }
        if self.announced.has_many() {
            self.announced.retain_alive(&Snapshot::take());
        }
        started
    }

    fn on_announcement(&mut self, announcement: &Announcement, owners: &impl Owners) -> Option<Owner> {
        let owner = self.owner_with_pid(announcement.worker, owners);
        match announcement.what {
            Started::Unknown => {}
            Started::Worker(pid) => {
                if !self.children.contains_key(&pid)
                    && let Some(process) = Process::find(pid)
                {
                    self.announced.add_starting_worker(&process);
                }
            }
            Started::Process { pid, daemonic } => {
                let (parent, me) = (announcement.parent, Pid::this());
                let is_ours = |process: &Process| {
                    process.parent == parent || process.parent == me || tree::is_below(process.pid, me)
                };
                if let Some(process) = Process::find(pid).filter(is_ours) {
                    let job = owner.and_then(|owner| owners.job(owner, announcement.job));
                    let task = match job {
                        Some(job) => owners.task_of_job(job),
                        None => owner.and_then(|owner| owners.task(owner)),
                    };
                    self.announced.add(&process, daemonic, owner, (job, task));
                }
            }
        }
        owner
    }

    /// The worker that has this process.
    pub(super) fn owner_with_pid(&self, pid: Pid, owners: &impl Owners) -> Option<Owner> {
        match self.children.get(&pid) {
            Some(Child::Worker(pool, worker)) => Some((*pool, *worker)),
            Some(_) => None,
            None => owners.worker_with_pid(pid),
        }
    }

    /// The worker or program that an orphan comes from, if that can be told.
    pub(super) fn owner_of_orphan(&self, orphan: &Process, owners: &impl Owners) -> Option<Owner> {
        match self.announced.get(orphan) {
            Some(known) => known.owner,
            None => self.owner_by_origin(orphan, origin::in_environment_of(orphan.pid), owners),
        }
    }

    fn owner_by_origin(&self, orphan: &Process, origin: Option<Origin>, owners: &impl Owners) -> Option<Owner> {
        match origin {
            Some(Origin::Owner(owner)) if owners.has_pool(owner.0) => return Some(owner),
            Some(Origin::Worker(pid)) => return self.owner_with_pid(pid, owners),
            Some(_) | None => {}
        }
        // The children of a worker are in its process group unless they have left it.
        [orphan.group, orphan.session].into_iter().find_map(|leader| match self.children.get(&leader)? {
            Child::Worker(pool, worker) | Child::Program(pool, worker) => Some((*pool, *worker)),
            _ => None,
        })
    }

    /// Whether a scan for orphans is worth its cost after a task that took so long.
    pub(super) fn is_worth_a_scan(&self, has_started_something: bool, took: Duration) -> bool {
        self.orphans.is_worth_a_scan(has_started_something, took)
    }

    /// Whether a scan now is not too often.
    pub(super) fn may_scan(&self, now: Instant) -> bool {
        self.orphans.may_scan(now)
    }

    /// Asks for a scan soon.
    pub(super) fn want_scan(&mut self) {
        self.orphans.want_scan(Instant::now());
    }

    /// Whether the scan that was asked for is due.
    pub(super) fn is_scan_due(&self, now: Instant) -> bool {
        self.orphans.is_scan_due(now)
    }

    /// Finds orphans and begins to end them. `leaver` is the owner whose task has just ended, and whose actor may leave them. Returns
    /// the owners that have started something which their running tasks may still want: the end of those is worth a scan.
    #[must_use]
    pub(super) fn scan(
        &mut self,
        leaver: Option<(Owner, ActorId)>,
        event_loop: &mut EventLoop,
        workflow: &Workflow,
        owners: &impl Owners,
    ) -> Vec<Owner> {
        let begin = Instant::now();
        let snapshot = Snapshot::take();
        self.announced.retain_alive(&snapshot);
        self.watch_leftovers(event_loop);
        // Starting workers were announced before they were adopted: those in the snapshot are known afterwards.
        let mut started = self.read_announcements(event_loop, owners);
        self.signalled.retain_alive(&snapshot);
        self.orphans.retain_alive(&snapshot);
        let new = snapshot.children(Pid::this()).iter().filter(|process| !process.zombie && self.is_new(process));
        let candidates = new.map(|process| self.candidate(process, leaver, workflow, owners)).collect();
        let decision = self.orphans.decide(candidates, begin);
        started.extend(decision.wanted_by);
        let name = |actor: Option<ActorId>| actor.map(|actor| workflow.actor(actor).display_name());
        for (actor, processes) in decision.leave {
            info!(actor = name(actor), "left running, as leave_children says: {}", some_names(&processes));
        }
        for (actor, processes) in decision.end {
            warn!(actor = name(actor), "left processes running, which get SIGTERM now: {}", some_names(&processes));
            self.signal_branches(&processes, Signal::SIGTERM);
        }
        self.orphans.scanned(begin, Instant::now());
        started
    }

    /// Whether a child was not started by the supervisor, and not seen before.
    fn is_new(&self, process: &Process) -> bool {
        !self.children.contains_key(&process.pid)
            && !self.announced.is_starting(process)
            && !self.orphans.is_known(process.pid)
    }

    fn candidate(
        &self,
        process: &Process,
        leaver: Option<(Owner, ActorId)>,
        workflow: &Workflow,
        owners: &impl Owners,
    ) -> Candidate {
        let known = self.announced.get(process);
        let origin = if known.is_some() { None } else { origin::in_environment_of(process.pid) };
        let owner = match known {
            Some(known) => known.owner,
            None => self.owner_by_origin(process, origin, owners),
        };
        let wanted = match owner.map(|owner| (owner, owners.occupation(owner))) {
            // If something says whose it is, that owner is gone.
            None => known.is_none() && origin.is_none() && owners.any_task(),
            Some((_, Occupation::None)) => false,
            Some((_, Occupation::SeveralTasks | Occupation::Program)) => true,
            Some((owner, Occupation::Task { since })) => match known.and_then(|known| known.job) {
                Some(job) => owners.has_job(owner, job),
                // A clock tick is the finest that /proc knows.
                None => process.started_before() > since,
            },
        };
        let actor = known.and_then(|known| known.task).map(|(_, actor)| actor).or_else(|| match leaver {
            Some((leaving, actor)) if owner == Some(leaving) => Some(actor),
            _ => owner.and_then(|owner| owners.last_actor(owner)),
        });
        Candidate {
            process: process.clone(),
            owner,
            wanted,
            actor,
            may_stay: actor.is_some_and(|actor| workflow.actor(actor).leave_children),
            terminated_at: self.signalled.time(process),
            grace: owner.map_or_else(|| longest_grace(workflow), |(pool, _)| workflow.pool(pool).grace),
        }
    }

    /// Watches the end of what was announced and still runs. Some of it is enough: it is meant for daemons, and those are few.
    fn watch_leftovers(&mut self, event_loop: &mut EventLoop) {
        let unwatched = self.announced.pids().filter(|pid| !self.orphans.watches(*pid));
        for pid in unwatched.take(self.orphans.room_to_watch()).collect::<Vec<_>>() {
            let Ok(pidfd) = PidFd::open(pid) else { continue };
            if event_loop.watch(&mut SourceFd(&pidfd.descriptor()), Source::Leftover(pid)).is_ok() {
                self.orphans.add_watched(pid, pidfd);
            }
        }
    }

    /// A process has ended that a finished task had left running.
    pub(super) fn on_leftover_ended(&mut self, token: Token, pid: Pid, event_loop: &mut EventLoop) {
        if let Some(pidfd) = self.orphans.take_watched(pid) {
            event_loop.unwatch(&mut SourceFd(&pidfd.descriptor()), token);
        }
        self.want_scan();
    }

    /// An orphan was reaped. Its children are adopted now.
    pub(super) fn on_orphan_reaped(&mut self, pid: Pid) {
        self.announced.worker_started(pid);
        self.orphans.forget(pid);
        self.want_scan();
    }

    /// A run has ended: that decides on orphans whose owner is not known.
    pub(super) fn run_ended(&mut self) {
        self.orphans.run_ended(Instant::now());
    }

    /// Whether there is nothing that a task has left, without a scan: nothing was announced, and no scan is due.
    pub(super) fn has_no_leftovers(&self) -> bool {
        self.announced.is_empty() && self.orphans.is_empty()
    }

    /// When [`Processes::kill_overdue_orphans`] or a scan is due.
    pub(super) fn next_time(&self) -> Option<Instant> {
        self.orphans.next_time()
    }

    /// Kills the orphans that did not end at SIGTERM.
    pub(super) fn kill_overdue_orphans(&mut self, now: Instant) {
        let mut overdue = self.orphans.take_overdue(now);
        overdue.retain(Process::is_alive);
        if !overdue.is_empty() {
            warn!("processes that tasks have left did not end at SIGTERM and are killed: {}", some_names(&overdue));
            self.signal_branches(&overdue, Signal::SIGKILL);
        }
    }

    /// Notes what is below the workers and may go on after them: processes that are not daemonic are waited for. Returns the names of
    /// those that were announced, if there are any.
    #[must_use]
    pub(super) fn await_leftovers(&mut self, snapshot: &Snapshot, grace: Duration) -> Option<String> {
        let below = self.children.keys().flat_map(|child| snapshot.below(*child)).filter(|process| !process.zombie);
        let awaited: Vec<Process> = below
            .filter(|process| !self.children.contains_key(&process.pid) && !self.announced.is_starting(process))
            .filter(|process| self.is_announced_as_daemonic(process) != Some(true))
            .cloned()
            .collect();
        let named: Vec<Process> =
            awaited.iter().filter(|process| self.announced.get(process).is_some()).cloned().collect();
        self.orphans.wait_for(awaited, grace);
        (!named.is_empty()).then(|| some_names(&named))
    }

    /// From now on no orphan is left running, nor, if so, waited for: they get SIGTERM, and SIGKILL after the grace time.
    pub(super) fn end_orphans(&mut self, awaited_too: bool) {
        let ended = self.orphans.end_all(awaited_too, Instant::now(), |process| self.signalled.time(process));
        self.signal_branches(&ended, Signal::SIGTERM);
    }

    /// How many processes tasks have left behind up to now.
    pub(super) fn orphan_count(&self) -> OrphanCount {
        self.orphans.count()
    }

    /// Signals the orphans of a worker or program.
    pub(super) fn signal_orphans_of(&mut self, owner: Owner, signal: Signal, owners: &impl Owners) {
        let snapshot = Snapshot::take();
        let orphans = self.orphans_in(&snapshot).filter(|process| !process.zombie);
        let its: Vec<Process> = orphans.filter(|it| self.owner_of_orphan(it, owners) == Some(owner)).cloned().collect();
        self.signal_branches(&its, signal);
    }

    /// The children in a snapshot that the supervisor has not started.
    pub(super) fn orphans_in<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Process> {
        snapshot.children(Pid::this()).iter().filter(|process| !self.children.contains_key(&process.pid))
    }

    /// Signals processes and everything below them. No process gets SIGTERM twice.
    pub(super) fn signal_branches(&mut self, tops: &[Process], signal: Signal) {
        if !tops.is_empty() {
            let signalled = tree::signal_branches(tops, signal, |process| self.signalled.has(process, signal));
            self.signalled.note(signal, &signalled, Instant::now());
        }
    }

    /// Signals a process and everything below it, deepest first. No process gets SIGTERM twice.
    pub(super) fn signal_tree(&mut self, top: &(Pid, PidFd), signal: Signal) {
        let signalled = tree::signal_tree(top, signal, |process| self.signalled.has(process, signal));
        self.signalled.note(signal, &signalled, Instant::now());
    }

    /// Signals everything below a process, except what is to be left out. No process gets SIGTERM twice. Returns what got it.
    pub(super) fn signal_below(
        &mut self,
        root: Pid,
        signal: Signal,
        except: impl Fn(&Process) -> bool,
    ) -> Vec<Process> {
        let but = |process: &Process| except(process) || self.signalled.has(process, signal);
        let signalled = tree::signal_below(&[root], signal, but);
        self.signalled.note(signal, &signalled, Instant::now());
        signalled
    }
}
