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

/// A script `make.py`, and a program with these lines after it.
fn made_then_program(script: &str, lines: &str) -> Project {
    Project::with_workflow(
        &format!("[actors.make]\nscript = 'make.py'\n[actors.prog]\nkind = 'exec'\n{lines}"),
        "links = [{ from = 'start', to = 'make' }, { from = 'make', to = 'prog' }, { from = 'prog', to = 'stop' }]",
    )
    .file("make.py", script)
}

#[test]
fn a_number_in_a_command_is_what_python_calls_str_of_it() {
    let script = "
import enum, numpy
from decimal import Decimal
from fractions import Fraction
VALUES = [2.0, -0.0, 0.1, 1e-07, 1e22, float('nan'), float('-inf'), True, 7, 10**30, Decimal('1.50'), Decimal('3.00'),
    Decimal('1E+400'), Fraction(3, 2), Fraction(4, 2), 1j, numpy.float32(0.1), numpy.float32(3), numpy.float64(2.5),
    numpy.longdouble(1) / 3, numpy.float16(1.5), numpy.int64(-5), numpy.uint64(2**64 - 1), numpy.bool_(True),
    numpy.bool_(False), numpy.array(1.25), 'None', 'null', 'true', '']
def run(**_):
    return {**{f'v{n}': value for n, value in enumerate(VALUES)}, 'expected': '|'.join(str(value) for value in VALUES)}
";
    let keys: Vec<String> = (0..30).map(|number| format!("{{v{number}}}")).collect();
    let joined = keys.join("|");
    let lines = format!(
        "command = ['sh', '-c', 'printf %s:%s \"$0\" \"$LIKEWISE\"', '{joined}']\nenv = {{ LIKEWISE = '{joined}' }}\nstdout_key = 'said'"
    );
    let output = made_then_program(script, &lines).run(&[]).json();
    let expected = output["expected"].as_str().unwrap();
    assert!(expected.starts_with("2.0|-0.0|0.1|1e-07|1e+22|nan|-inf|True|7|1000"), "{expected}");
    assert_eq!(output["said"], format!("{expected}:{expected}"));
}

#[test]
fn a_number_that_python_never_saw_is_written_like_python_too() {
    let project = program(
        "command = ['printf', '<%s>', '{a}', '{b}', '{c}', '{d}', '{e}', '{f}', '{g}']\nstdout_key = 'said'\n[inputs]\na = 2.0\nb = 1e-7\nc = 1e22\nd = true",
    );
    let output = project.run(&["-i", "e=1e16", "-i", "f=0.5", "-i", "g=123456789012345678901234567890"]).json();
    assert_eq!(output["said"], "<2.0><1e-07><1e+22><True><1e+16><0.5><123456789012345678901234567890>");
}

#[test]
fn what_has_no_text_of_use_is_refused_by_name() {
    for value in ["None", "[1]", "{}", "{1}", "b'x'", "object()", "'\\ud800'"] {
        let project = made_then_program(&format!("def run(**_): return {{'x': {value}}}"), "command = ['echo', '{x}']");
        let finished = project.run(&[]);
        assert_eq!(finished.code, Some(1), "{value}");
        assert!(finished.stderr.contains("\"{x}\" needs the value of x as text"), "{value}: {}", finished.stderr);
    }
}

#[test]
fn a_file_name_that_is_not_utf_8_reaches_a_program_as_its_bytes() {
    let script = "
import os, pathlib
def run(**_):
    for name in (b'bad\\xff.txt', b'\\xe9t\\xe9'):
        open(name, 'w').write('right'); open(name.decode('ascii', 'replace').replace('\\ufffd', '?'), 'w').write('wrong')
    names = [os.fsdecode(b'bad\\xff.txt'), pathlib.Path(os.fsdecode(b'\\xe9t\\xe9'))]
    return {'text': names[0], 'path': names[1], 0: names[1]}
";
    let lines = "command = ['cat', '{text}', '{path}', '{0}']\nstdout_key = 'said'";
    assert_eq!(made_then_program(script, lines).run(&[]).json()["said"], "rightrightright");
}

