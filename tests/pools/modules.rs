//! Task modules that change their process: nothing of pushflow depends on what they may change.

use serde_json::json;

use crate::support::process::output;
use crate::support::{Finished, Project};

/// Runs two tasks of one module, one after the other in one worker, and then a task that says that it has been reached.
fn two_tasks_of(module: &str, pool: &str) -> Finished {
    Project::with_workflow(
        "[actors.one]\nscript = 'task.py'\n[actors.two]\nscript = 'task.py'\n[actors.last]\nscript = 'last.py'",
        "links = [{ from = 'start', to = 'one' }, { from = 'one', to = 'two' }, { from = 'one', to = 'last', on_error = true }, { from = 'two', to = 'last' }, { from = 'two', to = 'last', on_error = true }, { from = 'last', to = 'stop' }]",
    )
    .file("task.py", module)
    .file("last.py", "import os\ndef run(WorkflowException=None, **_): return {'last': os.getpid(), 'WorkflowExceptionInstance': None}\n")
    .with_pool(&format!("max_workers = 1\n{pool}"))
    .run(&["--timeout", "60s"])
}

const POOLS: [&str; 5] = ["", "context = 'spawn'", "type = 'thread'", "type = 'gevent'", "gevent = true"];

/// What a module does when it is imported.
const CHANGES: [(&str, &str); 16] = [
    ("a default timeout of sockets", "import socket; socket.setdefaulttimeout(0.05)"),
    (
        "ignored signals",
        "import signal; [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGCHLD, signal.SIGTERM)]",
    ),
    (
        "a handler that waits for every child",
        "import os, signal\ndef reap(*_):\n    try:\n        while os.waitpid(-1, os.WNOHANG)[0]: pass\n    except ChildProcessError: pass\nsignal.signal(signal.SIGCHLD, reap)",
    ),
    (
        "blocked signals",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGCHLD])",
    ),
    ("a low recursion limit", "import sys; sys.setrecursionlimit(45)"),
    (
        "a standard output that exits",
        "import sys\nclass Out:\n    def write(self, text): pass\n    def flush(self): raise SystemExit(3)\nsys.stdout = Out()",
    ),
    ("no standard output", "import sys; sys.stdout = sys.stderr = None"),
    ("not even a name of standard output", "import sys; del sys.stdout, sys.stderr"),
    ("closed standard descriptors", "import os; os.closerange(0, 3)"),
    ("no environment", "import os; os.environ.clear(); os.environ = {}"),
    ("another folder and mask", "import os; os.chdir('/'); os.umask(0o777)"),
    ("frozen time", "import time; time.time = time.monotonic = time.sleep = lambda *_: 0"),
    ("other serializers", "import json, pickle; json.dumps = json.loads = pickle.dumps = pickle.loads = None"),
    ("other built-ins", "import builtins; builtins.print = builtins.open = builtins.input = None"),
    ("warnings as errors", "import warnings; warnings.simplefilter('error')"),
    (
        "other hooks",
        "import sys, threading; sys.excepthook = threading.excepthook = sys.unraisablehook = lambda *_: 1 / 0",
    ),
];

#[test]
fn whatever_a_module_has_changed_its_tasks_are_executed() {
    for (index, (name, change)) in CHANGES.into_iter().enumerate() {
        // gevent takes long to start, and minds the first ones most.
        for pool in if index < 6 { &POOLS[..4] } else { &POOLS[..3] } {
            let module = format!("{change}\ndef run(n=0, **_): return {{'n': n + 1, 'bytes': b'x' * 100000}}\n");
            let finished = two_tasks_of(&module, pool);
            assert_eq!(finished.json()["n"], 2, "{name} in {pool:?}: {}", finished.stderr);
        }
    }
}

#[test]
fn a_worker_waits_longer_than_a_default_timeout_of_sockets() {
    let sleeps = "import select, socket\nsocket.setdefaulttimeout(0.05)\ndef run(n=0, **_):\n    select.select([], [], [], 0.3)\n    return {'n': n + 1}\n";
    for pool in POOLS {
        let finished = two_tasks_of(sleeps, pool);
        assert_eq!(finished.json()["n"], 2, "{pool}: {}", finished.stderr);
        assert!(!finished.stderr.contains("TimeoutError"), "{pool}: {}", finished.stderr);
    }
}

#[test]
fn an_interrupt_reaches_tasks_whatever_modules_and_tasks_before_have_made_of_its_signal() {
    let change =
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])";
    for module in [
        "import signal, time\nif True:\n    CHANGE\ndef run(**_): time.sleep(100)\n",
        "import signal, time\ndef run(seen=False, **_):\n    if seen: time.sleep(100)\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n    return {'seen': True}\n",
    ] {
        for pool in ["", "context = 'spawn'"] {
            let project = Project::with_workflow(
                "[actors.one]\nscript = 'task.py'\ntimeout = '2s'\n[actors.two]\nscript = 'task.py'\ntimeout = '1s'",
                "links = [{ from = 'start', to = 'one' }, { from = 'one', to = 'two' }, { from = 'two', to = 'stop' }, { from = 'one', to = 'stop', on_error = true }, { from = 'two', to = 'stop', on_error = true }]",
            )
            .file("task.py", &module.replace("CHANGE", change))
            .with_pool(&format!("max_workers = 1\ngrace = '50s'\n{pool}"));
            let output = project.run(&["--timeout", "40s", "-i", "seen=false"]).json();
            let kind = &output["WorkflowExceptionInstance"]["$type"];
            assert!(kind.to_string().contains("TaskTimeout"), "{pool}: {output}");
        }
    }
}

