//! What Python workers announce: the processes that tasks start, with their daemonic flags.
//!
//! All interpreters of a supervisor have the same pipe, and the processes that they fork inherit it. A record is `<BBHIII`: how
//! the process was started, flags, the last two bytes of the job id, the process or 0, its parent, the worker; see
//! `src/worker/python/children.py`. A record is shorter than PIPE_BUF, so records of several writers do not mix (pipe(7)).
//! Records are checked against /proc: process ids of another pid namespace, behind a launcher, mean nothing here.

use std::collections::HashMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mio::Token;
use mio::unix::pipe::Receiver;

use super::owners::Owner;
use crate::graph::ActorId;
use crate::pool::JobId;
use crate::process::sys::{self, Pid};
use crate::process::tree::{Process, Snapshot};
use crate::supervisor::event::RunId;
use crate::supervisor::event_loop::{EventLoop, Source};

const RECORD: usize = 16;
/// How it was started: a child of Python's `os.system`, whose process id Python does not know.
const SHELL: u8 = 4;
/// A starting worker, announced by the process that forked it.
const WORKER: u8 = 5;
const DAEMONIC: u8 = 1;
const NOT_DAEMONIC: u8 = 2;
/// One turn of the loop reads no more records.
const RECORDS_A_TURN: usize = 1024;
/// From this many known processes on, those that have ended are forgotten before a task has ended.
const MANY: usize = 1024;

/// What is known of the processes that came from tasks.
pub(super) struct Announced {
    read: Receiver,
    write: OwnedFd,
    token: Token,
    /// Part of a record: only if somebody else writes into the pipe.
    partial: Vec<u8>,
    known: HashMap<Pid, Known>,
    /// Workers that a forkserver has forked and that are not ready yet, with their start times.
    starting: HashMap<Pid, u64>,
    /// From this many known processes on, those that have ended are looked for.
    many: usize,
}

/// A process that was announced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    started: u64,
    /// None if Python has no such flag: subprocesses and bare forks.
    pub(super) daemonic: Option<bool>,
    pub(super) owner: Option<Owner>,
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

    /// The known processes, some of which may have ended.
    pub(super) fn pids(&self) -> impl Iterator<Item = Pid> {
        self.known.keys().copied()
    }

    /// The number of known processes, some of which may have ended.
    pub(super) fn len(&self) -> usize {
        self.known.len() + self.starting.len()
    }

    /// Whether no process that a task has started is known.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(super) fn is_starting(&self, process: &Process) -> bool {
        self.starting.get(&process.pid) == Some(&process.started)
    }

    /// The workers that are not ready yet.
    pub(super) fn starting(&self) -> impl Iterator<Item = Pid> {
        self.starting.keys().copied()
    }

    /// A worker is ready, or gone.
    pub(super) fn worker_started(&mut self, pid: Pid) {
        self.starting.remove(&pid);
    }

    /// Forgets the processes that have ended.
    pub(super) fn retain_alive(&mut self, snapshot: &Snapshot) {
        if self.known.is_empty() && self.starting.is_empty() {
            return;
        }
        let alive = snapshot.start_times();
        self.known.retain(|pid, known| alive.get(pid) == Some(&known.started));
        self.starting.retain(|pid, started| alive.get(pid) == Some(started));
        self.many = MANY.max(2 * self.known.len());
    }

    /// Reads what was announced, up to a bound. Whether there may be more.
    pub(super) fn read(&mut self) -> (Vec<Announcement>, bool) {
        let mut buffer = [0; RECORD * 64];
        let mut announcements = Vec::new();
        while announcements.len() < RECORDS_A_TURN {
            match self.read.read(&mut buffer) {
                Ok(0) => return (announcements, false),
                Ok(count) => {
                    self.partial.extend(&buffer[..count]);
                    let whole = self.partial.len() / RECORD * RECORD;
                    let records = self.partial.drain(..whole);
                    announcements
                        .extend(records.as_slice().as_chunks::<RECORD>().0.iter().map(Announcement::of_record));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return (announcements, false),
            }
        }
        (announcements, true)
    }

    /// Forgets which tasks processes came from.
    pub(super) fn forget_tasks(&mut self) {
        for known in self.known.values_mut() {
            (known.owner, known.task, known.job) = (None, None, None);
        }
    }

    /// Whether so many processes are known that those that have ended should be forgotten.
    pub(super) fn has_many(&self) -> bool {
        self.known.len() > self.many
    }

    /// A forkserver has forked a worker.
    pub(super) fn add_starting_worker(&mut self, process: &Process) {
        self.starting.insert(process.pid, process.started);
    }

    /// A task has started a process. What an earlier announcement said of the task holds: the process may announce itself later,
    /// when its owner executes another one.
    pub(super) fn add(
        &mut self,
        process: &Process,
        daemonic: Option<bool>,
        owner: Option<Owner>,
        (job, task): (Option<JobId>, Option<(RunId, ActorId)>),
    ) {
        let before = self.get(process);
        let known = Known {
            started: process.started,
            daemonic: daemonic.or(before.and_then(|before| before.daemonic)),
            owner: owner.or(before.and_then(|before| before.owner)),
            task: before.and_then(|before| before.task).or(task),
            job: before.and_then(|before| before.job).or(job),
        };
        self.known.insert(process.pid, known);
    }
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announcement {
    pub(super) what: Started,
    /// The last two bytes of the job id.
    pub(super) job: u16,
    pub(super) parent: Pid,
    pub(super) worker: Pid,
}

/// What was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Started {
    /// A process that Python does not know by its id.
    Unknown,
    /// A worker, by the forkserver.
    Worker(Pid),
    /// A process, by a task.
    Process { pid: Pid, daemonic: Option<bool> },
}

