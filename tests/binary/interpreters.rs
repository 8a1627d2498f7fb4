//! The interpreters that pushflow starts: what they import, what they are called, and what they say of scripts.

use std::process::Command;

use serde_json::json;

use crate::support::process::output;
use crate::support::{Project, finished, python};

/// Modules that pushflow, Python or a task may import, each of which says that it was.
fn planted(project: Project) -> Project {
    [
        "colorsys",
        "json",
        "_socket",
        "socket",
        "struct",
        "os",
        "posix",
        "traceback",
        "importlib",
        "sysconfig",
        "pypushflow",
    ]
    .iter()
    .fold(project, |project, name| {
        project.file(&format!("shared/{name}.py"), "open('planted', 'w').close()\nraise SystemExit('planted')\n")
    })
}

#[test]
fn nothing_is_imported_from_the_folder_that_somebody_calls_from() {
    let task = "import colorsys, sys\ndef run(**_): return {'from': colorsys.__file__, 'path': sys.path, 'error': str(colorsys)}\n";
    for pool in ["", "context = 'spawn'", "launcher = ['nice']", "type = 'thread'"] {
        let project = planted(Project::task(task).with_pool(pool));
        let file = project.path("w.toml").display().to_string();
        let output = finished(output(project.command(&["run", &file]).current_dir(project.path("shared")))).json();
        assert!(!project.path("shared/planted").exists(), "{pool}");
        assert_eq!(format!("{}/w.toml", output["path"][0].as_str().unwrap()), file, "{pool}");
        assert!(!output["path"].as_array().unwrap().contains(&json!("")), "{pool}: {output}");
    }
    let project = planted(Project::task(""));
    for arguments in [vec!["doctor", "../w.toml"], vec!["convert", "/nowhere/at/all.py", "--python"]] {
        let mut command = project.command(&arguments);
        if arguments[0] == "convert" {
            command.arg(python());
        }
        output(command.current_dir(project.path("shared")));
        assert!(!project.path("shared/planted").exists(), "{arguments:?}");
    }
}

#[test]
fn what_pythonpath_names_stays_on_the_path_also_if_that_is_the_current_folder() {
    let project =
        Project::task("import mine\ndef run(**_): return {'from': mine.NAME}\n").file("lib/mine.py", "NAME = 'lib'\n");
    let mut command = project.command(&["run", "../w.toml"]);
    command.current_dir(project.path("lib")).env("PYTHONPATH", ":/nowhere");
    assert_eq!(finished(output(&mut command)).json()["from"], "lib");
}

#[test]
fn processes_are_called_what_they_are_and_not_by_their_program() {
    let task = "
import os
def line(pid): return open(f'/proc/{pid}/cmdline').read()
def run(**_):
    lines = [line(pid) for pid in os.listdir('/proc') if pid.isdigit() and os.path.exists(f'/proc/{pid}/cmdline')]
    return {'mine': line(os.getpid()), 'name': [line for line in lines if line.startswith('pushflow-forkserver')]}
";
    for pool in ["", "context = 'spawn'", "launcher = ['nice']", "type = 'thread'"] {
        let output = Project::task(task).with_pool(pool).run(&[]).json();
        assert_eq!(output["mine"], "pushflow-worker: w\0", "{pool}");
        if pool.is_empty() {
            assert!(output["name"].as_array().unwrap().contains(&json!("pushflow-forkserver: w\0")), "{output}");
        }
    }
}

#[test]
fn the_command_line_of_an_interpreter_is_short() {
    let task = "import sys\ndef run(**_): return {'length': sum(map(len, sys.orig_argv[1:]))}\n";
    let version = output(Command::new(python()).args(["-c", "import sys; print(sys.version_info >= (3, 10))"]));
    if !version.stdout.starts_with(b"True") {
        return; // sys.orig_argv came with Python 3.10
    }
    for (pool, most) in [("context = 'spawn'", 80), ("launcher = ['nice']", 450)] {
        let length = Project::task(task).with_pool(pool).run(&[]).json()["length"].as_i64().unwrap();
        assert!(length <= most, "{pool}: {length}");
    }
}

