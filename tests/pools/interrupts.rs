//! A task that is interrupted ends with `TaskInterrupted` and its worker lives, in every type of pool; one that does
//! not listen is ended with its process.

use nix::sys::signal::Signal;

use crate::POOLS;
use crate::support::{Project, is_alive};

/// A slow task, interrupted by its timeout; then two more in the same pool, of which the second one is interrupted too.
fn interrupted(pool: &str, sleep: &str) -> Project {
    let slow = format!(
        "import os, time\ndef run(pids=(), **_):\n    pids = [*pids, os.getpid()]\n    print('pid', os.getpid())\n    {sleep}\n"
    );
    Project::with_workflow(
        "[actors.slow]\nscript = 'slow.py'\ntimeout = '300ms'\n[actors.quick]\nscript = 'quick.py'\n[actors.again]\nscript = 'again.py'\ntimeout = '300ms'\n[actors.last]\nscript = 'last.py'",
        "links = [{ from = 'start', to = 'slow' }, { from = 'slow', to = 'stop' }, { from = 'slow', to = 'quick', on_error = true }, { from = 'quick', to = 'again' }, { from = 'again', to = 'stop' }, { from = 'again', to = 'last', on_error = true }, { from = 'last', to = 'stop' }]",
    )
    .file("slow.py", &slow)
    .file("again.py", &slow)
    .file("quick.py", NOTE)
    .file("last.py", NOTE)
    .with_pool(&format!("{pool}\nmax_workers = 1\ngrace = '5s'"))
}

const NOTE: &str = "
import os
def run(WorkflowException, WorkflowExceptionInstance, seen=(), **_):
    seen = [*seen, [type(WorkflowExceptionInstance).__name__, os.getpid()]]
    return {'seen': seen, 'WorkflowException': None, 'WorkflowExceptionInstance': None}
";

#[test]
fn an_interrupted_task_ends_and_its_worker_takes_the_next_one() {
    for pool in POOLS {
        for sleep in ["time.sleep(100)", "while True: time.sleep(0.001)"] {
            let finished = interrupted(pool, sleep).run(&["--timeout", "60s"]);
            let output = finished.json();
            let seen = output["seen"].as_array().unwrap();
            let (first, second) = (&seen[0], &seen[1]);
            assert_eq!(first[1], second[1], "{pool}: another process: {}", finished.stderr);
            assert!(finished.stderr.contains(&format!("{}", first[1])), "{pool}: {}", finished.stderr);
            for kind in [&first[0], &second[0]] {
                assert!(kind == "TaskTimeout" || kind == "TaskInterrupted", "{pool}: {output}");
            }
        }
    }
}

#[test]
fn an_interrupt_between_tasks_does_nothing() {
    for pool in POOLS {
        let project = Project::with_workflow(
            "[actors.before]\nscript = 'here.py'\n[actors.interrupt]\nkind = 'exec'\npool = 'programs'\ncommand = ['sh', '-c', 'kill -s INT {pid} && kill -s INT {pid}']\n[actors.after]\nscript = 'here.py'\n[pools.programs]",
            "links = [{ from = 'start', to = 'before' }, { from = 'before', to = 'interrupt' }, { from = 'interrupt', to = 'after' }, { from = 'after', to = 'stop' }]",
        )
        .file("here.py", "import os\ndef run(pid=None, **_): return {'pid': os.getpid(), 'before': pid}\n")
        .with_pool(&format!("{pool}\nmax_workers = 1"));
        let finished = project.run(&["--timeout", "60s"]);
        let output = finished.json();
        assert!(output["pid"].is_i64() && output["pid"] == output["before"], "{pool}: {output} {}", finished.stderr);
    }
}

#[test]
fn ctrl_c_ends_the_running_task_of_every_type_of_pool() {
    for pool in POOLS {
        let project = Project::task(
            "import os, time\ndef run(**_):\n    print('pid', os.getpid(), flush=True)\n    time.sleep(100)\n",
        )
        .with_pool(pool);
        let mut running = project.start(&[]);
        running.wait_for("pid");
        running.signal(Signal::SIGINT);
        let finished = running.finish();
        assert_eq!(finished.code, Some(130), "{pool}: {}", finished.stderr);
        assert!(finished.stderr.contains("the task was interrupted"), "{pool}: {}", finished.stderr);
        assert!(!finished.stderr.contains("did not return"), "{pool}: {}", finished.stderr);
    }
}

