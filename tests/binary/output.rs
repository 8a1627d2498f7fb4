//! What is printed where.

use crate::support::process::output;
use crate::support::{Project, finished};

const HELLO: &str = "def run(name, **_): return {'reply': f'Hello {name}!'}";

#[test]
fn a_run_prints_its_output_as_one_json_object() {
    let project = Project::task(HELLO);
    let finished = project.run(&["-i", "name=World"]);
    assert_eq!(finished.stdout, "{\"name\":\"World\",\"reply\":\"Hello World!\"}\n");
    assert_eq!(finished.code, Some(0));
}

#[test]
fn what_tasks_print_goes_to_the_log_with_the_actors_name_and_never_to_standard_output() {
    let project = Project::task(
        "
import os, subprocess, sys
print('while importing')
def run(**_):
    print('from print')
    print('from stderr', file=sys.stderr)
    os.write(1, b'to descriptor 1\\n')
    subprocess.run(['sh', '-c', 'echo from a program; echo and its errors >&2'], check=True)
    sys.__stdout__.write('without an end')
    return {}
",
    );
    let finished = project.run(&[]);
    assert_eq!(finished.stdout, "{}\n");
    for line in ["from print", "from stderr", "to descriptor 1", "without an end", "from a program", "and its errors"] {
        assert!(finished.stderr.contains(&format!("task | {line}\n")), "{line}: {}", finished.stderr);
    }
    assert!(finished.stderr.contains("while importing"), "{}", finished.stderr);
}

#[test]
fn a_flood_of_output_arrives_whole_and_harms_nothing() {
    let project = Project::task(
        "
import os
def run(**_):
    for _ in range(100):
        os.write(1, b'x' * 99999 + b'\\n')
    return {'done': True}
",
    );
    let finished = project.run(&[]);
    assert_eq!(finished.json()["done"], true);
    assert_eq!(finished.stderr.matches('x').count(), 100 * 99_999);
}

#[test]
fn bytes_that_are_no_text_are_logged_as_well_as_it_goes() {
    let project = Project::task("import os\ndef run(**_):\n    os.write(1, b'\\xff\\x00ok\\n')\n    return {}");
    let finished = project.run(&[]);
    assert_eq!(finished.code, Some(0));
    assert!(finished.stderr.contains("ok"), "{}", finished.stderr);
}

#[test]
fn the_log_has_no_colours_over_a_pipe() {
    let project = Project::task("def run(**_): 1/0");
    assert!(!project.run(&[]).stderr.contains('\x1b'));
}

#[test]
fn quiet_leaves_the_errors_alone() {
    let project = Project::task("def run(**_):\n    print('chatter')\n    raise ValueError('too dark')");
    let finished = project.run(&["-q"]);
    assert!(!finished.stderr.contains("chatter"), "{}", finished.stderr);
    assert!(finished.stderr.contains("error task: too dark"), "{}", finished.stderr);
}

#[test]
fn the_output_goes_to_a_file_when_one_is_named() {
    let project = Project::task(HELLO).file("out.json", "an older and much longer result than the new one will be");
    let finished = project.run(&["-i", "name=World", "--output", "out.json"]);
    assert_eq!((finished.code, &*finished.stdout), (Some(0), ""));
    let written = std::fs::read_to_string(project.path("out.json")).unwrap();
    assert_eq!(written, "{\"name\":\"World\",\"reply\":\"Hello World!\"}\n");
}

#[test]
fn an_output_file_that_cannot_be_written_is_an_error_before_anything_runs() {
    let project = Project::task("def run(**_):\n    open('ran', 'w')\n    return {}");
    let finished = project.run(&["--output", "nowhere/out.json"]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("cannot write the output to nowhere/out.json: "), "{}", finished.stderr);
    assert!(!project.path("ran").exists());
}

#[test]
fn a_run_whose_stop_actor_gets_nothing_prints_null() {
    let project = Project::with_workflow(
        "[actors.task]\nscript = 'task.py'\n[actors.choose]\nkind = 'router'\nitem = 'end'\n[actors.last]\nscript = 'task.py'",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'choose' }, { from = 'choose', to = 'stop', port = true }, { from = 'choose', to = 'last' }]",
    )
    .file("task.py", "def run(**_): return {'end': False}");
    assert_eq!(project.run(&[]).stdout, "null\n");
}

#[test]
fn a_dry_run_says_what_would_run_and_runs_nothing() {
    let project = Project::task("def run(**_):\n    open('ran', 'w')\n    return {}");
    let finished = project.run(&["--dry-run", "-i", "name=World"]);
    assert_eq!((finished.code, &*finished.stdout), (Some(0), ""));
    assert!(finished.stderr.contains("name = \"World\""), "{}", finished.stderr);
    assert!(finished.stderr.contains("task (python, pool default)"), "{}", finished.stderr);
    assert!(!project.path("ran").exists());
}

#[test]
fn a_log_that_cannot_be_written_is_no_reason_to_end_a_run() {
    let project = Project::task("def run(**_):\n    print('chatter')\n    return {'done': True}");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let finished = finished(output(project.command(&["run", "w.toml"]).stderr(full)));
    assert_eq!(finished.json()["done"], true);
}

#[test]
fn a_device_can_take_the_output() {
    let finished = Project::task(HELLO).run(&["-i", "name=World", "--output", "/dev/null"]);
    assert_eq!((finished.code, &*finished.stdout), (Some(0), ""), "{}", finished.stderr);
}

#[test]
fn a_reader_that_wants_no_more_of_a_picture_gets_no_complaint() {
    let project = Project::task(HELLO);
    for arguments in [&["graph", "w.toml"][..], &["schema"], &["check", "w.toml"]] {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let finished = finished(output(project.command(arguments).stdout(write)));
        assert_eq!((finished.code, &*finished.stderr), (Some(141), ""), "{arguments:?}");
    }
}

#[test]
fn an_error_without_a_text_is_called_by_its_class() {
    let project = Project::with_workflow(
        "[actors.task]\nscript = 'task.py'\nretries = 1",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }, { from = 'task', to = 'stop', on_error = true }]",
    );
    for (script, said) in [
        ("def run(**_): assert False", "AssertionError"),
        ("def run(**_): {}['detector']", "KeyError: 'detector'"),
        ("def run(**_): raise ValueError('too dark')", "too dark"),
    ] {
        std::fs::write(project.path("task.py"), script).unwrap();
        let finished = project.run(&[]);
        assert!(finished.stderr.contains(&format!("warning task: {said}; retry 1")), "{}", finished.stderr);
        assert!(finished.stderr.contains(&format!("warning task: {said} (handled)")), "{}", finished.stderr);
    }
}
