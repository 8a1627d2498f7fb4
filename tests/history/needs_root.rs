//! A disk that hangs under the history: what callers see, what goes on, and how the service ends.

use std::os::unix::fs::symlink;
use std::process::Output;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::bus::{Bus, Installed};
use crate::frozen::Disk;
use crate::history;
use crate::support::Project;
use crate::support::process::Process;

/// A task that leaves a file, and goes on until another is there.
const MARKS_AND_WAITS: &str = "
import os, time
def run(mark, until='/', **_):
    open(mark, 'w').close()
    print('waiting for', until, flush=True)
    while not os.path.exists(until):
        time.sleep(0.01)
    return {}
";

/// What is answered at once, on a machine that has other things to do.
const AT_ONCE: Duration = Duration::from_secs(6);

/// The resident workflow `w`, whose history is on this disk.
fn on(disk: &Disk) -> Project {
    let project = Installed::resident("", MARKS_AND_WAITS);
    std::fs::create_dir(project.path(".local")).unwrap();
    symlink(disk.path(), project.path(".local/state")).unwrap();
    project
}

/// Asks for a run that leaves a file of this name, and ends when `gate` is there.
fn ask(bus: &Bus, project: &Project, mark: &str) -> Process {
    let path = |name: &str| project.path(name).display().to_string();
    let (mark, gate) = (path(mark), path("gate"));
    let arguments = [
        &["--user", "call", "org.pushflow.Workflow1.w", "/org/pushflow/workflow", "org.pushflow.Workflow1"][..],
        &["Run", "a{sv}a{sv}", "2", "mark", "s", &mark, "until", "s", &gate, "0"],
    ];
    Process::start(&mut bus.command("busctl", &arguments.concat()))
}

fn assert_refused(answer: &Output) {
    let said = String::from_utf8_lossy(&answer.stderr);
    assert!(said.contains("is not accepted") && said.contains("the disk does not answer"), "{answer:?}");
}

#[test]
fn runs_are_refused_while_the_disk_hangs_and_never_begin_and_everything_else_goes_on() {
    let (disk, bus) = (Disk::new(), Bus::new());
    let project = on(&disk);
    let mut service = bus.serve(&project, "w");
    for name in ["running", "queued", "next"] {
        let answer = ask(&bus, &project, name).end();
        assert!(answer.status.success(), "{answer:?}");
    }
    service.wait_for("waiting for");
    // Thaws before the service is ended, should the test fail.
    let frozen = disk.freeze();

    let begin = Instant::now();
    let caller = ask(&bus, &project, "refused");
    for arguments in [&["status", "w"][..], &["status"], &["list"], &["ps", "w"]] {
        let (asked, answer) = (Instant::now(), bus.pushflow(&project, arguments));
        assert_eq!(answer.code, Some(0), "{arguments:?}: {}", answer.stderr);
        assert!(asked.elapsed() < AT_ONCE, "{arguments:?}: {:?}", asked.elapsed());
    }
    assert_refused(&caller.end());
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(9) && took < Duration::from_secs(20), "{took:?}");
    service.wait_for("the disk of the history has not answered for 10 seconds: new runs are refused");

    // From then on at once, whatever is asked.
    let begin = Instant::now();
    assert_refused(&ask(&bus, &project, "refused").end());
    let stopped = bus.pushflow(&project, &["stop", "w", "2"]);
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert_eq!(bus.run_property("w", 2, "Status"), "stopped");
    assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());

    // What runs ends, and what was accepted begins.
    let project = project.file("gate", "");
    assert_eq!((bus.end("w", 1), bus.end("w", 3)), (json!("finished"), json!("finished")));

    drop(frozen);
    service.wait_for("the disk of the history answers again");
    let accepted = ask(&bus, &project, "accepted").end();
    assert!(accepted.status.success(), "{accepted:?}");
    service.wait_for("run ended: finished");
    assert_eq!(bus.call("w", "Drain", &[]).code, Some(0));
    let ended = service.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!project.path("refused").exists(), "what was refused has not run: {}", ended.stderr);
    let statuses: Vec<_> = history(&project, &["w"]).iter().map(|run| run["status"].clone()).collect();
    assert_eq!(statuses, ["finished", "finished", "stopped", "finished"], "what was refused is not there");
    assert!(!project.path("pushflow/w/refused").exists());
}

#[test]
fn a_service_ends_while_the_disk_hangs_and_says_so() {
    let (disk, bus) = (Disk::new(), Bus::new());
    let project = on(&disk);
    let mut service = bus.serve(&project, "w");
    assert!(ask(&bus, &project, "running").end().status.success());
    service.wait_for("waiting for");
    let frozen = disk.freeze();
    let caller = ask(&bus, &project, "refused");
    assert_refused(&caller.end());

    let begin = Instant::now();
    service.signal(Signal::SIGTERM);
    service.wait_for("running tasks may finish");
    let project = project.file("gate", "");
    service.wait_for("every process is gone");
    service.wait_for("the disk of the history does not answer: the last events are not recorded");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    // The kernel keeps the process; the name is free for the next one.
    while bus.call("w", "Drain", &[]).code == Some(0) {
        assert!(begin.elapsed() < Duration::from_secs(60), "it is still on the bus");
    }
    drop(frozen);
    let ended = service.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    let mut service = bus.serve(&project, "w");
    assert!(ask(&bus, &project, "accepted").end().status.success());
    service.wait_for("run ended: finished");
    assert!(!project.path("refused").exists(), "what was refused has not run");
}
