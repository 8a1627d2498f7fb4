//! Exec actors: programs as tasks.

use serde_json::json;

use crate::support::Project;

/// One exec actor `prog` with these lines.
fn program(lines: &str) -> Project {
    Project::with_workflow(
        &format!("[actors.prog]\nkind = 'exec'\n{lines}"),
        "links = [{ from = 'start', to = 'prog' }, { from = 'prog', to = 'stop' }, { from = 'prog', to = 'stop', on_error = true }]",
    )
}

#[test]
fn keys_stand_in_arguments_and_environment() {
    let project = program(
        "command = ['sh', '-c', 'echo \"$1 $WHO {{n}}\"', 'sh', '{image}.cbf']\nenv = { WHO = 'n={n}' }\nstdout_key = 'said'\nreturncode_key = 'code'",
    );
    let output = project.run(&["-i", "image=a b", "-i", "n=3"]).json();
    assert_eq!(output["said"], "a b.cbf n=3 {n}\n");
    assert_eq!(output["code"], 0);
}

#[test]
fn the_payload_goes_in_as_json_and_an_object_comes_back() {
    let project = program(
        "command = ['python3', '-c', 'import json, sys; d = json.load(sys.stdin); print(json.dumps({\"n\": d[\"n\"] + 1, \"seen\": sorted(d)}))']\nstdin = 'json'\nstdout = 'json'",
    );
    assert_eq!(project.run(&["-i", "n=41", "-i", "x=[1]"]).json(), json!({"n": 42, "x": [1], "seen": ["n", "x"]}));
}

#[test]
fn a_program_reads_what_only_python_can_write_as_json() {
    let project = Project::with_workflow(
        "[pool]\nmax_workers = 1\n[actors.make]\nscript = 'make.py'\n[actors.prog]\nkind = 'exec'\ncommand = ['cat']\nstdin = 'json'\nstdout_key = 'said'",
        "links = [{ from = 'start', to = 'make' }, { from = 'make', to = 'prog' }, { from = 'prog', to = 'stop' }]",
    )
    .file("make.py", "import pathlib\ndef run(**_): return {'s': {1}}");
    assert_eq!(project.run(&[]).json()["said"], "{\"s\":{\"$type\":\"set\",\"$repr\":\"{1}\"}}");
}

#[test]
fn a_path_can_be_put_into_a_command() {
    let project = Project::with_workflow(
        "[actors.make]\nscript = 'make.py'\n[actors.prog]\nkind = 'exec'\ncommand = ['echo', '{image}', '{scale}']\nstdout_key = 'said'",
        "links = [{ from = 'start', to = 'make' }, { from = 'make', to = 'prog' }, { from = 'prog', to = 'stop' }]",
    )
    .file("make.py", "import pathlib\ndef run(**_): return {'image': pathlib.Path('/data/1.cbf'), 'scale': 0.25}");
    assert_eq!(project.run(&[]).json()["said"], "/data/1.cbf 0.25\n");
}

#[test]
fn a_failure_is_an_error_that_names_the_program_and_shows_its_last_lines() {
    let project = program("command = ['sh', '-c', 'echo no spots found >&2; exit 4']");
    let finished = project.run(&[]);
    let error = &finished.any_json()["WorkflowException"];
    assert_eq!(error["errorMessage"], "sh exited with code 4");
    assert!(error["traceBack"].to_string().contains("no spots found"), "{error}");
    assert!(finished.stderr.contains("prog | no spots found"), "{}", finished.stderr);
}

#[test]
fn other_exit_codes_can_be_declared_fine() {
    let project = program("command = ['sh', '-c', 'exit 4']\nsuccess_codes = [0, 4]\nreturncode_key = 'code'");
    assert_eq!(project.run(&[]).json()["code"], 4);
}

#[test]
fn what_cannot_be_started_is_said_plainly() {
    for (lines, message) in [
        ("command = ['no-such-program-here']", "cannot start no-such-program-here: there is no such program"),
        ("command = ['/etc/passwd']", "cannot start /etc/passwd: it may not be executed"),
        ("command = ['true']\ncwd = 'nowhere'", "cannot start true: its working directory"),
        ("command = ['echo', '{missing}']", "\"{missing}\" needs the key missing, which the payload does not have"),
        ("command = ['sh', '-c', 'kill -9 $$']", "sh was killed by SIGKILL"),
        ("command = ['echo', 'hi']\nstdout = 'json'", "echo has not printed one JSON object on standard output"),
    ] {
        let output = program(lines).run(&[]).any_json();
        let text = output["WorkflowException"]["errorMessage"].as_str().unwrap();
        assert!(text.starts_with(message), "{lines}: {text}");
    }
}

#[test]
fn programs_run_at_once_as_far_as_the_pool_allows() {
    // Each waits for the other's file: alone neither ends.
    let meet = "command = ['sh', '-c', 'touch $0; while ! [ -e $1 ]; do sleep 0.01; done'";
    let project = Project::with_workflow(
        &format!(
            "[pool]\nmax_workers = 2\n[actors.a]\nkind = 'exec'\n{meet}, 'a', 'b']\n[actors.b]\nkind = 'exec'\n{meet}, 'b', 'a']\n[actors.both]\nkind = 'join'"
        ),
        "links = [{ from = 'start', to = 'a' }, { from = 'start', to = 'b' }, { from = 'a', to = 'both' }, { from = 'b', to = 'both' }, { from = 'both', to = 'stop' }]",
    );
    assert_eq!(project.run(&["--timeout", "20s"]).code, Some(0));
}
