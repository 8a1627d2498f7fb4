//! Starts a program without copying this process: the child shares its memory until it executes the program (clone(2) with CLONE_VM
//! and CLONE_VFORK).
//!
//! posix_spawn(3) does the same, but can neither set a signal for the death of the parent nor join a cgroup. fork(2) can, but copies
//! the page tables: starting and reaping `/bin/true` from a process with 64 MiB of memory takes 38 ms with fork(2), 160 ms with
//! 512 MiB, and 1.1 ms with any size if the memory is shared (measured with posix_spawn; medians on a virtual machine with 2
//! busy CPUs).

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use super::{OPEN_FILES_BEFORE, Pid, PidFd, UMASK_BEFORE};

/// Size of the child's stack between clone and exec. It uses one or two pages.
const STACK: usize = 64 * 1024;
/// Signals that this process may handle. The child must not run the handlers before exec resets them.
const RESET: [Signal; 8] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGCHLD,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTSTP,
];
/// Signals that only this process ignores.
const RESTORED: [Signal; 3] = [Signal::SIGPIPE, Signal::SIGTTOU, Signal::SIGXFSZ];

/// Everything that the child needs. It must not allocate memory.
#[derive(Debug)]
pub struct Image<'a> {
    /// Paths to try. The first one that can be executed is used.
    pub paths: Vec<CString>,
    /// Its arguments, its name first.
    pub argv: Vec<CString>,
    /// The shell that executes a program of unknown format.
    pub shell: CString,
    /// Its environment. `None` means that of this process.
    pub env: Option<Vec<CString>>,
    /// Its working directory.
    pub directory: Option<CString>,
    /// Its standard input, output and error.
    pub stdio: [BorrowedFd<'a>; 3],
    /// Another descriptor that it inherits.
    pub inherited: Option<BorrowedFd<'a>>,
    /// The open `cgroup.procs` of its cgroup.
    pub leaf: Option<BorrowedFd<'a>>,
}

/// The part of the parent's memory that the child uses.
struct Start {
    paths: Vec<*const c_char>,
    /// Null, the arguments, null. The first two places are for the shell and the script, if a shell is needed.
    argv: Vec<*const c_char>,
    shell: *const c_char,
    env: *const *const c_char,
    directory: *const c_char,
    stdio: [RawFd; 3],
    inherited: Option<RawFd>,
    leaf: Option<RawFd>,
    supervisor: libc::pid_t,
    /// Its limit of open files, if this process has raised its own.
    open_files: Option<libc::rlimit>,
    /// Its umask, if this process has changed its own.
    umask: Option<libc::mode_t>,
    /// The error if it could not execute the program.
    error: c_int,
}

/// Starts a program as the leader of a new process group. It gets a signal when the calling thread ends.
pub fn exec(image: &Image<'_>) -> io::Result<(Pid, PidFd)> {
    let pointers = |strings: &[CString]| strings.iter().map(|string| string.as_ptr()).collect::<Vec<_>>();
    let mut argv = vec![ptr::null()];
    argv.extend(pointers(&image.argv));
    argv.push(ptr::null());
    let env = image.env.as_deref().map(|env| {
        let mut env = pointers(env);
        env.push(ptr::null());
        env
    });
    let mut start = Start {
        paths: pointers(&image.paths),
        argv,
        shell: image.shell.as_ptr(),
        // SAFETY: the pointer is only copied here; nothing in this program changes its environment.
        env: env.as_ref().map_or_else(|| unsafe { environ }, |env| env.as_ptr()),
        directory: image.directory.as_deref().map_or(ptr::null(), CStr::as_ptr),
        stdio: image.stdio.map(|fd| fd.as_raw_fd()),
        inherited: image.inherited.map(|fd| fd.as_raw_fd()),
        leaf: image.leaf.map(|fd| fd.as_raw_fd()),
        supervisor: Pid::this().as_raw(),
        open_files: OPEN_FILES_BEFORE.get().map(|&(soft, hard)| libc::rlimit { rlim_cur: soft, rlim_max: hard }),
        umask: UMASK_BEFORE.get().map(|mode| mode.bits()),
        error: 0,
    };
    let mut stack: Vec<u128> = Vec::with_capacity(STACK / size_of::<u128>());
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // No handler of this process may run in the child, whose memory is the same.
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    // SAFETY: the stack, of which the child gets the upper end, aligned to 16 bytes, and `start` outlive the child's use
    // of them, since this thread sleeps until the child has executed the program or exited (CLONE_VFORK). `become_program`
    // makes async-signal-safe calls alone. `pidfd` is where the kernel writes the descriptor (CLONE_PIDFD).
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity()).cast::<c_void>();
        libc::clone(become_program, top, flags, (&raw mut start).cast(), &raw mut pidfd)
    };
    let cannot = io::Error::last_os_error();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    if pid < 0 {
        return Err(cannot);
    }
    // SAFETY: the kernel has made it for this process in this call; nothing else knows of it.
    let pidfd = PidFd(unsafe { OwnedFd::from_raw_fd(pidfd) });
    let pid = Pid::from_raw(pid);
    // SAFETY: `start` is live; the child, which wrote to it through a pointer, is gone from this memory.
    match unsafe { ptr::read_volatile(&raw const start.error) } {
        0 => Ok((pid, pidfd)),
        error => {
            nix::sys::wait::waitpid(pid, None)?;
            Err(io::Error::from_raw_os_error(error))
        }
    }
}

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// The child: returns only if it cannot become the program.
extern "C" fn become_program(start: *mut c_void) -> c_int {
    // SAFETY: `exec` passes a pointer to its `Start` and does not touch that before this function is through.
    let start = unsafe { &mut *start.cast::<Start>() };
    // SAFETY: `Start` holds pointers to strings and arrays that outlive this call, each ended by a null.
    start.error = unsafe { enter(start) };
    127
}

