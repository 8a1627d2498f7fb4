//! Workers that die, lie or hang up: the task ends with an error that says so, and nothing is left behind.

use crate::support::Project;

/// A workflow in which `task` breaks its worker and `after` runs on the error link.
fn broken_by(body: &str) -> Project {
    Project::with_workflow(
        "[pool]\nmax_workers = 1\n[actors.task]\nscript = 'task.py'\n[actors.after]\nscript = 'after.py'",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }, { from = 'task', to = 'after', on_error = true }, { from = 'after', to = 'stop' }]",
    )
    .file("task.py", &format!("import ctypes, gc, os, signal, socket, time\ndef run(**_):\n    {body}\n    time.sleep(100)\n"))
    .file(
        "after.py",
        "def run(WorkflowException, WorkflowExceptionInstance, **_): return {'message': WorkflowException['errorMessage'], 'type': type(WorkflowExceptionInstance).__name__, 'WorkflowException': None, 'WorkflowExceptionInstance': None}",
    )
}

fn error_after(body: &str) -> String {
    let output = broken_by(body).run(&[]).json();
    assert_eq!(output["type"], "WorkerLost");
    output["message"].as_str().unwrap().to_owned()
}

/// Finds the worker's own connection: the only socket it has.
const FIND_SOCKET: &str = "fd = next(int(fd) for fd in os.listdir('/proc/self/fd') if 'socket:' in (os.path.exists('/proc/self/fd/' + fd) and os.readlink('/proc/self/fd/' + fd) or os.path.islink('/proc/self/fd/' + fd) and os.readlink('/proc/self/fd/' + fd)))";

#[test]
fn a_worker_killed_by_a_signal_is_reported_with_the_signal() {
    for signal in ["SIGKILL", "SIGSEGV", "SIGABRT"] {
        let message = error_after(&format!("os.kill(os.getpid(), signal.{signal})"));
        assert_eq!(message, format!("the worker process of the task was killed by {signal}"));
    }
}

#[test]
fn a_worker_that_exits_is_reported_with_its_exit_code() {
    assert_eq!(error_after("os._exit(3)"), "the worker process of the task exited with code 3");
}

#[test]
fn a_crash_in_c_shows_the_python_stack_in_the_log() {
    let finished = broken_by("ctypes.string_at(0)").run(&[]);
    assert!(finished.stderr.contains("Segmentation fault"), "{}", finished.stderr);
    assert!(finished.stderr.contains("in run"), "{}", finished.stderr);
}

#[test]
fn a_worker_that_closes_its_connection_is_reported_and_ended() {
    let message = error_after(&format!("{FIND_SOCKET}; os.close(fd)"));
    assert_eq!(message, "the worker process of the task closed its connection");
}

#[test]
fn a_worker_that_sends_garbage_is_reported_and_ended() {
    let message = error_after(&format!("{FIND_SOCKET}; os.write(fd, b'garbage, which is no frame at all')"));
    assert!(message.starts_with("the worker process of the task sent garbage: a frame of "), "{message}");
}

#[test]
fn an_import_that_kills_the_interpreter_is_an_error_of_its_actor_alone() {
    let project = Project::with_workflow(
        "[actors.good]\nscript = 'good.py'\n[actors.deadly]\nscript = 'deadly.py'",
        "links = [{ from = 'start', to = 'good' }, { from = 'good', to = 'deadly' }, { from = 'deadly', to = 'stop' }, { from = 'deadly', to = 'stop', on_error = true }]",
    )
    .file("good.py", "def run(**_): return {'good': True}")
    .file("deadly.py", "import os\nos._exit(7)\ndef run(**_): return {}");
    let finished = project.run(&[]);
    let output = finished.any_json();
    assert_eq!(output["good"], true, "{}", finished.stderr);
    assert_eq!(output["WorkflowException"]["errorMessage"], "the worker process of the task exited with code 7");
}

#[test]
fn a_lost_task_is_tried_again_when_the_file_says_so() {
    let project = Project::with_workflow(
        "[actors.task]\nscript = 'task.py'\nretries = 1",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]",
    )
    .file("task.py", "import os\ndef run(**_):\n    if not os.path.exists('tried'):\n        open('tried', 'w')\n        os._exit(9)\n    return {'ok': True}");
    assert_eq!(project.run(&[]).json()["ok"], true);
}