#[test]
fn a_task_that_swallows_the_interrupt_is_ended_with_its_process() {
    for pool in POOLS {
        let project = Project::task(
            "
import os, time
def run(**_):
    told = False
    while True:
        try:
            if not told:
                told = True
                print('pid', os.getpid(), flush=True)
            time.sleep(100)
        except BaseException: print('not now', flush=True)
",
        )
        .with_pool(&format!("{pool}\ngrace = '200ms'"));
        let mut running = project.start(&[]);
        let pid = running.wait_for("pid").rsplit("pid ").next().unwrap().trim().parse().unwrap();
        running.signal(Signal::SIGINT);
        let finished = running.finish();
        assert_eq!(finished.code, Some(130), "{pool}: {}", finished.stderr);
        assert!(finished.stderr.contains("was interrupted and did not return"), "{pool}: {}", finished.stderr);
        assert!(!is_alive(pid));
    }
}

#[test]
fn a_task_beside_one_that_does_not_listen_has_the_grace_time_to_finish() {
    let project = Project::with_workflow(
        "[actors.deaf]\nscript = 'deaf.py'\ntimeout = '200ms'\n[actors.other]\nscript = 'other.py'\n[actors.after]\nscript = 'after.py'\n[actors.both]\nkind = 'join'",
        "links = [{ from = 'start', to = 'deaf' }, { from = 'start', to = 'other' }, { from = 'deaf', to = 'after', on_error = true }, { from = 'other', to = 'both' }, { from = 'after', to = 'both' }, { from = 'both', to = 'stop' }, { from = 'deaf', to = 'stop' }]",
    )
    .file("deaf.py", "
import time
def run(**_):
    while True:
        try:
            while True: time.sleep(0.01)
        except BaseException: open('refused', 'w').close()
")
    .file("other.py", "
import os, time
def run(**_):
    while not os.path.exists('refused'): time.sleep(0.01)
    time.sleep(1.2)
    return {'other': os.getpid()}
")
    .file("after.py", "
import os
def run(WorkflowException, **_):
    return {'message': WorkflowException['errorMessage'], 'after': os.getpid(), 'WorkflowException': None, 'WorkflowExceptionInstance': None}
")
    .with_pool("type = 'thread'\ngrace = '1s'");
    let finished = project.run(&["--timeout", "60s"]);
    let output = finished.json();
    assert!(output["other"].is_i64() && output["other"] != output["after"], "{output} {}", finished.stderr);
}

#[test]
fn the_traceback_shows_the_user_s_own_frames_and_no_others() {
    for pool in POOLS {
        let project =
            Project::task("def inner(): raise RuntimeError('expected failure')\ndef run(**_): return inner()\n")
                .with_pool(pool);
        let finished = project.run(&[]);
        assert_eq!(finished.code, Some(1), "{pool}");
        for text in ["expected failure", "task.py", "in inner", "in run", "RuntimeError"] {
            assert!(finished.stderr.contains(text), "{pool}: {}", finished.stderr);
        }
        assert!(!finished.stderr.contains("<pushflow"), "{pool}: {}", finished.stderr);
    }
}

#[test]
fn a_worker_is_replaced_after_so_many_tasks() {
    for pool in POOLS {
        let project = Project::with_workflow(
            "[actors.a]\nscript = 'task.py'\n[actors.b]\nscript = 'task.py'\n[actors.c]\nscript = 'task.py'",
            "links = [{ from = 'start', to = 'a' }, { from = 'a', to = 'b' }, { from = 'b', to = 'c' }, { from = 'c', to = 'stop' }]",
        )
        .file("task.py", "import os\ndef run(pids=(), **_): return {'pids': [*pids, os.getpid()]}\n")
        .with_pool(&format!("{pool}\nmax_workers = 1\nmax_tasks_per_worker = 2"));
        let output = project.run(&["--timeout", "60s"]).json();
        assert_eq!(output["pids"][0], output["pids"][1], "{pool}: {output}");
        assert_ne!(output["pids"][1], output["pids"][2], "{pool}: {output}");
    }
}
