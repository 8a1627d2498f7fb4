//! System calls without a safe wrapper elsewhere, and typed wrappers for others. All `unsafe` code is here and in `sys/`.

pub mod exec;

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
pub use nix::sys::signal::Signal;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, sigaction, sigprocmask};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::ForkResult;
pub use nix::unistd::Pid;

use super::Ended;

/// A process that has ended and was reaped.
#[derive(Debug, Clone, Copy)]
pub struct Reaped {
    /// Its id.
    pub pid: Pid,
    /// How it ended.
    pub ended: Ended,
    /// The usage of the process and its reaped children.
    pub usage: Rusage,
}

/// Resource usage of processes (getrusage(2)).
#[derive(Debug, Clone, Copy)]
pub struct Rusage {
    /// CPU time: user and system.
    pub cpu: (Duration, Duration),
    /// Peak memory usage of one of them, in bytes. That of a program is at least that of the process that started it.
    pub memory_peak: u64,
    /// Bytes read from and written to block devices.
    pub io: (u64, u64),
}

impl From<&nix::libc::rusage> for Rusage {
    fn from(usage: &nix::libc::rusage) -> Self {
        Rusage {
            cpu: (duration(usage.ru_utime), duration(usage.ru_stime)),
            // Kibibytes, and blocks of 512 bytes.
            memory_peak: usage.ru_maxrss.unsigned_abs() * 1024,
            io: (usage.ru_inblock.unsigned_abs() * 512, usage.ru_oublock.unsigned_abs() * 512),
        }
    }
}

/// The usage of this process, without its children.
pub fn own_usage() -> io::Result<Rusage> {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
    Ok(Rusage::from(usage.as_ref()))
}

/// Makes this process the parent of every orphan below it (prctl(2), PR_SET_CHILD_SUBREAPER).
pub fn become_subreaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Whether this process has no children, not even zombies. A subreaper without children has no descendants.
pub fn has_no_children() -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    matches!(waitid(Id::All, flags), Err(Errno::ECHILD))
}

/// Waits until a child has ended and can be reaped, at most for `patience`. Returns whether one has, or there are no children.
pub fn wait_for_child(patience: Duration) -> bool {
    let mut child = SigSet::empty();
    child.add(Signal::SIGCHLD);
    // Block the signal, so that it is not lost between the check and the wait.
    let mut before = SigSet::empty();
    let blocked = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&child), Some(&mut before));
    let deadline = Instant::now() + patience;
    let ended = loop {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::All, flags) {
            Ok(WaitStatus::StillAlive) => {}
            _ => break true,
        }
        // The kernel may deliver the signal to another thread. Then the next check finds the child.
        let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(100));
        if left.is_zero() {
            break false;
        }
        let left = nix::libc::timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        // SAFETY: both pointers are to live values of the right type, and no information on the signal is wanted.
        unsafe { nix::libc::sigtimedwait(child.as_ref(), std::ptr::null_mut(), &left) };
    };
    if blocked.is_ok() {
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    }
    ended
}

/// Waits for the end of a child, at most for `patience`. The child is not reaped.
pub fn end_within((pid, pidfd): (Pid, &PidFd), patience: Duration) -> Option<Ended> {
    let mut ends = [PollFd::new(pidfd.0.as_fd(), PollFlags::POLLIN)];
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match poll(&mut ends, PollTimeout::try_from(left).ok()?) {
            // Another child has ended.
            Err(Errno::EINTR) => {}
            Err(_) => return None,
            Ok(_) => break,
        }
    }
    match waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT).ok()? {
        WaitStatus::Exited(_, code) => Some(Ended::Exited(code)),
        WaitStatus::Signaled(_, signal, _) => Some(Ended::Killed(signal as i32)),
        _ => None,
    }
}

/// Time since boot, including suspend. Start times in /proc use this clock.
pub fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// Forks. The child gets `None`. Fails if there is a second thread: the child would have the locks of that thread, but not the thread.
pub fn fork() -> io::Result<Option<Pid>> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("{threads} threads are running, and only one can be")));
    }
    // SAFETY: there is no other thread, and none can be started meanwhile: that would take one.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Lets this process write to its terminal from the background, even with `stty tostop` (SIGTTOU). Programs that it starts are not
