//! Errors of tasks: who hears of them, and how the run ends.

use crate::support::Project;

#[test]
fn an_error_that_nobody_handles_fails_the_run_and_shows_the_users_own_lines() {
    let project = Project::task("def run(**_):\n    spots = []\n    return {'first': spots[0]}\n");
    let finished = project.run(&[]);
    assert_eq!((finished.code, &*finished.stdout), (Some(1), "null\n"));
    assert!(finished.stderr.contains("error task: list index out of range\n"), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("task.py\", line 3, in run\n    return {'first': spots[0]}"),
        "{}",
        finished.stderr
    );
    assert!(finished.stderr.contains("run ended: failed"), "{}", finished.stderr);
}

#[test]
fn a_handled_error_is_the_output_and_the_status_says_error() {
    let project = Project::with_workflow(
        "on_error = ['report']\n[actors.task]\nscript = 'task.py'\nbubble_errors = true\n[actors.report]\nkind = 'error-handler'",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }, { from = 'report', to = 'stop' }]",
    )
    .file("task.py", "def run(**_): raise RuntimeError('beam lost')");
    let finished = project.run(&["-i", "image=3"]);
    assert_eq!(finished.code, Some(1));
    assert_eq!(finished.any_json()["WorkflowException"]["errorMessage"], "beam lost");
    assert_eq!(finished.any_json()["image"], 3);
    assert!(finished.stderr.contains("run ended: error"), "{}", finished.stderr);
}

#[test]
fn a_failed_task_is_tried_again_as_often_as_the_file_says() {
    let project = Project::with_workflow(
        "[actors.task]\nscript = 'task.py'\nretries = 2\nretry_delay = '10ms'",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]",
    )
    .file(
        "task.py",
        "
import os
def run(**_):
    with open('tries', 'a') as file: file.write('x')
    if os.path.getsize('tries') < 3: raise OSError('detector busy')
    return {'tries': os.path.getsize('tries')}
",
    );
    let finished = project.run(&[]);
    assert_eq!(finished.json()["tries"], 3);
    assert!(finished.stderr.contains("warning task: detector busy; retry 1 in 10ms"), "{}", finished.stderr);
}

#[test]
fn a_task_that_takes_too_long_is_interrupted_and_its_worker_lives() {
    let project = Project::with_workflow(
        "[pool]\nmax_workers = 1\n[actors.slow]\nscript = 'slow.py'\ntimeout = '300ms'\n[actors.after]\nscript = 'after.py'",
        "links = [{ from = 'start', to = 'slow' }, { from = 'slow', to = 'after', on_error = true }, { from = 'slow', to = 'stop' }, { from = 'after', to = 'stop' }]",
    )
    .file("slow.py", "import time, os\ndef run(**_):\n    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(100)\n    return {}")
    .file(
        "after.py",
        "import os\ndef run(WorkflowExceptionInstance, **_): return {'same': open('pid').read() == str(os.getpid()), 'timeout': isinstance(WorkflowExceptionInstance, TimeoutError), 'WorkflowException': None, 'WorkflowExceptionInstance': str(WorkflowExceptionInstance)}",
    );
    let output = project.run(&[]).json();
    assert_eq!(output["same"], true);
    assert_eq!(output["timeout"], true);
    assert_eq!(output["WorkflowExceptionInstance"], "the task took longer than its timeout of 300ms");
}

#[test]
fn a_task_that_swallows_the_interrupt_is_killed_after_the_grace_time() {
    let project = Project::with_workflow(
        "[pool]\ngrace = '200ms'\n[actors.slow]\nscript = 'slow.py'\ntimeout = '100ms'",
        "links = [{ from = 'start', to = 'slow' }, { from = 'slow', to = 'stop' }, { from = 'slow', to = 'stop', on_error = true }]",
    )
    .file(
        "slow.py",
        "
import signal, time
def run(**_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            time.sleep(100)
        except KeyboardInterrupt:
            pass
",
    );
    let finished = project.run(&[]);
    assert_eq!(
        finished.any_json()["WorkflowException"]["errorMessage"],
        "the task took longer than its timeout of 100ms"
    );
}

#[test]
fn a_run_that_takes_too_long_ends_with_status_124_and_what_stop_holds() {
    let project = Project::with_workflow(
        "[actors.quick]\nscript = 'quick.py'\n[actors.slow]\nscript = 'slow.py'",
        "links = [{ from = 'start', to = 'quick' }, { from = 'quick', to = 'stop' }, { from = 'quick', to = 'slow' }, { from = 'slow', to = 'stop' }]",
    )
    .file("quick.py", "def run(**_): return {'quick': True}")
    .file("slow.py", "import time\ndef run(**_):\n    time.sleep(100)\n    return {'slow': True}");
    let finished = project.run(&["--timeout", "5s"]);
    assert_eq!((finished.code, &*finished.stdout), (Some(124), "{\"quick\":true}\n"));
}

#[test]
fn a_result_that_is_no_mapping_and_one_that_cannot_be_pickled_are_errors_that_say_so() {
    for (script, message) in [
        ("def run(**_): return 5", "run() must return a mapping, not int"),
        ("def run(**_): return {'f': lambda: 1}", "the value of 'f', a function, cannot be pickled: "),
        ("import no_such_module_here", "No module named 'no_such_module_here'"),
        ("def walk(**_): return {}", "has no function 'run'"),
        ("def run(a): return {}", "missing 1 required positional argument: 'a'"),
        ("import sys\ndef run(**_): sys.exit('gave up')", "error task: gave up"),
    ] {
        let finished = Project::task(script).run(&[]);
        assert_eq!(finished.code, Some(1), "{script}");
        assert!(finished.stderr.contains(message), "{script}: {}", finished.stderr);
    }
}

#[test]
fn an_interpreter_that_is_not_there_is_named() {
    let project = Project::new()
        .file("w.toml", "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]\n[workflow]\npython = '/no/such/python'\n[actors.task]\nscript = 'task.py'")
        .file("task.py", "def run(**_): return {}");
    let finished = project.run(&[]);
    assert!(matches!(finished.code, Some(1 | 2)), "{:?}", finished.code);
    assert!(finished.stderr.contains("/no/such/python"), "{}", finished.stderr);
}

#[test]
fn an_interpreter_that_cannot_work_is_said_once_and_plainly() {
    for program in ["/bin/true", "/bin/false"] {
        let project = Project::new()
            .file("w.toml", &format!("links = [{{ from = 'start', to = 'task' }}, {{ from = 'task', to = 'stop' }}]\n[workflow]\npython = '{program}'\n[actors.task]\nscript = 'task.py'"))
            .file("task.py", "def run(**_): return {}");
        let finished = project.run(&[]);
        assert_eq!(finished.code, Some(1));
        let why = "error task: cannot start workers of pool default: ";
        assert!(finished.stderr.contains(why), "{}", finished.stderr);
        assert!(finished.stderr.contains(program), "{}", finished.stderr);
    }
}

#[test]
fn a_script_may_have_any_ending() {
    let project = Project::with_workflow(
        "[actors.task]\nscript = 'task'",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]",
    )
    .file("task", "def run(**_): return {'done': True}");
    assert_eq!(project.run(&[]).json()["done"], true);
}
