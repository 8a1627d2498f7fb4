//! Starting a program. Everything possible is prepared before the child exists.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::sys::exec::{Image, exec};
use super::sys::{Pid, PidFd};

/// The search path without PATH (execvp(3)).
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// The shell for scripts without a `#!` line (execvp(3)).
const SHELL: &str = "/bin/sh";

/// A program to start as the leader of a new process group. It is killed if the supervisor dies.
///
/// It inherits only standard input (empty by default), output and error, and the descriptor of [`Program::inherit`].
#[derive(Debug)]
pub struct Program<'a> {
    argv: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    directory: Option<&'a Path>,
    stdin: Option<OwnedFd>,
    stdout: BorrowedFd<'a>,
    stderr: BorrowedFd<'a>,
    inherited: Option<BorrowedFd<'a>>,
    leaf: Option<BorrowedFd<'a>>,
}

impl<'a> Program<'a> {
    /// A program. A name without slash is searched in PATH. Standard output and error go to `output`.
    pub fn new(name: impl Into<OsString>, output: BorrowedFd<'a>) -> Self {
        Program {
            argv: vec![name.into()],
            env: BTreeMap::new(),
            directory: None,
            stdin: None,
            stdout: output,
            stderr: output,
            inherited: None,
            leaf: None,
        }
    }

