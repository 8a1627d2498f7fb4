//! SIGINT, SIGTERM and death of the supervisor.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::process::wait_until_gone;
use crate::support::{Project, is_alive};

const SLEEPER: &str = "
import os, subprocess, time
def run(**_):
    child = subprocess.Popen(['sleep', '1000'], start_new_session=True)
    print('pids', os.getpid(), child.pid, flush=True)
    time.sleep(100)
    return {}
";

fn pids(line: &str) -> Vec<i32> {
    line.split("pids ").nth(1).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// A workflow with a slow task and an error link to stop.
fn sleeper(script: &str) -> Project {
    Project::with_workflow(
        "[pool]\ngrace = '500ms'\n[actors.slow]\nscript = 'slow.py'",
        "links = [{ from = 'start', to = 'slow' }, { from = 'slow', to = 'stop' }, { from = 'slow', to = 'stop', on_error = true }]",
    )
    .file("slow.py", script)
}

#[test]
fn one_interrupt_ends_the_running_task_and_the_run_with_status_130() {
    let project = sleeper(SLEEPER);
    let mut running = project.start(&[]);
    let pids = pids(&running.wait_for("pids"));
    running.signal(Signal::SIGINT);
    running.wait_for("press Ctrl-C again to kill them");
    let finished = running.finish();
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    assert_eq!(finished.any_json()["WorkflowException"]["errorMessage"], "the task was interrupted");
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "{pids:?}");
}

#[test]
fn a_second_interrupt_kills_what_does_not_listen() {
    let project = sleeper(
        "
import os, signal, time
def run(**_):
    told = False
    while True:
        try:
            if not told:
                told = True
                print('pids', os.getpid(), flush=True)
            time.sleep(100)
        except KeyboardInterrupt:
            print('not now', flush=True)
",
    );
    let mut running = project.start(&[]);
    let pids = pids(&running.wait_for("pids"));
    running.signal(Signal::SIGINT);
    running.wait_for("not now");
    running.signal(Signal::SIGINT);
    let finished = running.finish();
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    assert!(!is_alive(pids[0]));
}

#[test]
fn sigterm_lets_the_running_task_finish_and_starts_nothing_new() {
    let project = Project::with_workflow(
        "[actors.slow]\nscript = 'slow.py'\n[actors.next]\nscript = 'next.py'",
        "links = [{ from = 'start', to = 'slow' }, { from = 'slow', to = 'next' }, { from = 'next', to = 'stop' }, { from = 'next', to = 'stop', on_error = true }]",
    )
    .file("slow.py", "import os, time\ndef run(**_):\n    print('pids', os.getpid(), flush=True)\n    while not os.path.exists('go'): time.sleep(0.01)\n    return {'slow': 'done'}")
    .file("next.py", "def run(**_): return {'next': 'done'}");
    let mut running = project.start(&[]);
    running.wait_for("pids");
    running.signal(Signal::SIGTERM);
    running.wait_for("no new task starts");
    std::fs::write(project.path("go"), "").unwrap();
    let finished = running.finish();
    assert_eq!(finished.code, Some(143), "{}", finished.stderr);
    let output = finished.any_json();
    assert_eq!(output["slow"], "done");
    assert!(output.get("next").is_none());
    assert_eq!(output["WorkflowException"]["errorMessage"], "the workflow was stopped by SIGTERM");
}

#[test]
fn a_killed_supervisor_leaves_no_worker_behind() {
    let project =
        sleeper("import os, time\ndef run(**_):\n    print('pids', os.getpid(), flush=True)\n    time.sleep(100)\n");
    let mut running = project.start(&[]);
    let pids = pids(&running.wait_for("pids"));
    running.signal(Signal::SIGKILL);
    wait_until_gone(pids[0]);
}

#[test]
fn nothing_that_a_task_left_running_outlives_the_run() {
    let project = Project::task(
        "
import os, subprocess
def run(**_):
    child = subprocess.Popen(['sh', '-c', 'trap \"\" INT TERM; sleep 1000 & sleep 1000'], start_new_session=True)
    return {'pid': child.pid}
",
    );
    let output = project.with_pool("grace = '200ms'\n[service]\nstop_timeout = '500ms'").run(&[]).json();
    assert!(!is_alive(i32::try_from(output["pid"].as_i64().unwrap()).unwrap()));
}

#[test]
fn a_module_that_is_still_being_imported_does_not_hold_up_an_interrupt() {
    let project = sleeper("import time\nprint('importing', flush=True)\ntime.sleep(60)\ndef run(**_): return {}");
    let mut running = project.start(&[]);
    running.wait_for("importing");
    let interrupted = Instant::now();
    running.signal(Signal::SIGINT);
    let finished = running.finish();
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    assert_eq!(finished.any_json()["WorkflowException"]["errorMessage"], "the workflow was interrupted by SIGINT");
    assert!(interrupted.elapsed() < Duration::from_secs(30), "{}", finished.stderr);
    assert!(!finished.stderr.contains("forkserver"), "{}", finished.stderr);
}

#[test]
fn an_interrupt_while_the_output_is_written_ends_the_wait() {
    let project = sleeper(
        "
import time
class Slow:
    def __init__(self): self.values = {1, 2}
    def __repr__(self):
        print('writing', flush=True)
        time.sleep(60)
def run(**_): return {'slow': Slow(), 'plain': 1}
",
    );
    let mut running = project.start(&[]);
    running.wait_for("writing");
    let interrupted = Instant::now();
    running.signal(Signal::SIGINT);
    let finished = running.finish();
    assert_eq!(finished.any_json()["plain"], 1);
    assert_eq!(finished.any_json()["slow"]["$type"], "object");
    assert!(interrupted.elapsed() < Duration::from_secs(30), "{}", finished.stderr);
}

#[test]
fn nohup_makes_the_end_of_the_terminal_mean_nothing() {
    let project = sleeper(
        "import os, time\ndef run(**_):\n    print('running', flush=True)\n    while not os.path.exists('go'): time.sleep(0.01)\n    return {'done': True}",
    );
    let pushflow = env!("CARGO_BIN_EXE_pushflow");
    let mut running =
        project.start_as(project.program("sh").args(["-c", "trap '' HUP; exec \"$0\" run w.toml", pushflow]));
    running.wait_for("running");
    running.signal(Signal::SIGHUP);
    std::fs::write(project.path("go"), "").unwrap();
    assert_eq!(running.finish().json()["done"], true);
}