#[test]
fn a_router_does_not_take_a_name_that_is_not_utf_8_for_another() {
    let project = Project::with_workflow(
        "[actors.make]\nscript = 'make.py'\n[actors.which]\nkind = 'router'\nitem = 'name'\n[actors.wrong]\nkind = 'status'\nstatus = 'wrong'",
        "links = [{ from = 'start', to = 'make' }, { from = 'make', to = 'which' }, { from = 'which', to = 'wrong', port = 'a?' }, \
         { from = 'which', to = 'stop', port = 'other' }, { from = 'wrong', to = 'stop' }]",
    )
    .file("make.py", "def run(**_): return {'name': 'a\\udcff'}");
    let finished = project.run(&[]);
    assert_eq!(finished.json()["name"], json!({"$type": "str", "$repr": "'a\\udcff'"}), "{}", finished.stderr);
    assert!(finished.stderr.contains("run ended: finished"), "{}", finished.stderr);
}

#[test]
fn a_name_that_one_program_prints_is_the_name_that_the_next_one_gets() {
    let project = Project::with_workflow(
        "[actors.find]\nkind = 'exec'\ncommand = ['sh', '-c', 'printf right > $(printf \"a\\377\"); printf \"a\\377\"']\nstdout_key = 'name'\n\
         [actors.prog]\nkind = 'exec'\ncommand = ['cat', '{name}']\nstdout_key = 'said'",
        "links = [{ from = 'start', to = 'find' }, { from = 'find', to = 'prog' }, { from = 'prog', to = 'stop' }]",
    );
    let output = project.run(&[]).json();
    assert_eq!(output["said"], "right");
    assert_eq!(output["name"], json!({"$type": "str", "$repr": "'a\\udcff'"}));
}

#[test]
fn keys_of_digits_stay_what_they_are() {
    let printed = r#"{"0001": "first", "1": "second", "007": 3, "20240101": 4, "-1": 5}"#;
    let project = Project::new()
        .file("inputs.json", printed)
        .file("print.toml", "links = [{ from = 'start', to = 'p' }, { from = 'p', to = 'stop' }]\n[actors.p]\nkind = 'exec'\ncommand = ['cat', 'inputs.json']\nstdout = 'json'")
        .file("pass.toml", "links = [{ from = 'start', to = 'p' }, { from = 'p', to = 'stop' }]\n[inputs]\n000 = 0\n[actors.p]\nkind = 'exec'\ncommand = ['echo', '{0001} {1} {007} {20240101} {000}']\nstdout_key = 'said'");
    let expected: serde_json::Value = serde_json::from_str(printed).unwrap();
    assert_eq!(project.pushflow(&["run", "print.toml"]).json(), expected);
    let given = project.pushflow(&["run", "pass.toml", "--inputs", "inputs.json", "-i", "0001=again"]).json();
    assert_eq!((&given["0001"], &given["1"], &given["007"]), (&json!("again"), &json!("second"), &json!(3)));
    assert_eq!(given["said"], "again second 3 4 0\n");
}

