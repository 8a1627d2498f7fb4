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
const CHANGES: [(&str, &str); 24] = [
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
    ("another number of the process", "import os; os.getpid = lambda: 7"),
    (
        "no functions of the system",
        "import os\nfor name in 'close dup dup2 fstat getppid memfd_create open pipe posix_spawn preadv pwrite read register_at_fork setpgid waitpid write'.split(): setattr(os, name, None)",
    ),
    ("no way to exit", "import os, sys; sys.exit = None; os._exit = lambda *_: None"),
    ("no serializer in C", "import _pickle; _pickle.dumps = _pickle.loads = None"),
    ("no further imports", "import sys; sys.meta_path.clear(); sys.path.clear()"),
    (
        "a finder that raises",
        "import sys\nclass Finder:\n    def find_spec(self, *_): raise RuntimeError('finder')\nsys.meta_path.insert(0, Finder())",
    ),
    (
        "trace and profile functions",
        "import sys, threading\nfor each in (sys.settrace, sys.setprofile, threading.settrace, threading.setprofile): each(lambda *_: None)",
    ),
    (
        "not even the modules of pushflow",
        "import sys\nfor name in list(sys.modules):\n    if name.startswith('pushflow'): del sys.modules[name]",
    ),
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

/// Modules that pushflow imports when it needs them, and modules that those import.
const IMPORTED_LATER: [&str; 26] = [
    "_ctypes",
    "ast",
    "collections",
    "contextlib",
    "ctypes",
    "datetime",
    "enum",
    "fcntl",
    "functools",
    "importlib",
    "json",
    "keyword",
    "linecache",
    "math",
    "mmap",
    "numbers",
    "operator",
    "queue",
    "re",
    "resource",
    "select",
    "termios",
    "textwrap",
    "token",
    "tokenize",
    "traceback",
];

/// A module that has nothing that pushflow needs.
const PLANTED: &str = "who = 'the file beside the script'\n";
const WHO: &str = "the file beside the script";

fn with_planted(project: Project) -> Project {
    IMPORTED_LATER.iter().fold(project, |project, name| project.file(&format!("{name}.py"), PLANTED))
}

#[test]
fn a_file_beside_a_script_that_is_named_like_a_module_of_python_replaces_nothing_for_pushflow() {
    let module = "import numbers, json, mmap\ndef run(n=0, fail=False, **_):\n    if fail:\n        raise ValueError('mine')\n    print('printed')\n    return {'n': n + 1, 'bytes': b'x' * 1_000_000, 'set': {1}, 'who': [numbers.who, json.who, mmap.who]}\n";
    for pool in ["", "context = 'spawn'", "type = 'thread'", "type = 'multiprocessing'"] {
        let project = with_planted(
            Project::with_workflow(
                "[actors.one]\nscript = 'task.py'\n[actors.two]\nscript = 'task.py'",
                "links = [{ from = 'start', to = 'one' }, { from = 'one', to = 'two' }, { from = 'two', to = 'stop' }]",
            )
            .file("task.py", module)
            .with_pool(&format!("max_workers = 1\n{pool}")),
        );
        let finished = project.run(&["--timeout", "60s"]);
        let output = finished.json();
        assert_eq!(output["n"], 2, "{pool}: {}", finished.stderr);
        assert_eq!(output["set"], json!({"$type": "set", "$repr": "{1}"}), "{pool}");
        // What the scripts themselves import is what is beside them, as in any Python, unless the pool type needs Python's.
        if pool != "type = 'multiprocessing'" {
            assert_eq!(output["who"], json!([WHO, WHO, WHO]), "{pool}");
        }
        let failed = project.run(&["--timeout", "60s", "-i", "fail=true"]);
        assert_eq!(failed.code, Some(1), "{pool}: {}", failed.stderr);
        assert!(
            failed.stderr.contains("ValueError: mine") && failed.stderr.contains("line 4, in run"),
            "{}",
            failed.stderr
        );
    }
}

#[test]
fn a_module_in_the_current_folder_is_not_imported_by_children_of_multiprocessing() {
    let module = "import multiprocessing\ndef run(**_):\n    for method in ('spawn', 'forkserver'):\n        with multiprocessing.get_context(method).Pool(1) as pool: got = pool.map(abs, [-2])\n    return {'got': got}\n";
    let project = Project::with_workflow(
        "[actors.task]\nscript = 'tasks/task.py'",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]",
    )
    .file("tasks/task.py", module)
    .file("here/multiprocessing.py", "open('planted', 'w').close()\n");
    let mut command = project.command(&["run", "../w.toml", "--timeout", "60s"]);
    let finished = crate::support::finished(output(command.current_dir(project.path("here"))));
    assert!(!project.path("here/planted").exists(), "{}", finished.stderr);
    assert_eq!(finished.json()["got"], json!([2]), "{}", finished.stderr);
}

#[test]
fn a_module_that_replaces_itself_is_found_in_every_context() {
    let module =
        "import sys\nclass Task:\n    def run(self, n=0, **_): return {'n': n + 1}\nsys.modules[__name__] = Task()\n";
    for pool in ["", "context = 'spawn'", "type = 'thread'"] {
        let finished = two_tasks_of(module, pool);
        assert_eq!(finished.json()["n"], 2, "{pool}: {}", finished.stderr);
    }
}

#[test]
fn an_error_of_a_task_that_has_removed_all_modules_arrives() {
    for pool in ["", "type = 'thread'"] {
        let module = "import sys\nclass E(Exception):\n    def __reduce__(self): raise ValueError\ndef run(**_):\n    sys.modules.clear()\n    raise E('mine')\n";
        let output = two_tasks_of(module, pool).any_json();
        assert_eq!(output["WorkflowException"]["errorMessage"], "mine", "{pool}: {output}");
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
        Some("(E, whose text raises SystemExit)"),
    ),
    (
        "class E(Exception):\n    @property\n    def __traceback__(self): raise SystemExit('out')\ndef run(**_): raise E('mine')",
        Some("E (its text or its pickle raises SystemExit)"),
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
