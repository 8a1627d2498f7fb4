//! A folder with a workflow in it, and the `pushflow` that runs it.

#[allow(dead_code, reason = "no test crate uses all of it")]
#[path = "process.rs"]
pub(crate) mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use process::{Process, output};

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
        let mut command = self.program(env!("CARGO_BIN_EXE_pushflow"));
        command.args(arguments);
        command
    }

    /// Another program, which has nothing of the user's either: its folders are the project's, and there is no bus.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", self.path("no-system-bus").display()))
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .env_remove("PUSHFLOW_LOG")
            .stdin(Stdio::null());
        for name in ["CONFIG", "STATE", "CACHE", "DATA"] {
            command.env_remove(format!("XDG_{name}_HOME"));
        }
        for name in ["CONFIGURATION", "STATE", "CACHE", "RUNTIME", "LOGS"] {
            command.env_remove(format!("{name}_DIRECTORY"));
        }
        command
    }

    pub(crate) fn pushflow(&self, arguments: &[&str]) -> Finished {
        finished(output(&mut self.command(arguments)))
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
        Running(Process::start(command.current_dir(self.folder.path())))
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

/// A `pushflow` that is running; killed when the value goes, with all that came of it.
pub(crate) struct Running(Process);

impl Running {
    /// Waits until a line of the log contains this.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.0.wait_for(text)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.0.signal(signal);
    }

    pub(crate) fn pid(&self) -> Pid {
        self.0.pid()
    }

    pub(crate) fn finish(self) -> Finished {
        finished(self.0.end())
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
