//! The recorder as a child of a run or a service.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::server::{Server, python};
use crate::support::process::{PATIENCE, Process, output};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A workflow `flow` of one task.
    fn with(task: &str, record: &str) -> Self {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        let workflows = place.path("pushflow/workflows");
        fs::create_dir_all(&workflows).unwrap();
        fs::write(workflows.join("task.py"), task).unwrap();
        let text = format!(
            "links = [{{ from = \"start\", to = \"task\" }}, {{ from = \"task\", to = \"stop\" }}]\n\
             [workflow]\npython = \"{}\"\n[actors.task]\nscript = \"task.py\"\n[record]\ntype = \"besdb\"\n{record}\n",
            python().display()
        );
        fs::write(workflows.join("flow.toml"), text).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let folder = self.folder.path();
        command.current_dir(folder).env("XDG_CONFIG_HOME", folder).env("XDG_STATE_HOME", folder).env("NO_COLOR", "1");
        command.env("XDG_RUNTIME_DIR", folder).env_remove("DBUS_SESSION_BUS_ADDRESS");
        for name in ["MONGOURL", "INITIATOR", "HOST", "PORT", "OBJECTID"] {
            command.env_remove(format!("PYPUSHFLOW_{name}"));
        }
        command
    }
}

fn pushflow() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pushflow"))
}

/// The recorder of a run in what `pushflow ps` shows.
fn recorder(place: &Place, run: Pid) -> Option<Value> {
    let shown = output(place.command(pushflow()).args(["ps", "--json", &run.to_string()]));
    let listings: Value = serde_json::from_slice(&shown.stdout).ok()?;
    let mut processes = listings.as_array()?.iter().flat_map(|listing| listing["processes"].as_array().unwrap());
    processes.find(|process| process["kind"] == "recorder").cloned()
}

/// Waits for a recorder that is not this one, and kills it.
fn kill_recorder(place: &Place, run: Pid, not: Option<i64>) -> i64 {
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < until, "no recorder is started");
        let Some(recorder) = recorder(place, run).filter(|it| it["pid"].as_i64() != not) else {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        assert_eq!(recorder["daemonic"], true);
        assert!(!recorder["command"].as_str().unwrap().contains("mongodb:"), "{recorder}");
        let pid = recorder["pid"].as_i64().unwrap();
        let process = Pid::from_raw(i32::try_from(pid).unwrap());
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).unwrap();
        return pid;
    }
}

#[test]
fn a_recorder_that_is_killed_is_started_again_and_the_run_is_recorded() {
    let mut server = Server::start();
    // It goes on until it is told.
    let task = "
import os, time
def run(path, **_):
    print('waiting', flush=True)
    while not os.path.exists(path): time.sleep(0.1)
    return {}
";
    let place = Place::with(task, "url_file = \"mongo-url\"");
    fs::write(place.path("pushflow/workflows/mongo-url"), server.url()).unwrap();
    let end = place.path("end");
    let mut command = place.command(pushflow());
    command.args(["run", "flow", "-i", "request_id=r", "-i", &format!("path={}", end.display())]);
    let mut run = Process::start(&mut command);
    let (mut said, mut killed) = (Vec::new(), None);
    while let Some(line) = run.error_line() {
        if line.contains("runs are recorded in MongoDB") && killed.is_none() {
            killed = Some(kill_recorder(&place, run.pid(), None));
        } else if line.contains("the recorder (pushflow-mx)") {
            // The next one is killed too, and not followed by another before the run ends.
            kill_recorder(&place, run.pid(), killed);
            fs::write(&end, "").unwrap();
        }
        said.push(line);
    }
    assert!(run.end().status.success(), "{said:#?}");
    let restarts = said.iter().filter(|line| line.contains("the recorder (pushflow-mx)")).count();
    assert_eq!(restarts, 1, "{said:#?}");
    let documents = server.documents("bes", "bes");
    assert_eq!((documents.len(), &documents[0]["status"]), (1, &json!("finished")));
    assert!(!said.iter().any(|line| line.contains("s3cret")), "{said:#?}");
}

