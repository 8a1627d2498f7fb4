//! How inputs reach the first actors.

use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use crate::support::process::Process;
use crate::support::{Project, finished};

const ECHO: &str = "def run(*args, **kwargs): return {'seen': [list(args), kwargs]}";

fn echo() -> Project {
    Project::task(ECHO)
}

#[test]
fn a_value_is_json_if_it_parses_and_a_string_otherwise() {
    let inputs = [
        "-i",
        "a=1",
        "-i",
        "b=1.50",
        "-i",
        "c=[1, {\"x\": null}]",
        "-i",
        "d=plain text",
        "-i",
        "e=\"5\"",
        "-i",
        "f=a=b",
    ];
    assert_eq!(
        echo().run(&inputs).json()["seen"],
        json!([[], {"a": 1, "b": 1.5, "c": [1, {"x": null}], "d": "plain text", "e": "5", "f": "a=b"}])
    );
}

#[test]
fn integers_of_any_size_stay_exact() {
    let big = "123456789012345678901234567890";
    let project = Project::task("def run(n, **_): return {'twice': 2 * n, 'type': type(n).__name__}");
    let finished = project.run(&["-i", &format!("n={big}")]);
    assert!(
        finished.stdout.contains("\"twice\": 246913578024691357802469135780")
            || finished.stdout.contains("\"twice\":246913578024691357802469135780"),
        "{}",
        finished.stdout
    );
    assert!(finished.stdout.contains("int"));
}

#[test]
fn arguments_are_positional_in_their_order() {
    assert_eq!(echo().run(&["--arg", "-1", "--arg", "two"]).json()["seen"], json!([[-1, "two"], {}]));
}

#[test]
fn inputs_of_the_command_line_win_over_a_file_and_that_over_the_workflow() {
    let project = Project::with_workflow(
        "[inputs]\na = 1\nb = 1\nc = 1\nnone = { \"$none\" = true }\n[actors.task]\nscript = 'task.py'",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]",
    )
    .file("task.py", ECHO)
    .file("inputs.json", "{\"b\": 2, \"c\": 2}");
    let seen = project.run(&["-i", "c=3", "--inputs", "inputs.json"]).json()["seen"].clone();
    assert_eq!(seen, json!([[], {"a": 1, "b": 2, "c": 3, "none": null}]));
}

#[test]
fn inputs_can_come_from_standard_input() {
    let project = echo();
    let mut child = Process::start(project.command(&["run", "w.toml", "--inputs", "-"]).stdin(Stdio::piped()));
    child.stdin().unwrap().write_all(b"{\"0\": true, \"x\": []}").unwrap();
    let finished = finished(child.end());
    assert_eq!(finished.json()["seen"], json!([[true], {"x": []}]));
}

#[test]
fn bad_inputs_are_refused_with_the_place_and_the_reason() {
    let project = echo().file("list.json", "[1]").file("broken.json", "{\"a\": }");
    for (arguments, message) in [
        (["-i", "novalue"], "must be of the form KEY=VALUE"),
        (["-i", "=3"], "the key before = is missing"),
        (["--inputs", "list.json"], "the inputs in list.json must be a JSON object, not an array"),
        (
            ["--inputs", "broken.json"],
            "the inputs in broken.json are not valid JSON: expected value at line 1 column 7",
        ),
        (["--inputs", "missing.json"], "cannot read inputs from missing.json: No such file or directory"),
        (["--timeout", "soon"], "soon"),
        (["--max-workers", "0"], "0"),
    ] {
        let finished = project.run(&arguments);
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(message), "{arguments:?}: {}", finished.stderr);
        assert_eq!(finished.stdout, "");
    }
}

#[test]
fn a_position_far_out_is_an_error_and_fills_no_memory() {
    let project = Project::with_workflow(
        "[actors.make]\nscript = 'make.py'\n[actors.task]\nscript = 'task.py'\n",
        "links = [{ from = 'start', to = 'make' }, { from = 'make', to = 'task' }, { from = 'task', to = 'stop' }]\n",
    )
    .file("make.py", "def run(**_): return {99999999999: 7}")
    .file("task.py", ECHO);
    // The limit protects the host should this ever fail again.
    let limited = "ulimit -v 8000000; exec \"$0\" run w.toml";
    let finished =
        project.start_as(project.program("sh").args(["-c", limited, env!("CARGO_BIN_EXE_pushflow")])).finish();
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("the payload has the position 99999999999"), "{}", finished.stderr);
}
