//! A Debian that is booted for one script: the Rust side of `tests/systemd/machine`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::process;

/// Each script has a timeout of its own; before it a machine may have to be made.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// A machine to be.
pub(crate) struct Machine {
    kind: &'static str,
    files: tempfile::TempDir,
    command: Command,
}

/// How the script in a machine ended.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    /// What it printed, standard output and standard error as they came.
    pub(crate) output: String,
    /// What the machine said of itself where it failed.
    complaint: String,
}

/// One virtual machine at a time: two would take longer than one after the other.
static VM: Mutex<()> = Mutex::new(());

impl Machine {
    /// A container: boots in a second; its cgroups have no controllers.
    pub(crate) fn container() -> Self {
        Machine::new("container")
    }

    /// A virtual machine: boots in half a minute; its cgroups have all controllers.
    pub(crate) fn vm() -> Self {
        Machine::new("vm")
    }

    fn new(kind: &'static str) -> Self {
        Machine::without_pushflow(kind).path(Path::new(env!("CARGO_BIN_EXE_pushflow")), "/usr/bin/pushflow")
    }

    /// One that has no pushflow yet; `vm` or `container`.
    pub(crate) fn without_pushflow(kind: &'static str) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(here.join("tests/systemd/machine"));
        command.arg(kind);
        Machine { kind, files: tempfile::tempdir().expect("a temporary folder"), command }
    }

    /// Gives the script so many seconds, start of the machine included.
    pub(crate) fn patient(mut self, seconds: u32) -> Self {
        self.command.args(["--timeout", &seconds.to_string()]);
        self
    }

    /// Puts a file or folder of this host into the machine.
    pub(crate) fn path(mut self, here: &Path, there: &str) -> Self {
        self.command.arg("--file").arg(format!("{}={there}", here.display()));
        self
    }

    /// Puts a text into the machine.
    pub(crate) fn file(self, there: &str, text: &str) -> Self {
        let here = self.files.path().join(there.trim_start_matches('/').replace('/', "+"));
        fs::write(&here, text).expect("a temporary file");
        self.path(&here, there)
    }

    /// Boots it, runs a bash script in it as root, and switches it off. The script goes on after a command that fails,
    /// unless it says `set -e`.
    pub(crate) fn run(mut self, script: &str) -> Outcome {
        let place = self.files.path().join("script");
        fs::write(&place, format!("#!/bin/bash\n{script}")).expect("a temporary file");
        self.command.arg(&place);
        let _one = (self.kind == "vm").then(|| VM.lock().unwrap_or_else(PoisonError::into_inner));
        let output = process::output_within(&mut self.command, PATIENCE);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Outcome { code: output.status.code(), output: text(&output.stdout), complaint: text(&output.stderr) }
    }
}

impl Outcome {
    /// The script ended with status 0; what it printed.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.output, self.complaint);
        self.output
    }
}