#[test]
fn a_script_that_gets_the_helper_of_another_folder_is_warned_about() {
    let project = |import: &str| {
        Project::with_workflow(
            "[actors.a]\nscript = 'a/task_a.py'\n[actors.b]\nscript = 'b/task_b.py'",
            "links = [{ from = 'start', to = 'a' }, { from = 'a', to = 'b' }, { from = 'b', to = 'stop' }]",
        )
        .file("a/helper.py", "X = 'of a'\n")
        .file("b/helper.py", "X = 'of b'\n")
        .file("b/other.py", "X = 'only b has it'\n")
        .file("a/task_a.py", "from helper import X\ndef run(**_): return {'a': X}\n")
        .file("b/task_b.py", &format!("import other\n{import}"))
    };
    for import in [
        "from helper import X\ndef run(**_): return {'b': X}\n",
        "def run(**_):\n    import helper\n    return {'b': helper.X}\n",
    ] {
        for pool in ["", "context = 'spawn'"] {
            let project = project(import).with_pool(pool);
            let finished = project.run(&[]);
            let warned = format!(
                "{} imports helper and gets {}",
                project.path("b/task_b.py").display(),
                project.path("a/helper.py").display()
            );
            assert!(finished.stderr.contains(&warned), "{}", finished.stderr);
            assert_eq!(finished.stderr.matches("imports helper").count(), 1, "{}", finished.stderr);
            assert!(!finished.stderr.contains("imports other"), "{}", finished.stderr);
        }
    }
    // The remedy that the warning names.
    let finished = project("from .helper import X\ndef run(**_): return {'b': X}\n").run(&[]);
    assert!(!finished.stderr.contains("warning"), "{}", finished.stderr);
    assert_eq!(finished.json(), json!({"a": "of a", "b": "of b"}));
}

#[test]
fn a_circular_import_keeps_pythons_hint() {
    let finished = Project::task("from two import g\ndef f(): return 1\ndef run(**_): return {'g': g()}\n")
        .file("two.py", "from task import f\ndef g(): return f()\n")
        .run(&[]);
    assert!(finished.stderr.contains("(most likely due to a circular import)"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("importlib"), "{}", finished.stderr);
}

#[test]
fn wrong_arguments_and_results_name_the_script_and_the_keys() {
    let task = |script: &str| {
        let project = Project::task(script);
        let file = project.path("task.py").display().to_string();
        (project.run(&["-i", "nmae=1", "-i", "x=2"]).stderr, file)
    };
    let (said, file) = task("def run(name): return {}\n");
    assert!(said.contains(&format!("({file}; the payload has 'nmae', 'x')")), "{said}");
    let (said, file) = task("def run(**_): return [('a', 1)]\n");
    assert!(said.contains(&format!("run() must return a mapping, not list ({file})")), "{said}");
    let (said, _) = task("def inner(): pass\ndef run(**_): inner(1)\n");
    assert!(said.contains("takes 0 positional arguments") && !said.contains("the payload has"), "{said}");
}

#[test]
fn a_boolean_of_numpy_ends_a_loop() {
    let project = Project::with_workflow(
        "[actors.refine]\nscript = 'refine.py'\n[actors.converged]\nkind = 'router'\nitem = 'converged'",
        "links = [{ from = 'start', to = 'refine' }, { from = 'refine', to = 'converged' }, { from = 'converged', to = 'stop', port = 'true' }, { from = 'converged', to = 'refine', port = 'other' }]",
    )
    .file("refine.py", "import numpy\ndef run(x=1.0, **_): return {'x': x / 2, 'converged': numpy.float64(x) < 0.1}\n");
    assert_eq!(project.run(&["--timeout", "60s"]).json()["converged"], true);
}
