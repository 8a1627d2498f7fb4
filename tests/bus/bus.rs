//! A bus of one's own, and services on it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::process::{Process, output};
use crate::support::{Finished, Project, Running, finished, python};

/// A `dbus-daemon`, ended with the value.
pub(crate) struct Bus {
    daemon: Process,
    folder: tempfile::TempDir,
}

impl Bus {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let daemon = start_daemon(folder.path());
        Bus { daemon, folder }
    }

    /// One with a configuration of its own, in which ADDRESS is the path of the socket. All users can reach it.
    pub(crate) fn with_configuration(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let socket = folder.path().join("bus").display().to_string();
        std::fs::write(folder.path().join(CONFIGURATION), text.replace("ADDRESS", &socket)).unwrap();
        let daemon = start_daemon(folder.path());
        Bus { daemon, folder }
    }

    pub(crate) fn address(&self) -> String {
        address(self.folder.path())
    }

    /// Ends the bus, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.daemon.kill();
        let _ = std::fs::remove_file(self.folder.path().join("bus"));
    }

    /// Another one, at the same address.
    pub(crate) fn start_again(&mut self) {
        self.daemon = start_daemon(self.folder.path());
    }

    /// A command on this bus.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("DBUS_SESSION_BUS_ADDRESS", self.address()).env("NO_COLOR", "1");
        command
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Finished {
        finished(output(self.command(program, arguments).stdin(Stdio::null())))
    }

    /// A method of a service's root object; what busctl says of the answer.
    pub(crate) fn call(&self, name: &str, method: &str, arguments: &[&str]) -> Finished {
        self.call_on(name, "/org/pushflow/workflow", "org.pushflow.Workflow1", method, arguments)
    }

    /// Asks `w` for a run of [`WAITS`] that goes on until there is a file of this name in the project.
    pub(crate) fn ask_until(&self, project: &Project, gate: &str) -> Finished {
        let gate = project.path(gate).display().to_string();
        self.call("w", "Run", &["a{sv}a{sv}", "1", "until", "s", &gate, "0"])
    }

    /// The same, and it is accepted.
    pub(crate) fn run_until(&self, project: &Project, gate: &str) {
        let asked = self.ask_until(project, gate);
        assert_eq!(asked.code, Some(0), "{}", asked.stderr);
    }

    pub(crate) fn call_on(
        &self,
        name: &str,
        path: &str,
        interface: &str,
        method: &str,
        arguments: &[&str],
    ) -> Finished {
        let service = format!("org.pushflow.Workflow1.{name}");
        self.run("busctl", &[&["--user", "call", "--", &service, path, interface, method], arguments].concat())
    }

    /// A property as JSON.
    pub(crate) fn property(&self, name: &str, path: &str, interface: &str, property: &str) -> Value {
        let service = format!("org.pushflow.Workflow1.{name}");
        let got = self.run("busctl", &["--user", "--json=short", "get-property", &service, path, interface, property]);
        assert_eq!(got.code, Some(0), "{property}: {}", got.stderr);
        serde_json::from_str::<Value>(&got.stdout).unwrap()["data"].clone()
    }

    pub(crate) fn workflow(&self, name: &str, property: &str) -> Value {
        self.property(name, "/org/pushflow/workflow", "org.pushflow.Workflow1", property)
    }

    pub(crate) fn run_property(&self, name: &str, run: u64, property: &str) -> Value {
        self.property(name, &format!("/org/pushflow/workflow/run/{run}"), "org.pushflow.Run1", property)
    }

    /// How a run ended. The log says that it has a moment before that is on the disk, and told.
    pub(crate) fn end(&self, name: &str, run: u64) -> Value {
        let status =
            (0..500).map(|_| self.run_property(name, run, "Status")).find(|it| it != "running" && it != "queued");
        status.unwrap_or_else(|| panic!("run {run} does not end"))
    }

    /// What a run gave.
    pub(crate) fn outputs(&self, name: &str, run: u64) -> Value {
        self.end(name, run);
        let text = self.run_property(name, run, "Outputs");
        serde_json::from_str(text.as_str().unwrap()).unwrap()
    }

    /// `pushflow ARGUMENTS… --user`, with this project's workflows installed.
    pub(crate) fn pushflow(&self, project: &Project, arguments: &[&str]) -> Finished {
        finished(output(&mut self.pushflow_command(project, arguments)))
    }

    pub(crate) fn pushflow_command(&self, project: &Project, arguments: &[&str]) -> Command {
        let mut command = project.command(&[arguments, &["--user"]].concat());
        command.env("XDG_CONFIG_HOME", project.path("")).env("DBUS_SESSION_BUS_ADDRESS", self.address());
        command
    }

    /// Starts `pushflow serve NAME` and waits until it is on the bus and ready.
    pub(crate) fn serve(&self, project: &Project, name: &str) -> Running {
        let mut service = self.start(project, name);
        service.wait_for("on the session bus");
        service.wait_for("ready");
        service
    }

    pub(crate) fn start(&self, project: &Project, name: &str) -> Running {
        project.start_as(&mut self.pushflow_command(project, &["serve", name]))
    }
}

fn address(folder: &Path) -> String {
    format!("unix:path={}", folder.join("bus").display())
}

/// The file in a bus's folder that it is configured by, if it is there.
const CONFIGURATION: &str = "bus.conf";

fn start_daemon(folder: &Path) -> Process {
    let configuration = folder.join(CONFIGURATION);
    let configuration = match configuration.exists() {
        true => format!("--config-file={}", configuration.display()),
        false => "--session".to_owned(),
    };
    let mut command = Command::new("dbus-daemon");
    command
        .args([&configuration, "--nofork", "--nopidfile", "--print-address=1"])
        .arg(format!("--address={}", address(folder)))
        .stdin(Stdio::null());
    let mut daemon = Process::start(&mut command);
    // It prints its address once it listens.
    let line = daemon.line();
    assert!(line.starts_with("unix:path="), "{line}");
    daemon
}

/// A project in which workflows are installed as a user's are.
pub(crate) struct Installed(pub(crate) Project);

impl Installed {
    /// With the resident workflow `w`, whose one actor `task` has this script; `settings` are those of `[service]`.
    pub(crate) fn resident(settings: &str, script: &str) -> Project {
        Installed(Project::new()).workflow("w", &format!("mode = 'resident'\n{settings}"), script).0
    }

    /// With a further workflow like that.
    pub(crate) fn workflow(self, name: &str, settings: &str, script: &str) -> Self {
        let text = format!(
            "links = [{{ from = 'start', to = 'task' }}, {{ from = 'task', to = 'stop' }}]\n\
             [workflow]\npython = {:?}\ndescription = 'A test'\n[service]\n{settings}\n[pool]\ngrace = '500ms'\n\
             [actors.task]\nscript = '{name}.py'\n",
            python()
        );
        let folder = "pushflow/workflows";
        Installed(self.0.file(&format!("{folder}/{name}.toml"), &text).file(&format!("{folder}/{name}.py"), script))
    }
}

/// A task that says that it runs, and goes on until a file is there.
pub(crate) const WAITS: &str = "
import os, time
def run(until, **_):
    print('waiting for', until, flush=True)
    while not os.path.exists(until):
        time.sleep(0.01)
    return {'waited': True}
";