/// What raises SystemExit, and the message of the task's error if it is one.
const EXITS: [(&str, Option<&str>); 11] = [
    ("raise SystemExit('out')", Some("out")),
    ("raise KeyboardInterrupt('out')", Some("out")),
    ("raise GeneratorExit('out')", Some("out")),
    ("class A:\n    def __reduce__(self): raise SystemExit('out')\ndef run(**_): return {'a': A()}", Some("out")),
    (
        "class E(Exception):\n    def __reduce__(self): raise SystemExit('out')\ndef run(**_): raise E('mine')",
        Some("mine"),
    ),
    (
        "def out(): raise SystemExit('out')\nclass E(Exception):\n    def __reduce__(self): return out, ()\ndef run(**_): raise E('mine')",
        Some("mine"),
    ),
    (
        "class E(Exception):\n    def __str__(self): raise SystemExit('out')\ndef run(**_): raise E('mine')",
        Some("(E, whose text cannot be had: SystemExit)"),
    ),
    (
        "class E(Exception):\n    @property\n    def __traceback__(self): raise SystemExit('out')\ndef run(**_): raise E('mine')",
        Some("E (saying more fails with SystemExit)"),
    ),
    (
        "class M:\n    @property\n    def keys(self): raise SystemExit('out')\n    def __getitem__(self, key): return 1\ndef run(**_): return M()",
        Some("out"),
    ),
    (
        "import sys, types\nclass M(types.ModuleType):\n    @property\n    def run(self): raise SystemExit('out')\nsys.modules[__name__].__class__ = M",
        Some("out"),
    ),
    (
        "class A:\n    def __del__(self): raise SystemExit('out')\ndef run(n=0, **_):\n    A()\n    return {'n': n + 1}",
        None,
    ),
];

#[test]
fn an_exit_raised_anywhere_is_an_error_of_its_task_and_the_worker_goes_on() {
    for (module, message) in EXITS {
        for pool in ["", "type = 'thread'"] {
            let finished = two_tasks_of(module, pool);
            let output = finished.json();
            assert!(output["last"].is_i64(), "{module} in {pool:?}: {}", finished.stderr);
            match message {
                Some(message) => {
                    assert_eq!(output["WorkflowException"]["errorMessage"], message, "{module} in {pool:?}")
                }
                None => assert_eq!(output["n"], 2, "{module} in {pool:?}"),
            }
            assert!(!finished.stderr.contains("worker process"), "{module} in {pool:?}: {}", finished.stderr);
        }
    }
}

#[test]
fn a_module_that_patches_with_gevent_by_itself_runs_as_with_gevent_true() {
    let module = "from gevent import monkey\nmonkey.patch_all()\nimport gevent, time\ndef run(n=0, **_):\n    gevent.sleep(0.01)\n    time.sleep(0.01)\n    return {'n': n + 1}\n";
    for pool in
        ["", "context = 'spawn'", "context = 'fork'", "type = 'thread'", "type = 'gevent'", "type = 'multiprocessing'"]
    {
        let finished = two_tasks_of(module, pool);
        assert_eq!(finished.json()["n"], 2, "{pool}: {}", finished.stderr);
    }
    // The threads are there before the module is.
    let finished = two_tasks_of(module, "type = 'thread'\ncontext = 'spawn'");
    assert!(finished.stderr.contains("write gevent = true for the pool"), "{}", finished.stderr);
}

#[test]
fn a_task_in_a_thread_that_closes_everything_loses_its_worker_and_does_not_hang() {
    let finished = Project::task("import os\ndef run(**_):\n    os.closerange(3, 256)\n    return {}\n")
        .with_pool("type = 'thread'")
        .run(&["--timeout", "60s"]);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("the worker process of the task"), "{}", finished.stderr);
}

#[test]
fn a_breakpoint_is_an_error_that_says_what_it_needs() {
    for call in ["breakpoint()", "__import__('pdb').set_trace()"] {
        let finished =
            Project::task(&format!("def run(**_):\n    {call}\n    return {{}}\n")).run(&["--timeout", "60s"]);
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains("needs a terminal, and a task has none"), "{}", finished.stderr);
    }
    let project = Project::task("def run(**_):\n    breakpoint()\n    return {'debugged': debugged}\n")
        .file("debugger.py", "import builtins\ndef begin(): builtins.debugged = True\n");
    let output = output(project.command(&["run", "w.toml"]).env("PYTHONBREAKPOINT", "debugger.begin"));
    assert_eq!(crate::support::finished(output).json(), json!({"debugged": true}));
}
