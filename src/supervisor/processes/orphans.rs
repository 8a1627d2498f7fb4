//! Orphans: processes that a task has left behind and whose parent has ended, so that they are children of the supervisor now,
//! which is the subreaper. They are ended, unless their actor sets `leave_children = true`. Either way they are logged and
//! counted.
//!
//! A subreaper gets no event for a new child: orphans are found by a scan of /proc. A scan takes place when a task has ended that
//! announced a process, or that took so long that a scan costs nothing beside it; and when a process has ended whose children
//! are adopted then. Scans that would take more than a small share of the time are delayed.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::owners::Owner;
use crate::graph::{ActorId, Workflow};
use crate::process::sys::{Pid, PidFd};
use crate::process::tree::{Process, Snapshot};

/// A task that takes as long as this many scans is worth one.
const WORTH_A_SCAN: u32 = 50;
/// And so is any task that takes this long.
const SHORT_TASK: Duration = Duration::from_millis(1);
/// After a scan, the next one comes after this many times its duration.
const REST: u32 = 20;
/// The assumed cost of the first scan: measured on a host with a few hundred processes.
const FIRST_COST: Duration = Duration::from_millis(2);
/// A scan takes place this long after it was asked for: at the end of a run, nothing is left to find by then.
const SOON: Duration = Duration::from_millis(5);
/// No more processes that finished tasks have left running are watched.
const MOST_WATCHED: usize = 256;
/// The grace time of a workflow without pools.
const USUAL_GRACE: Duration = Duration::from_secs(5);

/// The longest grace time of the pools: how long a process has between one signal and the next.
pub(in crate::supervisor) fn longest_grace(workflow: &Workflow) -> Duration {
    workflow.pools.iter().map(|pool| pool.grace).max().unwrap_or(USUAL_GRACE)
}

/// The orphans that are known, and when to look for more.
#[derive(Debug)]
pub(super) struct Orphans {
    found: HashMap<Pid, Orphan>,
    /// What finished tasks have left running below their worker: when it ends, its children become orphans.
    leftovers: HashMap<Pid, PidFd>,
    /// When the next scan is, if one was asked for.
    scan_at: Option<Instant>,
    last_scan: Option<Instant>,
    /// How long the last scan took.
    cost: Duration,
    /// There are orphans whose owner is not known, and some task runs that may want them.
    unsure: bool,
    /// Nothing is waited for or left running any more.
    over: bool,
    count: OrphanCount,
}

impl Default for Orphans {
    fn default() -> Self {
        Orphans {
            found: HashMap::new(),
            leftovers: HashMap::new(),
            scan_at: None,
            last_scan: None,
            cost: FIRST_COST,
            unsure: false,
            over: false,
            count: OrphanCount::default(),
        }
    }
}

/// How many processes tasks have left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrphanCount {
    /// They were ended.
    pub ended: usize,
    /// They were left running, because their actor sets `leave_children`.
    pub left: usize,
}

#[derive(Debug)]
struct Orphan {
    process: Process,
    state: State,
    grace: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Left running until the supervisor ends.
    Left,
    /// Waited for: its parent ended because the supervisor ends.
    Awaited,
    /// It got SIGTERM, and gets SIGKILL then.
    Terminated {
        kill_at: Instant,
    },
    Killed,
}

/// A child of the supervisor that it has not started and that is not known as an orphan, and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) process: Process,
    pub(super) owner: Option<Owner>,
    /// The task that it came from is, or may be, still running.
    pub(super) wanted: bool,
    /// Whose task has started it.
    pub(super) actor: Option<ActorId>,
    /// Whether that actor sets `leave_children`.
    pub(super) may_stay: bool,
    /// When it got SIGTERM, as a child of a process that was ended.
    pub(super) terminated_at: Option<Instant>,
    pub(super) grace: Duration,
}

/// What is to be done about orphans.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub(super) struct Decision {
    /// They get SIGTERM.
    pub(super) end: BTreeMap<Option<ActorId>, Vec<Process>>,
    /// They are left running.
    pub(super) leave: BTreeMap<Option<ActorId>, Vec<Process>>,
    /// Owners whose running tasks may still want their orphans: the end of those tasks is worth a scan.
    pub(super) wanted_by: Vec<Owner>,
}

impl Orphans {
    /// Whether a scan is worth its cost after a task that took so long.
    pub(super) fn is_worth_a_scan(&self, has_started_something: bool, took: Duration) -> bool {
        has_started_something || took >= SHORT_TASK.max(self.cost * WORTH_A_SCAN)
    }

    /// From when on a scan is not too often.
    fn next_scan(&self, now: Instant) -> Instant {
        self.last_scan.map_or(now, |last| last + self.cost * REST)
    }

    /// Whether a scan now is not too often.
    pub(super) fn may_scan(&self, now: Instant) -> bool {
        self.next_scan(now) <= now
    }

    /// Asks for a scan soon, and not too often.
    pub(super) fn want_scan(&mut self, now: Instant) {
        let at = self.next_scan(now).max(now + SOON);
        self.scan_at.get_or_insert(at);
    }