/// affected: [`exec::exec`] undoes it.
pub fn write_from_background() {
    // SAFETY: ignoring a signal installs no code.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGTTOU, SigHandler::SigIgn) };
}

/// Sets the name of this process in ps(1) and top(1). The command line stays the same.
pub fn name_process(name: &CStr) {
    let _ = nix::sys::prctl::set_name(name);
}

/// Starts a thread with all signals blocked, so that other threads receive them.
pub fn spawn_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    started.map(drop)
}

/// Continues this process, if it is stopped, when its parent ends (prctl(2), PR_SET_PDEATHSIG).
pub fn go_on_when_the_parent_ends() -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGCONT)?)
}

/// Sets the signal for readable descriptors (include/uapi/asm-generic/fcntl.h).
const F_SETSIG: nix::libc::c_int = 10;

/// Continues this process, if it is stopped, when the other end of a pipe is closed (fcntl(2), O_ASYNC).
pub fn go_on_when_closed(pipe: &OwnedFd) -> io::Result<()> {
    let raw = pipe.as_raw_fd();
    // SAFETY: fcntl(2) with arguments as it documents them, on a descriptor that is open. The signal is one whose usual effect is to
    // go on, and that this process does not handle.
    unsafe {
        for (command, argument) in [
            (F_SETSIG, nix::libc::SIGCONT),
            (nix::libc::F_SETOWN, Pid::this().as_raw()),
            (nix::libc::F_SETFL, nix::libc::O_ASYNC | nix::libc::O_NONBLOCK),
        ] {
            if nix::libc::fcntl(raw, command, argument) < 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// Ends this process at once, without cleanup.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: it does not return.
    unsafe { nix::libc::_exit(code) }
}

/// While this value exists, SIGINT, SIGTERM and SIGHUP end the process, instead of calling their handlers. An ignored signal stays ignored.
#[derive(Debug)]
pub struct EndedBySignals(Vec<(Signal, SigAction)>);

impl EndedBySignals {
    /// Resets the signals to their default action.
    pub fn begin() -> Self {
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        let before = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().filter(|it| !is_ignored(*it));
        // SAFETY: the default action installs no code.
        let set = before.filter_map(|it| Some((it, unsafe { sigaction(it, &default) }.ok()?)));
        EndedBySignals(set.collect())
    }
}

impl Drop for EndedBySignals {
    fn drop(&mut self) {
        for (signal, action) in &self.0 {
            // SAFETY: the handler that was there before is there still.
            let _ = unsafe { sigaction(*signal, action) };
        }
    }
}

/// Whether this process ignores a signal. It may have inherited that.
pub fn is_ignored(signal: Signal) -> bool {
    let mut action = MaybeUninit::<nix::libc::sigaction>::zeroed();
    // SAFETY: nothing is installed, and `action` is live, writable memory of the right type, valid when zeroed.
    let action = unsafe {
        if nix::libc::sigaction(signal as i32, std::ptr::null(), action.as_mut_ptr()) != 0 {
            return false;
        }
        action.assume_init()
    };
    action.sa_sigaction == nix::libc::SIG_IGN
}

/// Reaps one ended child, if there is one (wait4(2), WNOHANG). `Err(ECHILD)` means that there are no children.
pub fn reap() -> io::Result<Option<Reaped>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<nix::libc::rusage>::zeroed();
    // SAFETY: both pointers are to live, writable memory of the right type; rusage is plain data, valid when zeroed.
    let (pid, usage) = unsafe {
        let pid = nix::libc::wait4(-1, &mut status, nix::libc::WNOHANG, usage.as_mut_ptr());
        (pid, usage.assume_init())
    };
    match pid {
        0 => Ok(None),
        pid if pid > 0 => {
            let ended = match nix::libc::WIFSIGNALED(status) {
                true => Ended::Killed(nix::libc::WTERMSIG(status)),
                false => Ended::Exited(nix::libc::WEXITSTATUS(status)),
            };
            Ok(Some(Reaped { pid: Pid::from_raw(pid), ended, usage: Rusage::from(&usage) }))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

fn duration(time: nix::libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
}

/// A handle on a process. It stays valid when the process id is used again.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Opens a handle on a process (pidfd_open(2)).
    pub fn open(pid: Pid) -> io::Result<Self> {
        let pid = rustix::process::Pid::from_raw(pid.as_raw()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(PidFd(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?))
    }

    /// The descriptor. It becomes readable when the process ends.
    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Sends a signal (pidfd_send_signal(2)). It is not an error if the process has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let signal = rustix::process::Signal::from_named_raw(signal as i32).ok_or(io::ErrorKind::InvalidInput)?;
        match rustix::process::pidfd_send_signal(&self.0, signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            result => Ok(result?),
        }
    }
}

/// The inherited umask, if this process has changed it. [`exec::exec`] restores it for programs.
static UMASK_BEFORE: OnceLock<Mode> = OnceLock::new();

/// Sets inherited attributes that pushflow relies on. Call it first, before a second thread starts.
///
/// Unblocks all signals, and resets ignored signals that pushflow needs, such as SIGCHLD. Signals that nohup(1) and shells ignore on
/// purpose stay ignored. Exceeding `ulimit -f` becomes an error of the write instead of a fatal signal. New files are not world-writable.
pub fn set_what_is_relied_on() {
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGALRM, Signal::SIGVTALRM, Signal::SIGPROF] {
        // SAFETY: the default action installs no code.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
    }
    // SAFETY: ignoring a signal installs no code.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    let before = umask(Mode::S_IWOTH);
    umask(before | Mode::S_IWOTH);
    UMASK_BEFORE.get_or_init(|| before);
}

/// The maximum size of files in bytes, if there is a limit (RLIMIT_FSIZE).
pub fn largest_file() -> Option<u64> {
    getrlimit(Resource::RLIMIT_FSIZE).ok().map(|(soft, _)| soft).filter(|limit| *limit != nix::libc::RLIM_INFINITY)
}

/// The inherited limit of open files, if this process has raised it.
static OPEN_FILES_BEFORE: OnceLock<(u64, u64)> = OnceLock::new();

/// Raises the limit of open files to the hard limit: each worker needs several. The usual soft limit exists for programs that use
/// select(2), so [`exec::exec`] restores it for programs.
pub fn raise_open_files() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        OPEN_FILES_BEFORE.get_or_init(|| (soft, hard));
    }
    Ok(())
}

