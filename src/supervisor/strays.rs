//! Strays: processes that a task has left behind and whose parent is gone, so that they are children of the supervisor
//! now, which is the subreaper. They are ended, unless their actor says `leave_children = true`; either way they are
//! logged and counted.
//!
//! Nothing tells a subreaper of a new child: one has to look into /proc. That is done when a task has ended that
//! announced a process, or took so long that a look costs nothing beside it; and when a process has ended whose
//! children are adopted then. Looks that would take more than a small share of the time wait a little.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use mio::Token;
use mio::unix::SourceFd;
use tracing::{info, warn};

use super::Supervisor;
use super::announced::Host;
use super::event_loop::Source;
use crate::graph::ActorId;
use crate::process::sys::{Pid, PidFd, Signal};
use crate::process::tree::{self, Process, Snapshot, some_names};

/// A task that takes longer than so many looks is worth one.
const WORTH_A_LOOK: u32 = 50;
/// After a look, the next one comes after so many times its duration.
const REST: u32 = 20;
/// What a look is taken to cost before there was one: on a host with a few hundred processes it is about that.
const FIRST_COST: Duration = Duration::from_millis(2);
/// A look takes place so much after it was asked for: at the end of a run, nothing is left to look at by then.
const SOON: Duration = Duration::from_millis(5);
/// So many processes that finished tasks have left running are watched.
const MOST_WATCHED: usize = 256;

/// The strays that are known.
#[derive(Debug)]
pub(super) struct Strays {
    found: HashMap<Pid, Stray>,
    /// What finished tasks have left running below their worker: when it ends, its children become strays.
    leftovers: HashMap<Pid, PidFd>,
    /// What got SIGTERM, when: it does not get it again, whatever becomes of its parent.
    told: HashMap<Pid, (u64, Instant)>,
    /// When to look next, if anybody asked.
    look_at: Option<Instant>,
    looked: Option<Instant>,
    /// How long a look took.
    cost: Duration,
    /// There are some of which it is not known whose they are.
    unsure: bool,
    /// Nothing is waited for or left any more.
    over: bool,
    count: StrayCount,
}

impl Default for Strays {
    fn default() -> Self {
        Strays {
            found: HashMap::new(),
            leftovers: HashMap::new(),
            told: HashMap::new(),
            look_at: None,
            looked: None,
            cost: FIRST_COST,
            unsure: false,
            over: false,
            count: StrayCount::default(),
        }
    }
}

/// How many processes tasks have left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StrayCount {
    /// They were ended.
    pub ended: usize,
    /// They were left alone, because their actor says `leave_children`.
    pub left: usize,
}

#[derive(Debug)]
struct Stray {
    process: Process,
    state: State,
    grace: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Left alone until the supervisor ends.
    Left,
    /// Waited for: its parent ended because the supervisor ends.
    Awaited,
    /// It got SIGTERM, and gets SIGKILL then.
    Told(Instant),
    Killed,
}

impl Supervisor {
    /// A worker or program is done with a task, or gone.
    pub(super) fn task_is_over(&mut self, host: Host, actor: Option<ActorId>, started_something: bool, took: Duration) {
        if !started_something && took < Duration::from_millis(1).max(self.strays.cost * WORTH_A_LOOK) {
            return;
        }
        if let Some(process) = self.pools[host.0.index()].workers.get_mut(&host.1) {
            process.last_actor = actor;
        }
        match actor {
            Some(actor) if self.workflow.actor(actor).leave_children => self.look_for_strays(Some((host, actor))),
            // Now it is certain that what there is comes from this task, or from an earlier one.
            _ if self.next_look() <= Instant::now() && self.is_working(host) => self.look_for_strays(None),
            _ => self.want_look(),
        }
    }

    /// Whether a worker is there, and not about to go.
    fn is_working(&self, (pool, worker): Host) -> bool {
        self.pools[pool.index()].workers.get(&worker).is_some_and(|process| process.connection.is_some())
    }

    /// From when on a look is not too often.
    fn next_look(&self) -> Instant {
        self.strays.looked.map_or_else(Instant::now, |looked| looked + self.strays.cost * REST)
    }

    /// Watches what was announced and still runs. Some of it is enough: it is about daemons, not about crowds.
    fn watch_leftovers(&mut self) {
        let room = MOST_WATCHED.saturating_sub(self.strays.leftovers.len());
        let known = self.announced.pids().filter(|pid| !self.strays.leftovers.contains_key(pid));
        for pid in known.take(room).collect::<Vec<_>>() {
            let Ok(pidfd) = PidFd::open(pid) else { continue };
            let added = self.event_loop.watch(&mut SourceFd(&pidfd.descriptor()), Source::Leftover(pid));
            if added.is_ok() {
                self.strays.leftovers.insert(pid, pidfd);
            }
        }
    }

