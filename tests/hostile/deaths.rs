//! Tasks that die, hang up or flood: what they had started goes with them.

use crate::scene::{PRELUDE, Scene};
use crate::support::Project;

/// A task that breaks its worker after it has started a daemon and a child.
fn broken_by(body: &str) -> Scene {
    let project = Project::with_workflow(
        "[pool]\ngrace = '300ms'\n[actors.task]\nscript = 'task.py'",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }, { from = 'task', to = 'stop', on_error = true }]",
    );
    let script = format!(
        "{PRELUDE}\ndef run(**_):\n    daemon()\n    subprocess.Popen(['sleep', '1000'])\n    {body}\n    time.sleep(1000)\n"
    );
    Scene::of(project.file("task.py", &script))
}

#[test]
fn a_task_that_dies_by_a_signal_leaves_nothing() {
    for signal in ["SIGKILL", "SIGSEGV", "SIGABRT"] {
        let scene = broken_by(&format!("os.kill(os.getpid(), signal.{signal})"));
        let finished = scene.run(&[]);
        scene.nothing_is_left(&finished.stderr);
        let message = &finished.any_json()["WorkflowException"]["errorMessage"];
        assert_eq!(*message, format!("the worker process of the task was killed by {signal}"));
    }
}

#[test]
fn a_task_that_closes_its_socket_leaves_nothing() {
    let scene = broken_by("os.closerange(3, 1024)");
    let finished = scene.run(&[]);
    scene.nothing_is_left(&finished.stderr);
    let message = &finished.any_json()["WorkflowException"]["errorMessage"];
    assert_eq!(message, "the worker process of the task closed its connection");
}

#[test]
fn a_flood_of_output_is_read_to_its_end() {
    let body = "
    line = b'x' * 999 + b'\\n'
    for _ in range(100):
        for fd in (1, 2):
            block = line * 1000
            while block: block = block[os.write(fd, block):]
    return {'written': 200 * 1000 * 1000}";
    let scene = Scene::task(body, "grace = '300ms'");
    let finished = scene.run(&["-q"]);
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.json()["written"], 200_000_000);
}
