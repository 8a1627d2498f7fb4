//! Pools whose workers are threads or greenlets of one process.

use crate::support::process::output;
use crate::support::{Project, finished};

const TOGETHER: &str = "
import os, threading, time
def meet(name):
    open(name, 'w').close()
    while not (os.path.exists('a') and os.path.exists('b')): time.sleep(0.001)
";

/// Two tasks at once, each of which ends only when the other one has begun.
fn pair(pool: &str) -> Project {
    let body = |name: &str| {
        format!(
            "import os, sys, meeting\ndef run(**_):\n    meeting.meet('{name}')\n    print('this is {name}')\n    sys.stderr.write('{name} ends')\n    return {{'{name}': os.getpid()}}\n"
        )
    };
    Project::with_workflow(
        "[actors.a]\nscript = 'one.py'\n[actors.b]\nscript = 'two.py'\n[actors.both]\nkind = 'join'",
        "links = [{ from = 'start', to = 'a' }, { from = 'start', to = 'b' }, { from = 'a', to = 'both' }, { from = 'b', to = 'both' }, { from = 'both', to = 'stop' }]",
    )
    .file("meeting.py", TOGETHER)
    .file("one.py", &body("a"))
    .file("two.py", &body("b"))
    .with_pool(pool)
}

#[test]
fn tasks_run_at_once_in_one_process_and_each_line_is_logged_as_its_task_s() {
    for pool in
        ["type = 'thread'", "type = 'gevent'", "type = 'thread'\ngevent = true", "type = 'thread'\ncontext = 'spawn'"]
    {
        let finished = pair(pool).run(&["--timeout", "60s"]);
        let output = finished.json();
        assert_eq!(output["a"], output["b"], "{pool}");
        for name in ["a", "b"] {
            for text in [format!("this is {name}"), format!("{name} ends")] {
                let line = format!(" {name} | {text}");
                assert!(finished.stderr.contains(&line), "{pool}: {}", finished.stderr);
            }
        }
    }
}

#[test]
fn max_workers_is_how_many_tasks_run_at_once() {
    let finished = pair("type = 'thread'\nmax_workers = 1").run(&["--timeout", "1s"]);
    assert_ne!(finished.code, Some(0), "{}", finished.stderr);
}

#[test]
fn without_gevent_the_error_names_the_python_and_what_to_install() {
    for pool in ["type = 'gevent'", "gevent = true"] {
        let project = Project::task("def run(**_): return {}")
            .file("without/gevent.py", "raise ModuleNotFoundError('none', name='gevent')")
            .with_pool(pool);
        let mut command = project.command(&["run", "w.toml"]);
        let finished = finished(output(command.env("PYTHONPATH", project.path("without"))));
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains("needs the package gevent, which "), "{}", finished.stderr);
        assert!(finished.stderr.contains("-m pip install gevent"), "{}", finished.stderr);
    }
}
