//! A folder with a workflow in it, and the `pushflow` that runs it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A folder of its own with files in it; it goes with the value.
pub(crate) struct Project {
    folder: tempfile::TempDir,
}

/// What a finished `pushflow` left.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Project {
    pub(crate) fn new() -> Self {
        Project { folder: tempfile::tempdir().unwrap() }
    }

    /// A project whose workflow `w.toml` has one actor `task` with this script.
    pub(crate) fn task(script: &str) -> Self {
        Project::with_workflow(
            "[actors.task]\nscript = \"task.py\"\n",
            "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]\n",
        )
        .file("task.py", script)
    }

    /// A project whose `w.toml` is `links` (which must stand first in TOML) and `sections`, run by the tests' Python.
    pub(crate) fn with_workflow(sections: &str, links: &str) -> Self {
        let workflow = format!("{links}\n[workflow]\npython = {:?}\n{sections}", python());
        Project::new().file("w.toml", &workflow)
    }

    /// The same project, whose default pool has these settings; it must not have others.
    pub(crate) fn with_pool(self, settings: &str) -> Self {
        let workflow = fs::read_to_string(self.path("w.toml")).unwrap();
        self.file("w.toml", &format!("{workflow}\n[pool]\n{settings}\n"))
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// The same project, in a folder below target.
    pub(crate) fn in_target(self) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        Project { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pushflow"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("PUSHFLOW_LOG")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn pushflow(&self, arguments: &[&str]) -> Finished {
        finished(self.command(arguments).output().unwrap())
    }

    /// `pushflow run w.toml ARGUMENTS…`
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.pushflow(&[&["run", "w.toml"], arguments].concat())
    }

    /// Starts `pushflow run w.toml` and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_as(&mut self.command(&[&["run", "w.toml"], arguments].concat()))
    }

    /// Starts a command in the project's folder and leaves it running.
    pub(crate) fn start_as(&self, command: &mut Command) -> Running {
        let mark = Mark::on(command);
        let mut child =
            command.current_dir(self.folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Running { child, stderr, seen: String::new(), mark }
    }
}

pub(crate) fn finished(output: Output) -> Finished {
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Finished {
    /// The output of a run that went well.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.any_json()
    }

    /// The output, however the run ended.
    pub(crate) fn any_json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {:?}\n{}", self.stdout, self.stderr))
    }
}

/// A variable of its own in the environment of a command: everything that comes of it inherits that, and whatever it does, nobody
/// can take it away.
#[derive(Clone)]
pub(crate) struct Mark(String);

impl Mark {
    const NAME: &str = "PUSHFLOW_TEST_MARK";

    /// The command's mark; it gets one if it has none.
    pub(crate) fn on(command: &mut Command) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let given = command.get_envs().find(|(name, _)| *name == Mark::NAME).and_then(|(_, value)| value);
        let mark = Mark(match given {
            Some(given) => given.to_string_lossy().into_owned(),
            None => format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)),
        });
        mark.also_on(command);
        mark
    }

    /// Puts it on a further command.
    pub(crate) fn also_on(&self, command: &mut Command) {
        command.env(Mark::NAME, &self.0);
    }

    /// The processes that have it.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let wanted = format!("{}={}\0", Mark::NAME, self.0).into_bytes();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.windows(wanted.len()).any(|window| window == wanted)
        })
        .collect()
    }

    /// Ends them, and what they start meanwhile.
    pub(crate) fn kill_all(&self) {
        let begin = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() || begin.elapsed() > Duration::from_secs(20) {
                return;
            }
            for pid in left {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

/// A `pushflow` that is running; killed when the value goes, with all that came of it.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    seen: String,
    mark: Mark,
}

impl Running {
    /// Waits until a line of the log contains this.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let count = self.stderr.read_line(&mut line).unwrap();
            assert!(count > 0, "{text:?} never came:\n{}", self.seen);
            self.seen.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub(crate) fn finish(mut self) -> Finished {
        let mut stdout = String::new();
        self.stderr.read_to_string(&mut self.seen).unwrap();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code();
        Finished { code, stdout, stderr: std::mem::take(&mut self.seen) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Most have ended by now.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Those that a supervisor has not ended which was killed.
        self.mark.kill_all();
    }
}

/// The Python that tests/run makes, with pypushflow and numpy.
pub(crate) fn python() -> PathBuf {
    let fallback = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-env/bin/python");
    let python = std::env::var_os("PUSHFLOW_TEST_PYTHON").map_or(fallback, PathBuf::from);
    assert!(python.exists(), "the tests need {}; tests/run makes it", python.display());
    python
}

/// Whether a process is there and no zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    procfs::process::Process::new(pid)
        .and_then(|process| process.stat())
        .is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// Waits until a process is gone: the kernel says so through a pidfd.
pub(crate) fn wait_until_gone(pid: i32) {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let Some(number) = rustix::process::Pid::from_raw(pid) else { return };
    let Ok(pidfd) = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty()) else { return };
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    let ready = poll(&mut fds, PollTimeout::from(20_000_u16)).unwrap();
    assert_eq!(ready, 1, "process {pid} is still there after 20 s");
}
