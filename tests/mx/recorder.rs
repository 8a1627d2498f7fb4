//! A recorder, started by a test in the place of a service.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};

use crate::history::History;
use crate::server::Server;
use crate::support::process::Process;

pub struct Recorder {
    process: Process,
    /// While it is there, so is the test's interest.
    stdin: Option<ChildStdin>,
}

/// The recorder's command, with nothing of the user's own.
pub fn command(history: &History, server: &Server) -> Command {
    let url = url_file(history, &server.url());
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushflow-mx"));
    command.arg("--history").arg(history.file()).arg("--url-file").arg(url);
    for name in ["MONGOURL", "INITIATOR", "HOST", "PORT", "OBJECTID"] {
        command.env_remove(format!("PYPUSHFLOW_{name}"));
    }
    command
}

/// A file that only its owner reads.
pub fn url_file(history: &History, url: &str) -> PathBuf {
    let path = history.folder().join("mongo-url");
    std::fs::write(&path, format!("{url}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

impl Recorder {
    /// Starts it as a service does: its standard input ends with the test's interest.
    pub fn start(mut command: Command) -> Self {
        command.arg("--with-parent").stdin(Stdio::piped());
        Self::spawn(command)
    }

    /// Starts it to record what is there.
    pub fn once(mut command: Command) -> Self {
        command.arg("--once").stdin(Stdio::null());
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut process = Process::start(&mut command);
        let stdin = process.stdin();
        Recorder { process, stdin }
    }

    pub fn pid(&self) -> u32 {
        self.process.pid().as_raw() as u32
    }

    /// Waits until it says this, or has said it before.
    pub fn wait_for(&mut self, text: &str) {
        if !self.process.has_said(text) {
            self.process.wait_for(text);
        }
    }

    /// Nothing more comes: how it ends, and all that it has said.
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        drop(self.stdin.take());
        let ended = self.process.end();
        let said = String::from_utf8(ended.stderr).unwrap();
        (ended.status, said.lines().map(str::to_owned).collect())
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.process.kill();
    }
}
