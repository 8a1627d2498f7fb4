//! Whose a process is that has become a child of the supervisor: the worker or program that it came from, and whether the
//! task there still runs.
//!
//! What was announced says so. A program says it by its environment, which whatever it starts inherits; a fork, by its
//! process group or session, as long as it has not left both.

use std::ffi::OsStr;

use super::Supervisor;
use super::announced::Host;
use super::processes::Child;
use crate::graph::PoolId;
use crate::pool::WorkerId;
use crate::process::sys::Pid;
use crate::process::tree::Process;

/// What the environment of everything that a task starts says of whose it is.
pub(super) const ORIGIN_VARIABLE: &str = "PUSHFLOW_ORIGIN";

impl Supervisor {
    /// The worker or program that a stray comes from, if that can be told.
    pub(super) fn host_of_stray(&self, stray: &Process) -> Option<Host> {
        if let Some(known) = self.announced.get(stray) {
            return known.host;
        }
        let environ = procfs::process::Process::new(stray.pid.as_raw()).and_then(|process| process.environ());
        let mark =
            environ.ok().and_then(|environ| environ.get(OsStr::new(ORIGIN_VARIABLE))?.to_str().map(str::to_owned));
        match mark.as_deref().map(read_mark) {
            Some(Some(Mark::Host(host))) => return Some(host),
            Some(Some(Mark::Worker(pid))) => return self.host_of_worker(pid),
            _ => {}
        }
        // Children of a worker are in its process group unless they have left it.
        [stray.group, stray.session].into_iter().find_map(|leader| match self.children.get(&leader)? {
            Child::Worker(pool, worker) | Child::Program(pool, worker) => Some((*pool, *worker)),
            _ => None,
        })
    }

    /// Whether the task that a stray came from is, or may be, still running: then it is the task's business.
    pub(super) fn may_still_be_wanted(&self, process: &Process, host: Option<Host>) -> bool {
        let Some((pool, worker)) = host else {
            let marked = self.announced.get(process).is_some() || self.has_mark(process);
            // What has a mark and no host comes from one that is gone.
            return !marked && self.runs.values().any(|run| !run.jobs.is_empty());
        };
        let state = &self.pools[pool.index()];
        let shared = self.workflow.pool(pool).kind.shares_process();
        match state.workers.get(&worker) {
            Some(its) if its.jobs.is_empty() => false,
            Some(_) if shared => true,
            Some(its) if let Some(job) = self.announced.get(process).and_then(|known| known.job) => {
                its.jobs.iter().any(|(its, _)| *its == job) || its.ahead.iter().any(|sent| sent.job == job)
            }
            // A clock tick is the finest that /proc knows.
            Some(its) => process.started_before() > its.busy_since,
            None => state.programs.contains_key(&worker),
        }
    }

    fn has_mark(&self, process: &Process) -> bool {
        procfs::process::Process::new(process.pid.as_raw())
            .and_then(|process| process.environ())
            .is_ok_and(|environ| environ.contains_key(OsStr::new(ORIGIN_VARIABLE)))
    }
}

enum Mark {
    Worker(Pid),
    Host(Host),
}

/// What a program's environment says of it.
pub(super) fn mark_of((pool, worker): Host) -> String {
    format!("{}:{}:{}", Pid::this(), pool.index(), worker.0)
}

/// The supervisor writes the one, a worker the other form; a workflow inside a workflow has marks of its own.
fn read_mark(mark: &str) -> Option<Mark> {
    let numbers: Vec<i32> = mark.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    match numbers.as_slice() {
        [worker] => Some(Mark::Worker(Pid::from_raw(*worker))),
        [supervisor, pool, worker] if *supervisor == Pid::this().as_raw() => {
            Some(Mark::Host((PoolId::from(usize::try_from(*pool).ok()?), WorkerId(u32::try_from(*worker).ok()?))))
        }
        _ => None,
    }
}