#[test]
fn a_date_as_a_key_is_an_argument_s_name() {
    let project = Project::with_workflow(
        "[actors.prog]\nkind = 'exec'\ncommand = ['echo', '{\"20240101\": 1}']\nstdout = 'json'\n[actors.take]\nscript = 'take.py'",
        "links = [{ from = 'start', to = 'prog' }, { from = 'prog', to = 'take' }, { from = 'take', to = 'stop' }]",
    )
    .file("take.py", "def run(*args, **keys): return {'args': args, 'keys': list(keys)}");
    let output = project.run(&["-i", "2000000=x", "-i", "0=first"]).json();
    assert_eq!((&output["args"], &output["keys"]), (&json!(["first"]), &json!(["2000000", "20240101"])));
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
        ("command = ['no-such-program-here']", "cannot start no-such-program-here: there is no such program in PATH ("),
        ("command = ['/etc/passwd']", "cannot start /etc/passwd: it may not be executed: run chmod +x /etc/passwd"),
        ("command = ['/etc']", "cannot start /etc: it may not be executed: /etc is not a file"),
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

#[test]
fn what_stands_in_the_way_of_a_script_is_said_with_the_name_of_it() {
    let executable = |name: &str, text: &[u8]| {
        let project = program(&format!("command = ['./{name}']"));
        std::fs::write(project.path(name), text).unwrap();
        std::fs::set_permissions(project.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        project
    };
    for (name, text, message) in [
        (
            "a.sh",
            &b"#!/bin/sh\r\necho hi\r\n"[..],
            "cannot start ./a.sh: its interpreter /bin/sh\\r does not exist: the script has Windows line ends (CR LF)",
        ),
        ("b.py", b"#!/opt/no/python\nprint(1)\n", "cannot start ./b.py: its interpreter /opt/no/python does not exist"),
        (
            "c.py",
            b"#!/usr/bin/env no-such-python\n",
            "./c.py exited with code 127: its interpreter no-such-python does not exist",
        ),
        (
            "d.py",
            b"#!/usr/bin/env sh\r\n",
            "./d.py exited with code 127: its interpreter sh\\r does not exist: the script has Windows line ends",
        ),
        (
            "e",
            b"\x7fELF\x02\x01\x01\0\0\0\0\0 for another machine\0",
            "cannot start ./e: this machine cannot execute it",
        ),
        ("f", b"#!/etc/passwd\n", "cannot start ./f: its interpreter /etc/passwd may not be executed"),
    ] {
        let output = executable(name, text).run(&[]).any_json();
        let said = output["WorkflowException"]["errorMessage"].as_str().unwrap().to_owned();
        assert!(said.starts_with(message), "{name}: {said}");
    }
    // A script without a #! line is the shell's, as before.
    assert_eq!(executable("g", b"exit 0\n").run(&[]).code, Some(0));
}

#[test]
fn a_link_to_nothing_and_a_circle_of_links_are_called_so() {
    for (to, message) in [
        ("/no/such/tool", "cannot start ./tool: it is a symbolic link to /no/such/tool, which does not exist"),
        ("tool", "cannot start ./tool: its name or its interpreter is a cycle of symbolic links"),
    ] {
        let project = program("command = ['./tool']");
        std::os::unix::fs::symlink(to, project.path("tool")).unwrap();
        let output = project.run(&[]).any_json();
        let said = output["WorkflowException"]["errorMessage"].as_str().unwrap().to_owned();
        assert!(said.starts_with(message), "{said}");
    }
}

#[test]
fn an_argument_that_is_too_long_is_counted() {
    let project = program("command = ['true', 'short', '{x}']")
        .file("inputs.json", &json!({"x": "y".repeat(200_000)}).to_string());
    let finished = project.run(&["--inputs", "inputs.json"]);
    let said = finished.any_json()["WorkflowException"]["errorMessage"].as_str().unwrap().to_owned();
    assert!(
        said.starts_with("cannot start true: its arguments and environment are too long (argument 2 has 200000 bytes"),
        "{said}"
    );
}

#[test]
fn a_position_and_a_name_that_is_written_like_it_stay_two() {
    for other in ["1", "{1}"] {
        let script = format!("def run(*args, **_): return {{'1': 'name', 'other': {other}}}");
        let output = Project::task(&script).run(&["-i", "1=position"]).json();
        assert_eq!((&output["1"], &output["'1'"]), (&json!("position"), &json!("name")), "{output}");
    }
}

#[test]
fn an_interpreter_that_is_a_wrapper_and_fails_is_named_with_how_it_ended() {
    for (script, message) in [
        ("#!/bin/sh\nexit 3\n", "wrapper exited with code 3"),
        ("#!/bin/sh\necho no such module >&2\nexit 4\n", "wrapper exited with code 4"),
        ("#!/bin/sh\nsleep 0.3; exit 5\n", "wrapper exited with code 5"),
        ("#!/no/such/shell\n", "wrapper: its interpreter /no/such/shell does not exist"),
    ] {
        for context in ["spawn", "forkserver"] {
            let project = Project::new()
                .file("w.toml", &format!("links = [{{ from = 'start', to = 'task' }}, {{ from = 'task', to = 'stop' }}]\n[workflow]\npython = './wrapper'\n[pool]\ncontext = '{context}'\n[actors.task]\nscript = 'task.py'"))
                .file("task.py", "def run(**_): return {}")
                .file("wrapper", script);
            let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(project.path("wrapper"), executable).unwrap();
            let finished = project.run(&["--timeout", "60s"]);
            let error = finished.stderr.lines().find(|line| line.contains("error task: ")).unwrap_or_default();
            assert!(error.contains(message), "{context}, {script:?}: {}", finished.stderr);
            assert!(
                !script.contains("echo") || finished.stderr.contains("no such module"),
                "{context}: {}",
                finished.stderr
            );
        }
    }
}

#[test]
fn all_that_a_program_prints_is_kept_in_order_also_what_it_writes_to_dev_stdout() {
    let project = program(
        "command = ['sh', '-c', 'echo one; echo two > /dev/stdout; echo three | cat > /dev/stdout; echo four']\nstdout_key = 'o'",
    );
    assert_eq!(project.run(&[]).json(), json!({"o": "one\ntwo\nthree\nfour\n"}));
}

#[test]
fn a_megabyte_that_is_printed_at_once_is_kept_whole() {
    let project = program("command = ['head', '-c', '3000000', '/dev/zero']\nstdout_key = 'o'");
    assert_eq!(project.run(&[]).json()["o"].as_str().map(str::len), Some(3_000_000));
}

#[test]
fn a_program_that_prints_more_than_is_kept_is_told_so_and_fails() {
    for (command, ended) in
        [("'yes'", "it was killed by SIGPIPE"), ("'sh', '-c', 'trap \"\" PIPE; yes; exit 3'", "it exited with code 3")]
    {
        let finished = program(&format!("command = [{command}]\nstdout_key = 'o'")).run(&["--timeout", "100s"]);
        let output = finished.any_json();
        let message = output["WorkflowException"]["errorMessage"].as_str().unwrap_or_default();
        assert!(message.contains("more on standard output than the 256 MiB that can be kept"), "{}", finished.stderr);
        assert!(message.ends_with(ended), "{message}");
    }
}

#[test]
fn a_program_need_not_read_a_large_input() {
    let project = Project::with_workflow(
        "[actors.make]\nscript = 'make.py'\n[actors.prog]\nkind = 'exec'\ncommand = ['echo', 'done']\nstdin = 'json'\nstdout_key = 'said'\n[actors.forget]\nscript = 'forget.py'",
        "links = [{ from = 'start', to = 'make' }, { from = 'make', to = 'prog' }, { from = 'prog', to = 'forget' }, { from = 'forget', to = 'stop' }]",
    )
    .file("make.py", "def run(**_): return {'x': 'y' * 20_000_000}")
    .file("forget.py", "def run(**_): return {'x': None}");
    assert_eq!(project.run(&[]).json()["said"], "done\n");
}

#[test]
fn what_a_child_prints_after_its_program_has_ended_is_not_waited_for() {
    let project = program("command = ['sh', '-c', 'echo mine; yes > /dev/stdout & exit 0']\nstdout_key = 'o'");
    let output = project.run(&["--timeout", "60s"]).json();
    assert!(output["o"].as_str().is_some_and(|text| text.starts_with("mine\n")), "{output}");
}
