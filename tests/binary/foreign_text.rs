//! What tasks, callers and files have written is safe to read, whatever it is, and exact for programs.

use crate::support::{Finished, Project};

/// Something of each kind that drives a terminal, hides what follows or breaks a line, as Python writes it.
const PYTHON: &str = r"\x00\x07\x08\x1b]0;owned\x07\x1b[2J\x7f\x85\x9b31m\u2028\u202e\u2066\u200f\r\nforged: line";
/// The same, as it is.
const TEXT: &str =
    "\0\x07\x08\x1b]0;owned\x07\x1b[2J\x7f\u{85}\u{9b}31m\u{2028}\u{202e}\u{2066}\u{200f}\r\nforged: line";

/// Whether nothing in a text does anything to a terminal.
fn is_safe(text: &str) -> bool {
    !text.contains(|char: char| pushflow::text::is_active(char) && !matches!(char, '\n' | '\t'))
}

fn assert_safe(finished: &Finished) {
    assert!(is_safe(&finished.stderr), "{:?}", finished.stderr);
    assert!(is_safe(&finished.stdout), "{:?}", finished.stdout);
}

#[test]
fn what_a_task_prints_raises_and_returns_drives_no_terminal() {
    let project = Project::task(&format!(
        "def run(fail=False, **_):
    print('begin{PYTHON}end')
    if fail: raise ValueError('no beam{PYTHON}')
    return {{'text': '{PYTHON}'}}"
    ));
    let finished = project.run(&[]);
    assert_safe(&finished);
    assert_eq!(finished.json()["text"], TEXT, "JSON is exact");
    let printed = finished.stderr.lines().find(|line| line.contains("owned")).unwrap();
    assert!(
        printed.contains(r"task | begin\x00\x07\x08\x1b]0;owned\x07\x1b[2J\x7f\x85\x9b31m\u2028\u202e"),
        "{printed}"
    );
    let failed = project.run(&["-i", "fail=true"]);
    assert_safe(&failed);
    // The headline is one line; in the traceback the lines stay.
    let headline = failed.stderr.lines().find(|line| line.contains("error task: no beam")).unwrap();
    assert!(headline.ends_with(r"\r\nforged: line"), "{headline}");
    assert!(failed.stderr.lines().any(|line| line.starts_with(r"ValueError: no beam\x00")), "{}", failed.stderr);
}

#[test]
fn a_progress_bar_is_one_line_of_the_log_and_colours_are_left_out() {
    let project = Project::task(
        r"
import sys
def run(**_):
    for i in range(2001): sys.stderr.write(f'\r\x1b[K\x1b[32m{i // 20:3}%\x1b[0m |{chr(35) * 20}|'); sys.stderr.flush()
    sys.stderr.write('\n')
    print('\x1b[1mbold\x1b[0m')
    return {}",
    );
    let finished = project.run(&[]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let bars: Vec<&str> = finished.stderr.lines().filter(|line| line.contains('#')).collect();
    assert_eq!(bars.len(), 1, "{bars:#?}");
    assert!(bars[0].ends_with("task | 100% |####################|"), "{bars:?}");
    assert!(finished.stderr.contains("task | bold\n"), "{}", finished.stderr);
}

#[test]
fn history_and_show_drive_no_terminal_and_are_exact_as_json() {
    let project = Project::task(&format!("def run(**_): raise ValueError('no beam{PYTHON}' + 'x' * 100_000)"));
    assert_eq!(project.run(&["--history", "-i", &format!("sample={TEXT}").replace('\0', "")]).code, Some(1));
    for arguments in [&["history"][..], &["show", "w/1"], &["show", "w/1", "--tasks"]] {
        let shown = project.pushflow(arguments);
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        assert_safe(&shown);
        assert!(shown.stdout.len() < 20_000, "{arguments:?} shows {} bytes", shown.stdout.len());
        assert!(!shown.stdout.lines().any(|line| line.starts_with("forged")), "{}", shown.stdout);
    }
    let shown = project.pushflow(&["show", "w/1"]).stdout;
    assert!(shown.contains("left out; all of it with --json]"), "{shown}");
    let exact = project.pushflow(&["show", "w/1", "--json"]);
    assert_safe(&exact);
    let error = exact.json()["errors"][0]["error"].clone();
    assert!(error.as_str().unwrap().starts_with(&format!("no beam{TEXT}")), "{error}");
}

#[test]
fn a_handled_error_and_one_that_is_tried_again_say_where_they_happened() {
    let project = Project::with_workflow(
        "[actors.task]\nscript = 'task.py'\nretries = 1",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }, { from = 'task', to = 'stop', on_error = true }]",
    )
    .file("task.py", "import json\ndef deep(d): return json.loads(d)\ndef run(**_): return {'y': deep('nothing')}");
    let finished = project.run(&[]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let place = format!("at {}:2 in deep", project.path("task.py").canonicalize().unwrap().display());
    let handled = finished.stderr.lines().find(|line| line.contains("(handled)")).unwrap();
    // The last frame is in Python's library: what the task's own code did is what people look for.
    assert!(handled.contains("task: Expecting value") && handled.ends_with(&place), "{handled}");
    let again = finished.stderr.lines().find(|line| line.contains("; retry 1")).unwrap();
    assert!(again.ends_with(&place), "{again}");
}

#[test]
fn a_file_that_is_wrong_is_shown_with_its_marks_in_place() {
    let project = Project::new().file("w\x1b[2J.toml", &format!("# {TEXT}\nlinks = 1 # \u{9b}2J\u{202e}\x1b[2J\n"));
    for verb in ["check", "run", "graph"] {
        let finished = project.pushflow(&[verb, "w\x1b[2J.toml"]);
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert_safe(&finished);
        assert!(finished.stderr.contains(r"w\x1b[2J.toml"), "{}", finished.stderr);
    }
    // What TOML itself may say with an escape.
    let project =
        Project::new().file("w.toml", "links = [{ from = \"st\\u001b[2Jart\", to = 'stop' }]\n\"k\\u009b\" = 1\n");
    let finished = project.pushflow(&["check", "w.toml"]);
    assert_eq!(finished.code, Some(2));
    assert_safe(&finished);
}

#[test]
fn what_a_script_passes_on_to_the_command_line_drives_no_terminal() {
    let project = Project::new();
    for arguments in [
        &["run", "\x1b[2Jnowhere"][..],
        &["run", "w.toml", "--timeout", "\x1b[2J\u{9b}"],
        &["show", "\x1b[2J"],
        &["history", "\x1b[2J"],
        &["\x1b[2J"],
        &["ps", "\x1b[2J"],
        &["graph", "./\u{202e}"],
    ] {
        let finished = project.pushflow(arguments);
        assert!(matches!(finished.code, Some(2 | 3)), "{arguments:?}: {:?}", finished.code);
        assert_safe(&finished);
    }
}

#[test]
fn the_log_tells_a_process_by_a_name_that_drives_no_terminal() {
    let project = Project::with_workflow(
        "[service]\nstop_timeout = '1s'\n[actors.task]\nscript = 'task.py'",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]",
    )
    .file(
        "task.py",
        r"
import ctypes, os, time
def run(**_):
    named, name = os.pipe()
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(15, b'\x1b[2J\nforged: x')
        os.write(name, b'.')
        time.sleep(600)
    os.read(named, 1)
    return {}",
    );
    let finished = project.run(&[]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_safe(&finished);
    assert!(finished.stderr.contains(r"(\x1b[2J\nforged: x)"), "{}", finished.stderr);
    assert!(!finished.stderr.lines().any(|line| line.starts_with("forged")), "{}", finished.stderr);
}
