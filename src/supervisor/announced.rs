//! What Python workers announce: the processes that tasks start, with their daemonic flags.
//!
//! All interpreters of a supervisor have the same pipe, and what they fork inherits it. A record is `<BBHIII`: how it
//! was started, flags, the last two bytes of the job, the process or 0, its parent, the worker; see
//! `src/worker/python/children.py`. It is shorter than PIPE_BUF, so records of several writers do not mix (pipe(7)). What is
//! announced is checked against /proc: numbers of another pid namespace, behind a launcher, say nothing here.

use std::collections::HashMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mio::Token;
use mio::unix::pipe::Receiver;

use super::event_loop::{EventLoop, Source};
use super::processes::Child;
use super::{RunId, Supervisor};
use crate::graph::{ActorId, PoolId};
use crate::pool::{JobId, WorkerId};
use crate::process::sys::{self, Pid};
use crate::process::tree::{self, Process, Snapshot};

const RECORD: usize = 16;
/// How it was started: a child of Python's `os.system`, whose number Python does not know.
const SHELL: u8 = 4;
/// A worker in the making, announced by the process that forked it.
const WORKER: u8 = 5;
const DAEMONIC: u8 = 1;
const NOT_DAEMONIC: u8 = 2;
/// So many records are read in one turn of the loop.
const RECORDS_A_TURN: usize = 1024;
/// From so many known processes on, the dead ones are looked for before a task has ended.
const MANY: usize = 1024;

/// The worker or program that a process came from.
pub(super) type Host = (PoolId, WorkerId);

/// What is known of the processes that came from tasks.
pub(super) struct Announced {
    read: Receiver,
    write: OwnedFd,
    token: Token,
    /// A part of a record: there is none unless somebody else writes into the pipe.
    partial: Vec<u8>,
    known: HashMap<Pid, Known>,
    /// Workers that a forkserver has forked and that have not reported yet, with their start times.
    starting: HashMap<Pid, u64>,
    /// How many known processes are looked through for dead ones.
    many: usize,
}

/// A process that was announced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    started: u64,
    /// None where Python has no such flag: subprocesses and bare forks.
    pub(super) daemonic: Option<bool>,
    pub(super) host: Option<Host>,
    pub(super) task: Option<(RunId, ActorId)>,
    /// The job that the worker had then.
    pub(super) job: Option<JobId>,
}

impl Announced {
    pub(super) fn new(event_loop: &mut EventLoop) -> io::Result<Self> {
        let (read, write) = sys::pipe()?;
        let mut read = Receiver::from(read);
        let token = event_loop.watch(&mut read, Source::Announced)?;
        let (known, starting) = (HashMap::new(), HashMap::new());
        Ok(Announced { read, write, token, partial: Vec::new(), known, starting, many: MANY })
    }