    pub(super) fn on_leftover_ended(&mut self, token: Token, pid: Pid) {
        if let Some(pidfd) = self.strays.leftovers.remove(&pid) {
            self.event_loop.unwatch(&mut SourceFd(&pidfd.descriptor()), token);
        }
        self.want_look();
    }

    /// A run is over: that decides on strays of which nobody knows whose they are.
    pub(super) fn run_is_over(&mut self) {
        if self.strays.unsure {
            self.want_look();
        }
    }

    /// Looks for strays soon, and not too often.
    pub(super) fn want_look(&mut self) {
        let at = self.next_look().max(Instant::now() + SOON);
        self.strays.look_at.get_or_insert(at);
    }

    /// Whether there may be processes that tasks have started, without a look: none was announced, and no look is due.
    pub(super) fn has_no_leftovers(&self) -> bool {
        self.announced.is_empty() && self.strays.found.is_empty() && self.strays.look_at.is_none()
    }

    /// Finds strays and begins to end them. `leaver`: the one whose task has just ended, and whose actor may leave them.
    pub(super) fn look_for_strays(&mut self, leaver: Option<(Host, ActorId)>) {
        let begin = Instant::now();
        let snapshot = Snapshot::take();
        self.announced.forget_the_dead(&snapshot);
        self.watch_leftovers();
        // Workers in the making were announced before they were adopted: those in the snapshot are known now.
        self.hear_announcements();
        let mine = snapshot.children(Pid::this());
        self.forget_dead_strays(&snapshot);
        let new: Vec<&Process> = mine.iter().filter(|process| !process.zombie && self.is_stray(process)).collect();
        let mut wanted = Vec::new();
        let mut ended: BTreeMap<Option<ActorId>, Vec<Process>> = BTreeMap::new();
        let mut left: BTreeMap<Option<ActorId>, Vec<Process>> = BTreeMap::new();
        for process in new {
            let host = self.host_of_stray(process);
            if self.may_still_be_wanted(process, host) {
                wanted.push(host);
                continue;
            }
            let actor = self.announced.get(process).and_then(|known| known.task).map(|(_, actor)| actor);
            let actor = actor.or_else(|| match leaver {
                Some((leaving, actor)) if host == Some(leaving) => Some(actor),
                _ => host.and_then(|host| self.last_actor(host)),
            });
            let grace = host.map_or_else(|| self.grace(), |(pool, _)| self.workflow.pool(pool).grace);
            if self.was_told(process, Signal::SIGTERM) {
                // As a part of what was ended; now its parent has.
                let told = self.strays.told.get(&process.pid).map_or(begin, |(_, at)| *at);
                let stray = Stray { process: process.clone(), state: State::Told(told + grace), grace };
                self.strays.found.insert(process.pid, stray);
                continue;
            }
            let leave = !self.strays.over && actor.is_some_and(|actor| self.workflow.actor(actor).leave_children);
            let group = if leave { &mut left } else { &mut ended };
            group.entry(actor).or_default().push(process.clone());
            let state = if leave { State::Left } else { State::Told(begin + grace) };
            self.strays.found.insert(process.pid, Stray { process: process.clone(), state, grace });
        }
        // The end of what may still want them is worth a look.
        self.strays.unsure = false;
        for host in wanted {
            match host {
                Some((pool, worker)) => {
                    if let Some(process) = self.pools[pool.index()].workers.get_mut(&worker) {
                        process.has_started_something = true;
                    }
                }
                None => self.strays.unsure = true,
            }
        }
        for (actor, processes) in left {
            self.strays.count.left += processes.len();
            let actor = actor.map(|actor| self.actor_name(actor));
            info!(actor, "left running, as leave_children says: {}", some_names(&processes));
        }
        for (actor, processes) in ended {
            self.strays.count.ended += processes.len();
            let actor = actor.map(|actor| self.actor_name(actor));
            warn!(actor, "left processes running, which get SIGTERM now: {}", some_names(&processes));
            self.signal_branches(&processes, Signal::SIGTERM);
        }
        let now = Instant::now();
        self.strays.looked = Some(now);
        self.strays.cost = now - begin;
        self.strays.look_at = None;
    }

    fn forget_dead_strays(&mut self, snapshot: &Snapshot) {
        if self.strays.told.is_empty() && self.strays.found.is_empty() {
            return;
        }
        let alive = snapshot.start_times();
        self.strays.told.retain(|pid, (started, _)| alive.get(pid) == Some(started));
        self.strays.found.retain(|pid, stray| alive.get(pid) == Some(&stray.process.started));
    }

    /// Whether a child of this process is none that it has started, and was not seen before.
    fn is_stray(&self, process: &Process) -> bool {
        !self.children.contains_key(&process.pid)
            && !self.announced.is_starting(process)
            && !self.strays.found.contains_key(&process.pid)
    }

