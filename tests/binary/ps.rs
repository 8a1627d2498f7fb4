//! `pushflow ps` shows what runs, and says so when nothing does.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::process::output;
use crate::support::{Finished, Project, Running, finished};

/// A task with children that Python announces, and one that it does not.
const FAMILY: &str = "
import multiprocessing, os, subprocess, time
def sleep(): time.sleep(1000)
def run(**_):
    daemonic = multiprocessing.Process(target=sleep, daemon=True)
    daemonic.start()
    program = subprocess.Popen(['sh', '-c', 'sleep 1000 & echo $! > found; wait'])
    while not os.path.exists('found') or not open('found').read(): time.sleep(0.01)
    print('pids', os.getpid(), daemonic.pid, program.pid, open('found').read().strip(), flush=True)
    time.sleep(1000)
";

/// A project whose runtime folder is its own, with a workflow that no other test runs.
struct Host {
    project: Project,
    name: String,
}

impl Host {
    fn new(script: &str) -> Self {
        let project = Project::task(script).with_pool("grace = '300ms'");
        std::fs::create_dir(project.path("runtime")).unwrap();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ps-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        std::fs::rename(project.path("w.toml"), project.path(&format!("{name}.toml"))).unwrap();
        Host { project, name }
    }

    fn folder(&self) -> PathBuf {
        self.project.path("runtime")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.command(arguments);
        // Root's `ps` looks in /run/pushflow as well: what else runs on this host is told from this by its name.
        command.env("XDG_RUNTIME_DIR", self.folder()).env("TMPDIR", self.folder());
        command
    }

    fn run(&self) -> Command {
        self.command(&["run", &format!("{}.toml", self.name)])
    }

    fn start(&self) -> Running {
        self.project.start_as(&mut self.run())
    }

    fn ps(&self, arguments: &[&str]) -> Finished {
        finished(output(&mut self.command(&[&["ps"], arguments].concat())))
    }

    /// The run with this process, as JSON.
    fn listing(&self, running: &Running) -> Value {
        let finished = self.ps(&["--json", &running.pid().to_string()]);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let listings: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(listings.as_array().unwrap().len(), 1, "{listings}");
        listings[0].clone()
    }
}