/// Makes this process what the program expects, and executes it; the number of the error otherwise.
///
/// # Safety
///
/// To be called in a child that shares its parent's memory, with pointers that are valid and end as execve(2) wants.
unsafe fn enter(start: &mut Start) -> c_int {
    // SAFETY: system calls with valid arguments; none allocates or takes a lock.
    unsafe {
        // First, so that nothing it does is outside.
        if let Some(leaf) = start.leaf
            && libc::write(leaf, c"0".as_ptr().cast(), 1) < 0
        {
            return errno();
        }
        if libc::setpgid(0, 0) < 0 || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
            return errno();
        }
        if libc::getppid() != start.supervisor {
            return libc::ENOTCONN;
        }
        for (target, fd) in (0..).zip(start.stdio) {
            // Copies have no close-on-exec flag. Standard descriptors of this process are never among them: they are open
            // before anything else is.
            if fd <= 2 || libc::dup2(fd, target) < 0 {
                return if fd <= 2 { libc::EBADF } else { errno() };
            }
        }
        if let Some(fd) = start.inherited
            && libc::fcntl(fd, libc::F_SETFD, 0) < 0
        {
            return errno();
        }
        if !start.directory.is_null() && libc::chdir(start.directory) < 0 {
            return errno();
        }
        if let Some(limit) = &start.open_files
            && libc::setrlimit(libc::RLIMIT_NOFILE, limit) < 0
        {
            return errno();
        }
        if let Some(mask) = start.umask {
            libc::umask(mask);
        }
        default_signals();
        execute(start)
    }
}

/// # Safety
///
/// As for [`enter`].
unsafe fn default_signals() {
    // SAFETY: system calls with pointers to live values of the right types; this process has its own table of handlers.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        for signal in RESET {
            // What was ignored already when this process began (nohup) stays ignored.
            if libc::sigaction(signal as c_int, ptr::null(), &raw mut action) == 0
                && action.sa_sigaction != libc::SIG_IGN
            {
                libc::signal(signal as c_int, libc::SIG_DFL);
            }
        }
        for signal in RESTORED {
            libc::signal(signal as c_int, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// Tries one path after the other, as execvp(3) does.
///
/// # Safety
///
/// As for [`enter`].
unsafe fn execute(start: &mut Start) -> c_int {
    let mut why = libc::ENOENT;
    for at in 0..start.paths.len() {
        let path = start.paths[at];
        // SAFETY: path, arguments and environment are valid and end as execve(2) wants.
        let error = unsafe {
            libc::execve(path, start.argv.as_ptr().add(1), start.env);
            errno()
        };
        match error {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => why = error,
            // SAFETY: the path is valid and ended by a null.
            libc::ENOEXEC if unsafe { is_binary(path) } => return error,
            libc::ENOEXEC => {
                start.argv[0] = start.shell;
                start.argv[1] = path;
                // SAFETY: the same, with the shell and the script in front of the arguments.
                unsafe {
                    libc::execve(start.shell, start.argv.as_ptr(), start.env);
                    return errno();
                }
            }
            _ => return error,
        }
    }
    why
}

/// Whether a file is no script of the shell: there is a null byte in its first line.
///
/// # Safety
///
/// As for [`enter`].
unsafe fn is_binary(path: *const c_char) -> bool {
    let mut head = [0_u8; 128];
    // SAFETY: the path is valid, and the array is live, writable memory of this length.
    let length = unsafe {
        let fd = libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return false;
        }
        let length = libc::read(fd, head.as_mut_ptr().cast(), head.len());
        libc::close(fd);
        length
    };
    let head = head.get(..length.max(0).unsigned_abs()).unwrap_or_default();
    head.iter().take_while(|byte| **byte != b'\n').any(|byte| *byte == 0)
}

fn errno() -> c_int {
    nix::errno::Errno::last_raw()
}