    /// The end that interpreters write into.
    pub(super) fn pipe(&self) -> BorrowedFd<'_> {
        self.write.as_fd()
    }

    pub(super) fn token(&self) -> Token {
        self.token
    }

    /// What was announced of a process.
    pub(super) fn get(&self, process: &Process) -> Option<Known> {
        self.known.get(&process.pid).copied().filter(|known| known.started == process.started)
    }

    /// The processes that are known, some of which may have ended.
    pub(super) fn pids(&self) -> impl Iterator<Item = Pid> {
        self.known.keys().copied()
    }

    /// How many processes are known, some of which may have ended.
    pub(super) fn len(&self) -> usize {
        self.known.len() + self.starting.len()
    }

    /// Whether no process is known, which may have ended by now.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(super) fn is_starting(&self, process: &Process) -> bool {
        self.starting.get(&process.pid) == Some(&process.started)
    }

    pub(super) fn is_starting_pid(&self, pid: Pid) -> bool {
        self.starting.contains_key(&pid)
    }

    /// A worker has reported, or is gone.
    pub(super) fn started(&mut self, pid: Pid) {
        self.starting.remove(&pid);
    }

    /// Forgets what is not there any more.
    pub(super) fn forget_the_dead(&mut self, snapshot: &Snapshot) {
        if self.known.is_empty() && self.starting.is_empty() {
            return;
        }
        let alive = snapshot.start_times();
        self.known.retain(|pid, known| alive.get(pid) == Some(&known.started));
        self.starting.retain(|pid, started| alive.get(pid) == Some(started));
        self.many = MANY.max(2 * self.known.len());
    }

    /// Reads up to so many records; whether there may be more.
    fn read(&mut self, most: usize) -> (Vec<[u8; RECORD]>, bool) {
        let mut buffer = [0; RECORD * 64];
        let mut records = Vec::new();
        while records.len() < most {
            match self.read.read(&mut buffer) {
                Ok(0) => return (records, false),
                Ok(count) => {
                    self.partial.extend(&buffer[..count]);
                    let whole = self.partial.len() / RECORD * RECORD;
                    records.extend(self.partial.drain(..whole).as_slice().as_chunks::<RECORD>().0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return (records, false),
            }
        }
        (records, true)
    }
}

impl Supervisor {
    /// Reads what was announced up to now; some of it, and the rest in the next turn, if it is very much.
    pub(super) fn hear_announcements(&mut self) {
        let (records, more) = self.announced.read(RECORDS_A_TURN);
        for record in records {
            self.on_announced(&record);
        }
        if more {
            self.event_loop.defer(self.announced.token);
        }
        if self.announced.known.len() > self.announced.many {
            self.announced.forget_the_dead(&Snapshot::take());
        }
    }

    fn on_announced(&mut self, record: &[u8; RECORD]) {
        let number = |at: usize| {
            let bytes = [record[at], record[at + 1], record[at + 2], record[at + 3]];
            Pid::from_raw(u32::from_le_bytes(bytes).cast_signed())
        };
        let task = u16::from_le_bytes([record[2], record[3]]);
        let (how, flags, pid, parent, worker) = (record[0], record[1], number(4), number(8), number(12));
        let host = self.host_of_worker(worker);
        if let Some((pool, worker)) = host
            && let Some(process) = self.pools[pool.index()].workers.get_mut(&worker)
        {
            process.has_started_something = true;
        }
        if how == SHELL || pid.as_raw() <= 0 {
            return;
        }
        let Some(process) = Process::find(pid) else { return };
        if how == WORKER {
            if !self.children.contains_key(&pid) {
                self.announced.starting.insert(pid, process.started);
            }
            return;
        }
        let me = Pid::this();
        if process.parent != parent && process.parent != me && !tree::is_below(pid, me) {
            return;
        }
        let daemonic = match flags {
            DAEMONIC => Some(true),
            NOT_DAEMONIC => Some(false),
            _ => None,
        };
        let before = self.announced.get(&process);
        let job = host.and_then(|host| self.job_of_worker(host, task));
        let task = job.map_or_else(|| host.and_then(|host| self.task_of(host)), |job| self.job_actor(job));
        let known = Known {
            started: process.started,
            daemonic: daemonic.or(before.and_then(|before| before.daemonic)),
            host: host.or(before.and_then(|before| before.host)),
            task: before.and_then(|before| before.task).or(task),
            job: before.and_then(|before| before.job).or(job),
        };
        self.announced.known.insert(pid, known);
    }

    /// The worker that a process is.
    pub(super) fn host_of_worker(&self, pid: Pid) -> Option<Host> {
        match self.children.get(&pid) {
            Some(Child::Worker(pool, worker)) => return Some((*pool, *worker)),
            Some(_) => return None,
            None => {}
        }
        // Behind a launcher it is not a child of this process.
        self.pools.iter().enumerate().find_map(|(index, state)| {
            let found =
                state.workers.iter().find(|(_, process)| process.process.as_ref().is_some_and(|it| it.0 == pid));
            found.map(|(worker, _)| (PoolId::from(index), *worker))
        })
    }

    /// The one job that a worker has; where it has others to do next, the one that ends so.
    fn job_of_worker(&self, (pool, worker): Host, ending: u16) -> Option<JobId> {
        let process = self.pools[pool.index()].workers.get(&worker)?;
        match process.jobs.as_slice() {
            [(job, _)] if process.ahead.is_empty() => Some(*job),
            [(job, _)] => {
                let all = process.ahead.iter().map(|sent| sent.job).chain([*job]);
                all.into_iter().find(|job| job.0 as u16 == ending)
            }
            _ => None,
        }
    }

    /// The one task that a worker or program executes.
    pub(super) fn task_of(&self, (pool, worker): Host) -> Option<(RunId, ActorId)> {
        let state = &self.pools[pool.index()];
        if let Some(process) = state.workers.get(&worker) {
            return match process.jobs.as_slice() {
                [(job, _)] => self.job_actor(*job),
                _ => None,
            };
        }
        state.programs.get(&worker).map(|program| program.task)
    }
}