/// A pipe. The reading end does not block; neither end is inherited.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((read, write))
}

/// Number of bytes that can be read now (ioctl(2), FIONREAD), 0 if unknown.
pub fn waiting_to_be_read(from: BorrowedFd<'_>) -> usize {
    rustix::io::ioctl_fionread(from).map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// An empty memory file, which is not inherited.
pub fn memory_file(name: &str) -> io::Result<OwnedFd> {
    let name = CString::new(name)?;
    Ok(memfd_create(name.as_c_str(), MFdFlags::MFD_CLOEXEC)?)
}

/// A connected pair of stream sockets: a non-blocking one for the event loop, and a blocking one for a child.
pub fn connection() -> io::Result<(std::os::unix::net::UnixStream, OwnedFd)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((ours, theirs.into()))
}

/// A connected pair of sequential packet sockets. Neither is inherited.
pub fn packets() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// A set of CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuSet(nix::sched::CpuSet);

impl CpuSet {
    /// A set of one CPU.
    pub fn of(cpu: u16) -> Self {
        let mut set = nix::sched::CpuSet::new();
        // A number out of range leaves the set empty, which the kernel refuses.
        let _ = set.set(cpu.into());
        CpuSet(set)
    }

    fn count(&self) -> usize {
        (0..nix::sched::CpuSet::count()).filter(|cpu| self.0.is_set(*cpu).unwrap_or(false)).count()
    }
}

/// The CPU that this thread runs on, and the CPUs that it may run on. `None` if there is only one, or it is unknown.
pub fn here() -> Option<(u16, CpuSet)> {
    let set = CpuSet(nix::sched::sched_getaffinity(Pid::from_raw(0)).ok()?);
    let cpu = u16::try_from(nix::sched::sched_getcpu().ok()?).ok()?;
    (set.count() > 1).then_some((cpu, set))
}

/// Restricts this thread to these CPUs (sched_setaffinity(2)). New threads and processes inherit this.
pub fn run_on(cpus: &CpuSet) -> io::Result<()> {
    Ok(nix::sched::sched_setaffinity(Pid::from_raw(0), &cpus.0)?)
}