fn pids(line: &str) -> Vec<i64> {
    line.split("pids ").nth(1).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn process(listing: &Value, pid: i64) -> Value {
    let processes = listing["processes"].as_array().unwrap();
    processes.iter().find(|process| process["pid"] == pid).unwrap_or_else(|| panic!("{pid} in {listing}")).clone()
}

#[test]
fn every_process_of_a_run_is_there_with_its_place_and_figures() {
    let host = Host::new(FAMILY);
    let mut running = host.start();
    let pids = pids(&running.wait_for("pids"));
    let listing = host.listing(&running);
    assert_eq!(listing["workflow"], *host.name);
    assert_eq!(listing["tasks"], 1);
    let kinds: Vec<_> =
        listing["processes"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["guardian", "supervisor", "forkserver", "worker", "child", "child", "child"], "{listing}");
    let [worker, daemonic, program, found] = [0, 1, 2, 3].map(|at| process(&listing, pids[at]));
    for its in [&worker, &daemonic, &program, &found] {
        assert_eq!(its["pool"], "default", "{its}");
        assert_eq!(its["actor"], "task", "{its}");
        assert_eq!(its["run"], 0, "{its}");
        assert!(its["memory_current"].as_u64().unwrap() > 100_000, "{its}");
        assert!(its["cpu_usage_nsec"].is_u64() && its["age_msec"].as_u64().unwrap() < 600_000, "{its}");
    }
    let flags = |its: &Value| (its["daemonic"].as_bool().unwrap(), its["announced"].as_bool().unwrap());
    assert_eq!(
        [&worker, &daemonic, &program, &found].map(flags),
        [(false, true), (true, true), (false, true), (false, false)]
    );
    assert_eq!(found["parent"], program["pid"]);
    assert_eq!(found["command"], "sleep 1000");
    running.signal(Signal::SIGINT);
    assert_eq!(running.finish().code, Some(130));
}

#[test]
fn the_table_is_plain_in_a_pipe() {
    let host = Host::new(FAMILY);
    let mut running = host.start();
    let pids = pids(&running.wait_for("pids"));
    let finished = host.ps(&[&host.name]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let found = finished.stdout.lines().find(|line| line.trim_start().starts_with(&pids[3].to_string())).unwrap();
    let words: Vec<_> = found.split_whitespace().collect();
    assert_eq!((words[1], words[2], words[3], words[4]), ("N*", "default", "task", "0"), "{}", finished.stdout);
    assert!(found.ends_with("sleep 1000"), "{}", finished.stdout);
    assert!(finished.stdout.starts_with(&format!("{} (pid {}): 1 task runs, 7 processes\n", host.name, running.pid())));
    assert!(!finished.stdout.contains(['├', '└', '\x1b']), "{}", finished.stdout);
}

#[test]
fn several_runs_of_one_workflow_are_all_shown() {
    let host = Host::new(FAMILY);
    let (mut one, mut two) = (host.start(), host.start());
    one.wait_for("pids");
    two.wait_for("pids");
    let listings: Value = serde_json::from_str(&host.ps(&["--json", &host.name]).stdout).unwrap();
    let mut shown: Vec<_> =
        listings.as_array().unwrap().iter().map(|listing| listing["pid"].as_i64().unwrap()).collect();
    let mut wanted = vec![i64::from(one.pid().as_raw()), i64::from(two.pid().as_raw())];
    shown.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(shown, wanted);
    assert_eq!(host.listing(&two)["pid"], two.pid().as_raw());
}

#[test]
fn watch_goes_on_until_nothing_runs_any_more() {
    let host = Host::new(FAMILY);
    let mut running = host.start();
    running.wait_for("pids");
    let watching = host.project.start_as(&mut host.command(&["ps", &host.name, "--watch", "--json"]));
    running.signal(Signal::SIGINT);
    assert_eq!(running.finish().code, Some(130));
    let watched = watching.finish();
    assert_eq!(watched.code, Some(0), "{}", watched.stderr);
}

#[test]
fn where_nothing_runs_it_says_so_with_status_3() {
    let host = Host::new("def run(**_): return {}");
    let finished = host.ps(&[&host.name]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(3), ""));
    let said = format!("pushflow: {} is not running here", host.name);
    // Another's supervisor that does not answer is told too.
    assert!(finished.stderr.lines().any(|line| line.starts_with(&said)), "{}", finished.stderr);
}

#[test]
fn a_socket_that_a_killed_run_has_left_is_removed() {
    let host = Host::new(FAMILY);
    let mut running = host.start();
    running.wait_for("pids");
    let supervisor = host.listing(&running)["supervisor"].as_i64().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor as i32), Signal::SIGKILL).unwrap();
    let pid = running.pid().to_string();
    assert_eq!(running.finish().code, Some(137));
    let sockets = || {
        let folders = [host.folder().join("pushflow"), PathBuf::from("/run/pushflow")];
        folders.into_iter().filter(|folder| folder.join(format!("{supervisor}.sock")).exists()).count()
    };
    assert_eq!(sockets(), 1);
    assert_eq!(host.ps(&[&pid]).code, Some(3));
    assert_eq!(sockets(), 0);
}

#[test]
fn a_run_that_has_ended_leaves_no_socket() {
    let host = Host::new("def run(**_): return {}");
    assert_eq!(host.start().finish().code, Some(0));
    let left = std::fs::read_dir(host.folder().join("pushflow")).map_or(0, |entries| entries.count());
    assert_eq!(left, 0);
}

#[test]
fn a_socket_that_cannot_be_made_costs_no_run() {
    let host = Host::new("def run(**_): return {'ok': True}");
    std::fs::write(host.folder().join("pushflow"), "a file, no folder").unwrap();
    std::fs::set_permissions(host.folder(), std::fs::Permissions::from_mode(0o500)).unwrap();
    let running = host.project.start_as(host.run().env("TMPDIR", "/proc"));
    assert_eq!(running.finish().json()["ok"], true);
    std::fs::set_permissions(host.folder(), std::fs::Permissions::from_mode(0o700)).unwrap();
}