    /// Adds arguments.
    pub fn args<T: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.argv.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable, in addition to those of this process.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets the working directory. A relative path of the program starts there.
    pub fn directory(mut self, directory: &'a Path) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Sets its standard input.
    pub fn stdin(mut self, stdin: impl Into<OwnedFd>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Sets its standard output, if it differs from standard error.
    pub fn stdout(mut self, stdout: BorrowedFd<'a>) -> Self {
        self.stdout = stdout;
        self
    }

    /// A descriptor that it inherits, with the same number.
    pub fn inherit(mut self, fd: BorrowedFd<'a>) -> Self {
        self.inherited = Some(fd);
        self
    }

    /// The open `cgroup.procs` of its cgroup. It is there from its first instruction on.
    pub fn leaf(mut self, leaf: Option<BorrowedFd<'a>>) -> Self {
        self.leaf = leaf;
        self
    }

    /// Starts the program. The errors are those of execve(2), with `NotFound` if PATH has no such program.
    ///
    /// Call it from a thread that lives as long as the supervisor: the kernel treats the end of that thread as the death of the parent
    /// (prctl(2), PR_SET_PDEATHSIG).
    pub fn start(self) -> io::Result<(Pid, PidFd)> {
        let Program { argv, env, directory, stdin, stdout, stderr, inherited, leaf } = self;
        let paths = candidates(&argv[0], env.get(OsStr::new("PATH")));
        let argv = argv.into_iter().map(c_string).collect::<io::Result<Vec<_>>>()?;
        let stdin = match stdin {
            Some(stdin) => stdin,
            None => File::open("/dev/null")?.into(),
        };
        exec(&Image {
            paths: paths.into_iter().map(|path| c_string(path.into_os_string())).collect::<io::Result<_>>()?,
            argv,
            shell: c_string(SHELL.into())?,
            env: environment(env)?,
            directory: directory.map(|directory| c_string(directory.as_os_str().to_owned())).transpose()?,
            stdio: [stdin.as_fd(), stdout, stderr],
            inherited,
            leaf,
        })
    }
}

/// Where the program may be, in the order in which it is tried.
pub(super) fn candidates(name: &OsStr, path: Option<&OsString>) -> Vec<PathBuf> {
    if name.as_bytes().contains(&b'/') || name.is_empty() {
        return vec![name.into()];
    }
    let path = path.cloned().or_else(|| env::var_os("PATH")).unwrap_or_else(|| DEFAULT_PATH.into());
    env::split_paths(&path).map(|folder| folder.join(name)).collect()
}

/// What the service manager told the supervisor is for the supervisor alone (sd_notify(3)).
const MANAGERS: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// The environment of this process with these variables in it; nothing where it is this process's own.
fn environment(mut changed: BTreeMap<OsString, OsString>) -> io::Result<Option<Vec<CString>>> {
    if changed.is_empty() && MANAGERS.iter().all(|name| env::var_os(name).is_none()) {
        return Ok(None);
    }
    for (name, value) in env::vars_os().filter(|(name, _)| !MANAGERS.iter().any(|theirs| name == theirs)) {
        changed.entry(name).or_insert(value);
    }
    let assignment = |(name, value): (OsString, OsString)| {
        let mut text = name.into_vec();
        text.push(b'=');
        text.extend(value.into_vec());
        c_string(OsString::from_vec(text))
    };
    Ok(Some(changed.into_iter().map(assignment).collect::<io::Result<_>>()?))
}

fn c_string(text: OsString) -> io::Result<CString> {
    CString::new(text.into_vec()).map_err(|error| {
        let what = format!("a zero byte in {:?}", String::from_utf8_lossy(&error.into_vec()));
        io::Error::new(io::ErrorKind::InvalidInput, what)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use nix::sys::wait::{WaitStatus, waitpid};

    use super::*;

    use std::io::{PipeReader, PipeWriter};

    /// What a program printed, and its exit code.
    fn end(
        started: io::Result<(Pid, PidFd)>,
        (mut read, write): (PipeReader, PipeWriter),
    ) -> io::Result<(String, i32)> {
        let (pid, _) = started?;
        drop(write);
        let mut text = String::new();
        read.read_to_string(&mut text)?;
        match waitpid(pid, None)? {
            WaitStatus::Exited(_, code) => Ok((text, code)),
            other => panic!("{other:?}"),
        }
    }

    fn run(name: &str, arguments: &[&str]) -> io::Result<(String, i32)> {
        let pipe = io::pipe()?;
        end(Program::new(name, pipe.1.as_fd()).args(arguments).start(), pipe)
    }

    fn executable(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn it_is_found_in_path_and_gets_its_arguments_and_its_code_comes_back() {
        let printed = run("sh", &["-c", "echo \"$0\" out; echo err >&2; exit 7"]).unwrap();
        assert_eq!(printed, ("sh out\nerr\n".into(), 7));
    }

    #[test]
    fn variables_are_added_to_the_environment_and_a_path_among_them_is_searched() {
        let folder = tempfile::tempdir().unwrap();
        executable(folder.path(), "tool", "#!/bin/sh\necho $ONE ${HOME:+home}\n");
        let path = format!("{}:/bin", folder.path().display());
        let home = if env::var_os("HOME").is_some() { " home" } else { "" };
        let pipe = io::pipe().unwrap();
        let program = Program::new("tool", pipe.1.as_fd()).env("ONE", "1").env("PATH", path);
        assert_eq!(end(program.start(), pipe).unwrap(), (format!("1{home}\n"), 0));
    }

    #[test]
    fn a_script_without_an_interpreter_line_is_the_shells() {
        let folder = tempfile::tempdir().unwrap();
        let script = executable(folder.path(), "script", "echo \"$1\"\n");
        assert_eq!(run(script.to_str().unwrap(), &["a b"]).unwrap(), ("a b\n".into(), 0));
    }

    #[test]
    fn it_starts_in_its_directory_with_its_input_and_no_descriptor_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let held = File::open(folder.path()).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&held);
        let input = folder.path().join("input");
        std::fs::write(&input, "text").unwrap();
        let pipe = io::pipe().unwrap();
        let program = Program::new("sh", pipe.1.as_fd())
            .args(["-c".to_owned(), format!("pwd -P; cat; test -e /proc/self/fd/{number}; echo $?")])
            .directory(folder.path())
            .stdin(File::open(&input).unwrap());
        let (printed, _) = end(program.start(), pipe).unwrap();
        let place = folder.path().canonicalize().unwrap();
        assert_eq!(printed.split_whitespace().collect::<String>(), format!("{}text1", place.display()));
        drop(held);
    }

    #[test]
    fn it_keeps_the_descriptor_that_is_named() {
        let (kept, _) = io::pipe().unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&kept);
        let pipe = io::pipe().unwrap();
        let program = Program::new("sh", pipe.1.as_fd())
            .args(["-c".to_owned(), format!("test -e /proc/self/fd/{number}")])
            .inherit(kept.as_fd());
        assert_eq!(end(program.start(), pipe).unwrap().1, 0);
    }

    #[test]
    fn what_cannot_be_started_is_an_error_and_leaves_no_child() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        for (name, kind) in [
            ("no-such-program", io::ErrorKind::NotFound),
            ("/no/such/program", io::ErrorKind::NotFound),
            ("", io::ErrorKind::NotFound),
            (plain.to_str().unwrap(), io::ErrorKind::PermissionDenied),
            ("a\0b", io::ErrorKind::InvalidInput),
        ] {
            assert_eq!(run(name, &[]).unwrap_err().kind(), kind, "{name:?}");
        }
        let pipe = io::pipe().unwrap();
        let missing = Path::new("/no/such/folder");
        let error = Program::new("true", pipe.1.as_fd()).directory(missing).start().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn signals_are_as_a_program_expects_them() {
        let (printed, _) = run("grep", &["-E", "SigBlk|SigIgn", "/proc/self/status"]).unwrap();
        let masks: Vec<_> =
            printed.lines().map(|line| u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16).unwrap()).collect();
        // SIGPIPE, which this process ignores as Rust programs do, is the 13th.
        assert_eq!((masks[0], masks[1] & (1 << 12)), (0, 0), "{printed}");
    }

    #[test]
    fn a_thousand_starts_among_busy_threads_do_not_hang() {
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut kept = Vec::new();
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        kept.push(format!("{:?}", env::var_os("PATH")));
                        kept.truncate(kept.len() % 100);
                        std::thread::yield_now();
                    }
                });
            }
            let all = (0..1000).all(|_| run("true", &[]).is_ok_and(|(_, code)| code == 0));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(all);
        });
    }
}