impl Announcement {
    fn of_record(record: &[u8; RECORD]) -> Self {
        let pid = |at: usize| {
            let bytes = [record[at], record[at + 1], record[at + 2], record[at + 3]];
            Pid::from_raw(u32::from_le_bytes(bytes).cast_signed())
        };
        let daemonic = match record[1] {
            DAEMONIC => Some(true),
            NOT_DAEMONIC => Some(false),
            _ => None,
        };
        let what = match (record[0], pid(4)) {
            (SHELL, _) => Started::Unknown,
            (_, process) if process.as_raw() <= 0 => Started::Unknown,
            (WORKER, process) => Started::Worker(process),
            (_, pid) => Started::Process { pid, daemonic },
        };
        Announcement { what, job: u16::from_le_bytes([record[2], record[3]]), parent: pid(8), worker: pid(12) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;
    use crate::graph::PoolId;
    use crate::pool::WorkerId;
    use crate::supervisor::processes::tests::process;

    fn announced() -> (Announced, File) {
        let announced = Announced::new(&mut EventLoop::new([]).unwrap()).unwrap();
        let pipe = File::from(announced.pipe().try_clone_to_owned().unwrap());
        (announced, pipe)
    }

    fn record(how: u8, flags: u8, job: u16, [pid, parent, worker]: [u32; 3]) -> Vec<u8> {
        let mut record = vec![how, flags];
        record.extend(job.to_le_bytes());
        [pid, parent, worker].iter().for_each(|number| record.extend(number.to_le_bytes()));
        record
    }

    #[test]
    fn records_are_read_also_where_they_arrive_in_pieces() {
        let (mut announced, mut pipe) = announced();
        let bytes = [record(1, DAEMONIC, 515, [70, 60, 50]), record(WORKER, 0, 0, [80, 60, 60])].concat();
        pipe.write_all(&bytes[..20]).unwrap();
        let (worker, job) = (Pid::from_raw(50), 515);
        let what = Started::Process { pid: Pid::from_raw(70), daemonic: Some(true) };
        let first = Announcement { what, job, parent: Pid::from_raw(60), worker };
        assert_eq!(announced.read(), (vec![first], false));
        pipe.write_all(&bytes[20..]).unwrap();
        let (rest, more) = announced.read();
        assert_eq!((rest[0].what, rest.len(), more), (Started::Worker(Pid::from_raw(80)), 1, false));
    }

    #[test]
    fn one_turn_reads_a_bounded_number_of_records() {
        let (mut announced, mut pipe) = announced();
        let records = record(SHELL, 0, 0, [0, 60, 50]).repeat(RECORDS_A_TURN + 100);
        pipe.write_all(&records).unwrap();
        let (first, more) = announced.read();
        assert!(more && (RECORDS_A_TURN..RECORDS_A_TURN + 64).contains(&first.len()));
        assert!(first.iter().all(|announcement| announcement.what == Started::Unknown));
        let (rest, more) = announced.read();
        assert_eq!((first.len() + rest.len(), more), (RECORDS_A_TURN + 100, false));
    }

    #[test]
    fn the_first_announcement_says_the_task_and_a_later_one_adds_what_was_missing() {
        let (mut announced, _pipe) = announced();
        let task = |actor: usize| Some((RunId(1), ActorId::from(actor)));
        let owner = (PoolId(0), WorkerId(3));
        let child = process(70, 60, 500);
        announced.add(&child, None, None, (Some(JobId(5)), task(1)));
        announced.add(&child, Some(false), Some(owner), (Some(JobId(6)), task(2)));
        let known = announced.get(&child).unwrap();
        assert_eq!((known.task, known.job), (task(1), Some(JobId(5))));
        assert_eq!((known.daemonic, known.owner), (Some(false), Some(owner)));
        assert!(announced.get(&process(70, 60, 501)).is_none(), "another process with the same id");
    }

    #[test]
    fn what_has_ended_is_forgotten() {
        let (mut announced, _pipe) = announced();
        let (gone, here, starting) = (process(70, 60, 500), process(71, 60, 500), process(72, 60, 500));
        announced.add(&gone, None, None, (None, None));
        announced.add(&here, None, None, (None, None));
        announced.add_starting_worker(&starting);
        announced.retain_alive(&[here.clone(), process(70, 60, 777)].into_iter().collect());
        assert_eq!(announced.pids().collect::<Vec<_>>(), [here.pid]);
        assert!(!announced.is_starting(&starting));
    }
}