    /// A run has ended: it does not want the orphans any more whose owner is not known.
    pub(super) fn run_ended(&mut self, now: Instant) {
        if self.unsure {
            self.want_scan(now);
        }
    }

    /// Whether the scan that was asked for is due.
    pub(super) fn is_scan_due(&self, now: Instant) -> bool {
        self.scan_at.is_some_and(|at| at <= now)
    }

    /// A scan has ended.
    pub(super) fn scanned(&mut self, begin: Instant, now: Instant) {
        self.last_scan = Some(now);
        self.cost = now - begin;
        self.scan_at = None;
    }

    /// Whether no orphan is known and no scan was asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.scan_at.is_none()
    }

    /// How many processes tasks have left behind.
    pub(super) fn count(&self) -> OrphanCount {
        self.count
    }

    pub(super) fn is_known(&self, pid: Pid) -> bool {
        self.found.contains_key(&pid)
    }

    pub(super) fn forget(&mut self, pid: Pid) {
        self.found.remove(&pid);
    }

    /// Forgets the orphans that have ended.
    pub(super) fn retain_alive(&mut self, snapshot: &Snapshot) {
        if !self.found.is_empty() {
            let alive = snapshot.start_times();
            self.found.retain(|pid, orphan| alive.get(pid) == Some(&orphan.process.started));
        }
    }

    /// How many more processes that finished tasks have left running may be watched: they are daemons, and few.
    pub(super) fn room_to_watch(&self) -> usize {
        MOST_WATCHED.saturating_sub(self.leftovers.len())
    }

    pub(super) fn watches(&self, pid: Pid) -> bool {
        self.leftovers.contains_key(&pid)
    }

    /// The end of a process that a finished task has left running is watched.
    pub(super) fn add_watched(&mut self, pid: Pid, pidfd: PidFd) {
        self.leftovers.insert(pid, pidfd);
    }

    /// The handle of a process that was watched.
    pub(super) fn take_watched(&mut self, pid: Pid) -> Option<PidFd> {
        self.leftovers.remove(&pid)
    }

    /// Decides what becomes of new orphans.
    pub(super) fn decide(&mut self, candidates: Vec<Candidate>, now: Instant) -> Decision {
        let mut decision = Decision::default();
        self.unsure = false;
        for candidate in candidates {
            let Candidate { process, owner, actor, grace, .. } = candidate;
            let state = if candidate.wanted {
                match owner {
                    Some(owner) => decision.wanted_by.push(owner),
                    None => self.unsure = true,
                }
                continue;
            } else if let Some(at) = candidate.terminated_at {
                State::Terminated { kill_at: at + grace }
            } else if candidate.may_stay && !self.over {
                self.count.left += 1;
                decision.leave.entry(actor).or_default().push(process.clone());
                State::Left
            } else {
                self.count.ended += 1;
                decision.end.entry(actor).or_default().push(process.clone());
                State::Terminated { kill_at: now + grace }
            };
            self.found.insert(process.pid, Orphan { process, state, grace });
        }
        decision
    }

    /// When an orphan gets SIGKILL, or the next scan is.
    pub(super) fn next_time(&self) -> Option<Instant> {
        let kills = self.found.values().filter_map(|orphan| match orphan.state {
            State::Terminated { kill_at } => Some(kill_at),
            _ => None,
        });
        kills.chain(self.scan_at).min()
    }

    /// The orphans that did not end at SIGTERM in time: they are to be killed.
    #[must_use]
    pub(super) fn take_overdue(&mut self, now: Instant) -> Vec<Process> {
        let mut overdue = Vec::new();
        for orphan in self.found.values_mut() {
            if matches!(orphan.state, State::Terminated { kill_at } if kill_at <= now) {
                orphan.state = State::Killed;
                overdue.push(orphan.process.clone());
            }
        }
        overdue
    }

    /// These processes are not daemonic: they are waited for when their parent ends.
    pub(super) fn wait_for(&mut self, processes: Vec<Process>, grace: Duration) {
        let orphans =
            processes.into_iter().map(|process| (process.pid, Orphan { process, state: State::Awaited, grace }));
        self.found.extend(orphans);
    }

    /// From now on no orphan is left running, nor, if so, waited for: they are to get SIGTERM, and SIGKILL after the grace time.
    /// `terminated_at` says when a process got SIGTERM already.
    #[must_use]
    pub(super) fn end_all(
        &mut self,
        awaited_too: bool,
        now: Instant,
        terminated_at: impl Fn(&Process) -> Option<Instant>,
    ) -> Vec<Process> {
        self.over = true;
        let mut ended = Vec::new();
        for orphan in self.found.values_mut() {
            if orphan.state == State::Left || (awaited_too && orphan.state == State::Awaited) {
                let at = terminated_at(&orphan.process).unwrap_or(now);
                orphan.state = State::Terminated { kill_at: at + orphan.grace };
                ended.push(orphan.process.clone());
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::PoolId;
    use crate::pool::WorkerId;
    use crate::supervisor::processes::tests::process;

    const GRACE: Duration = Duration::from_secs(5);
    const OWNER: Owner = (PoolId(0), WorkerId(1));

    fn candidate(pid: i32) -> Candidate {
        Candidate {
            process: process(pid, 1, 1000),
            owner: Some(OWNER),
            wanted: false,
            actor: Some(ActorId::from(2)),
            may_stay: false,
            terminated_at: None,
            grace: GRACE,
        }
    }

    fn end_of(actor: usize, pid: i32) -> Decision {
        let end = BTreeMap::from([(Some(ActorId::from(actor)), vec![process(pid, 1, 1000)])]);
        Decision { end, ..Decision::default() }
    }

    #[test]
    fn an_orphan_gets_sigterm_and_after_the_grace_time_sigkill() {
        let (mut orphans, now) = (Orphans::default(), Instant::now());
        assert_eq!(orphans.decide(vec![candidate(70)], now), end_of(2, 70));
        assert_eq!(orphans.next_time(), Some(now + GRACE));
        assert!(orphans.take_overdue(now + GRACE / 2).is_empty());
        assert_eq!(orphans.take_overdue(now + GRACE), [process(70, 1, 1000)]);
        assert!(orphans.take_overdue(now + GRACE * 2).is_empty(), "it is killed once");
        assert_eq!((orphans.next_time(), orphans.count()), (None, OrphanCount { ended: 1, left: 0 }));
    }

    #[test]
    fn an_orphan_that_got_sigterm_with_its_parent_does_not_get_it_again() {
        let (mut orphans, now) = (Orphans::default(), Instant::now());
        let decision = orphans.decide(vec![Candidate { terminated_at: Some(now), ..candidate(70) }], now + GRACE / 2);
        assert_eq!((decision, orphans.count()), (Decision::default(), OrphanCount::default()));
        assert_eq!(orphans.next_time(), Some(now + GRACE));
    }

    #[test]
    fn an_orphan_that_may_stay_is_left_until_the_supervisor_ends() {
        let (mut orphans, now) = (Orphans::default(), Instant::now());
        let stays = |pid| Candidate { may_stay: true, ..candidate(pid) };
        let decision = orphans.decide(vec![stays(70)], now);
        assert!(decision.end.is_empty() && decision.leave.len() == 1);
        assert_eq!((orphans.next_time(), orphans.count().left), (None, 1));
        assert_eq!(orphans.end_all(false, now, |_| None), [process(70, 1, 1000)]);
        assert_eq!(orphans.next_time(), Some(now + GRACE));
        assert_eq!(orphans.decide(vec![stays(71)], now), end_of(2, 71), "and no further one");
    }

    #[test]
    fn an_orphan_of_a_running_task_is_left_to_that_task() {
        let (mut orphans, now) = (Orphans::default(), Instant::now());
        let wanted = Candidate { wanted: true, ..candidate(70) };
        let decision = orphans.decide(vec![wanted.clone()], now);
        assert_eq!(decision, Decision { wanted_by: vec![OWNER], ..Decision::default() });
        assert!(!orphans.is_known(wanted.process.pid) && orphans.is_empty());
        orphans.run_ended(now);
        assert!(orphans.is_empty(), "its task decides, not the run");
        assert_eq!(orphans.decide(vec![Candidate { owner: None, ..wanted }], now), Decision::default());
        orphans.run_ended(now);
        assert!(orphans.is_scan_due(now + SOON), "whose it is, is not known: the end of a run may decide");
    }

    #[test]
    fn a_process_that_is_waited_for_is_ended_only_when_nothing_is_waited_for_any_more() {
        let (mut orphans, now) = (Orphans::default(), Instant::now());
        orphans.wait_for(vec![process(70, 60, 1000)], GRACE);
        assert!(orphans.end_all(false, now, |_| None).is_empty());
        let before = now.checked_sub(GRACE / 2);
        assert_eq!(orphans.end_all(true, now, |_| before), [process(70, 60, 1000)]);
        assert_eq!(orphans.next_time(), before.map(|at| at + GRACE), "from the SIGTERM that it got before");
    }

    #[test]
    fn scans_take_a_small_share_of_the_time() {
        let (mut orphans, now) = (Orphans::default(), Instant::now());
        assert!(orphans.may_scan(now) && !orphans.is_scan_due(now));
        let cost = Duration::from_millis(10);
        orphans.scanned(now, now + cost);
        assert!(!orphans.may_scan(now + cost * REST));
        orphans.want_scan(now + cost);
        assert_eq!(orphans.next_time(), Some(now + cost + cost * REST));
        assert!(!orphans.is_worth_a_scan(false, cost * WORTH_A_SCAN - Duration::from_micros(1)));
        assert!(orphans.is_worth_a_scan(false, cost * WORTH_A_SCAN) && orphans.is_worth_a_scan(true, Duration::ZERO));
    }

    #[test]
    fn an_orphan_that_has_ended_is_forgotten() {
        let (mut orphans, now) = (Orphans::default(), Instant::now());
        let _ = orphans.decide(vec![candidate(70), candidate(71)], now);
        orphans.retain_alive(&[process(71, 1, 1000)].into_iter().collect());
        assert!(!orphans.is_known(Pid::from_raw(70)) && orphans.is_known(Pid::from_raw(71)));
    }
}