    /// Whose task a worker has finished last.
    fn last_actor(&self, (pool, worker): Host) -> Option<ActorId> {
        self.pools[pool.index()].workers.get(&worker)?.last_actor
    }

    /// Signals what has left a worker or program, but not its task.
    pub(super) fn signal_strays_of(&mut self, host: Host, signal: Signal) {
        let snapshot = Snapshot::take();
        let children = snapshot.children(Pid::this()).iter();
        let strays = children.filter(|it| !it.zombie && !self.children.contains_key(&it.pid));
        let its: Vec<Process> = strays.filter(|it| self.host_of_stray(it) == Some(host)).cloned().collect();
        self.signal_branches(&its, signal);
    }

    /// Signals processes and everything below them; nothing gets SIGTERM twice.
    pub(super) fn signal_branches(&mut self, tops: &[Process], signal: Signal) {
        if !tops.is_empty() {
            let told = tree::signal_branches(tops, signal, |process| self.was_told(process, signal));
            self.note_told(signal, &told);
        }
    }

    /// Whether a process has got this signal, where once is enough.
    pub(super) fn was_told(&self, process: &Process, signal: Signal) -> bool {
        let told = self.strays.told.get(&process.pid);
        signal == Signal::SIGTERM && told.is_some_and(|(started, _)| *started == process.started)
    }

    pub(super) fn note_told(&mut self, signal: Signal, told: &[Process]) {
        if signal == Signal::SIGTERM {
            let now = Instant::now();
            self.strays.told.extend(told.iter().map(|process| (process.pid, (process.started, now))));
        }
    }

    /// A child that nobody knew has been reaped; its children are adopted now.
    pub(super) fn on_stranger_reaped(&mut self, pid: Pid) {
        self.announced.started(pid);
        self.strays.found.remove(&pid);
        self.want_look();
    }

    pub(super) fn next_stray_time(&self) -> Option<Instant> {
        let kills = self.strays.found.values().filter_map(|stray| match stray.state {
            State::Told(at) => Some(at),
            _ => None,
        });
        kills.chain(self.strays.look_at).min()
    }

    pub(super) fn strays_on_time(&mut self, now: Instant) {
        if self.strays.look_at.is_some_and(|at| at <= now) {
            self.look_for_strays(None);
        }
        let mut late = Vec::new();
        for stray in self.strays.found.values_mut() {
            if matches!(stray.state, State::Told(at) if at <= now) {
                stray.state = State::Killed;
                late.push(stray.process.clone());
            }
        }
        late.retain(Process::is_alive);
        if !late.is_empty() {
            warn!("processes that tasks have left did not end at SIGTERM and are killed: {}", some_names(&late));
            self.signal_branches(&late, Signal::SIGKILL);
        }
    }

    /// Notes what is below the workers now and may go on after them: non-daemonic processes are waited for. Returns how
    /// that is to be said, if there is any.
    pub(super) fn await_leftovers(&mut self, patience: Duration) -> Option<String> {
        self.look_for_strays(None);
        if patience.is_zero() {
            return None;
        }
        let snapshot = Snapshot::take();
        self.hear_announcements();
        let hosts: Vec<Pid> = self.children.keys().copied().collect();
        let below = hosts.iter().flat_map(|host| snapshot.below(*host)).filter(|process| !process.zombie);
        let awaited: Vec<Process> = below
            .filter(|process| !self.children.contains_key(&process.pid) && !self.announced.is_starting(process))
            .filter(|process| self.announced.get(process).is_none_or(|known| known.daemonic != Some(true)))
            .cloned()
            .collect();
        let named: Vec<Process> =
            awaited.iter().filter(|process| self.announced.get(process).is_some()).cloned().collect();
        for process in awaited {
            let grace = self.grace();
            self.strays.found.insert(process.pid, Stray { process, state: State::Awaited, grace });
        }
        (!named.is_empty()).then(|| some_names(&named))
    }

    /// From now on no stray is left or waited for: those that are get SIGTERM, and SIGKILL after the grace time.
    pub(super) fn end_strays(&mut self, awaited_too: bool) {
        self.strays.over = true;
        let now = Instant::now();
        let mut ended = Vec::new();
        for stray in self.strays.found.values_mut() {
            if stray.state == State::Left || (awaited_too && stray.state == State::Awaited) {
                let told = self.strays.told.get(&stray.process.pid).map_or(now, |(_, at)| *at);
                stray.state = State::Told(told + stray.grace);
                ended.push(stray.process.clone());
            }
        }
        self.signal_branches(&ended, Signal::SIGTERM);
    }

    /// How many processes tasks have left behind up to now.
    pub fn stray_count(&self) -> StrayCount {
        self.strays.count
    }
}
