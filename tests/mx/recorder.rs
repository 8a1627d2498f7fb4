//! A recorder, started by a test in the place of a service.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::history::History;
use crate::server::Server;

/// How long something may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Recorder {
    process: Child,
    lines: mpsc::Receiver<String>,
    said: Vec<String>,
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
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Recorder { process, lines, said: Vec::new() }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it says this.
    pub fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.said.iter().any(|line| line.contains(text)) {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.said.push(line),
                Err(_) => panic!("it does not say {text:?}, but {:#?}", self.said),
            }
        }
    }

    /// Nothing more comes: how it ends, and all that it has said.
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        drop(self.process.stdin.take());
        let mut said = std::mem::take(&mut self.said);
        let until = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => said.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {said:#?}"),
            }
        }
        (self.process.wait().unwrap(), said)
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