#[test]
fn where_it_is_not_installed_the_run_goes_on_and_the_package_is_named() {
    let place = Place::with("def run(**_): return {'done': True}", "");
    let alone = place.path("pushflow-alone");
    fs::copy(pushflow(), &alone).unwrap();
    let output = output(place.command(&alone).args(["run", "flow"]).env("PATH", "/usr/bin:/bin"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("there is no pushflow-mx on this host, which the package pushflow-mx has"), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"done\":true}\n");
}

#[test]
fn a_service_takes_the_address_from_its_credential() {
    let mut server = Server::start();
    let place = Place::with("def run(**_): return {'done': True}", "");
    let credentials = place.path("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("pushflow-mongo-url"), server.url()).unwrap();
    let mut command = place.command(pushflow());
    command.args(["serve", "--user", "flow"]).env("CREDENTIALS_DIRECTORY", &credentials);
    let output = output(command.env("PYPUSHFLOW_OBJECTID", "of the service"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let documents = server.documents("bes", "bes");
    assert_eq!(documents.len(), 1, "{said}");
    assert_eq!((&documents[0]["Request ID"], &documents[0]["status"]), (&json!("of the service"), &json!("finished")));
    assert!(!said.contains("s3cret"), "{said}");
}

/// Its task goes on until a file is there.
const WAITS: &str = "
import os, time
def run(path, **_):
    print('waiting', flush=True)
    while not os.path.exists(path): time.sleep(0.01)
    return {'done': True}
";

#[test]
fn a_service_does_not_notice_a_server_that_hangs_and_ends_promptly_and_the_next_recorder_records_the_rest() {
    let mut server = Server::start();
    let place = Place::with(WAITS, "url_file = \"mongo-url\"");
    fs::write(place.path("pushflow/workflows/mongo-url"), server.url()).unwrap();
    let gate = place.path("gate");
    let workflow = place.path("pushflow/workflows/flow.toml");
    let text = fs::read_to_string(&workflow).unwrap();
    fs::write(&workflow, format!("{text}[inputs]\npath = {gate:?}\nrequest_id = \"r\"\n")).unwrap();
    let mut service = Process::start(place.command(pushflow()).args(["serve", "--user", "flow"]));
    server.wait_for(json!({"actors.0.status": "started"}), 1);
    server.hang();
    service.signal(nix::sys::signal::Signal::SIGTERM);
    fs::write(&gate, "").unwrap();
    let (mut said, mut ended) = (Vec::new(), None);
    while let Some(line) = service.error_line() {
        if line.contains("run ended") {
            ended = Some(Instant::now());
        }
        said.push(line);
    }
    let status = service.end().status;
    let took = ended.unwrap_or_else(|| panic!("the run does not end: {said:#?}")).elapsed();
    assert!(status.success() || status.code() == Some(143), "{status}: {said:#?}");
    assert!(took < Duration::from_secs(20), "{took:?} after its run: {said:#?}");
    let left = said.iter().filter(|line| line.contains("not everything is recorded yet")).count();
    assert_eq!(left, 1, "{said:#?}");
    assert_eq!(server.documents("bes", "bes")[0]["status"], "started");

    server.go_on(0);
    let history = place.path("pushflow/flow/history.sqlite");
    let url = place.path("pushflow/workflows/mongo-url");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushflow-mx"));
    command.args(["--history", history.to_str().unwrap(), "--url-file", url.to_str().unwrap(), "--once"]);
    let rest = output(&mut command);
    assert!(rest.status.success(), "{rest:?}");
    server.wait_until_quiet();
    let documents = server.documents("bes", "bes");
    assert_eq!((documents.len(), &documents[0]["actors"][0]["status"]), (1, &json!("finished")), "{documents:#?}");
    assert!(documents[0]["status"] == "finished" || documents[0]["status"] == "stopped", "{documents:#?}");
}
