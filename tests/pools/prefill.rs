//! Prefill: many short tasks, which workers get before they have answered. Only the time that it takes may tell.

use std::collections::BTreeMap;
use std::fs;

use crate::support::process;
use crate::support::{Finished, Project, finished, is_alive};

/// A fan: so many actors beside each other, between `start` and a join. Each has a script of its own, `BODY` with its number
/// in place of `NUMBER`.
fn fan(count: usize, pool: &str, body: &str) -> Project {
    let numbers = 0..count;
    let links: String = numbers
        .clone()
        .map(|n| format!("{{ from = 'start', to = 'a{n}' }}, {{ from = 'a{n}', to = 'all' }}, "))
        .collect();
    let actors: String = numbers.clone().map(|n| format!("[actors.a{n}]\nscript = 't{n}.py'\n")).collect();
    let project = Project::with_workflow(
        &format!("{actors}[actors.all]\nkind = 'join'"),
        &format!("links = [{links}{{ from = 'all', to = 'stop' }}]"),
    )
    .with_pool(pool);
    numbers.fold(project, |project, n| project.file(&format!("t{n}.py"), &body.replace("NUMBER", &n.to_string())))
}

/// Writes its number, once, where nobody's lines mix.
const NOTED: &str = "
import os
def note():
    fd = os.open('noted', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, b'NUMBER\\n')
    os.close(fd)
";

/// How often each number was written.
fn noted(project: &Project) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(project.path("noted")).unwrap_or_default().lines() {
        *counts.entry(line.parse().unwrap()).or_default() += 1;
    }
    counts
}

fn once_each(numbers: impl IntoIterator<Item = usize>) -> BTreeMap<usize, usize> {
    numbers.into_iter().map(|number| (number, 1)).collect()
}

/// The pools whose workers can be prefilled.
const POOLS: [&str; 3] =
    ["max_workers = 2", "max_workers = 3\ncontext = 'spawn'", "max_workers = 2\nmax_tasks_per_worker = 30"];

#[test]
fn each_task_is_executed_once() {
    for pool in POOLS {
        let project = fan(600, pool, &format!("{NOTED}\ndef run(**_):\n    note()\n    return {{'kNUMBER': NUMBER}}"));
        let output = project.run(&["--timeout", "120s"]).json();
        assert_eq!(noted(&project), once_each(0..600), "{pool}");
        assert_eq!(output.as_object().unwrap().len(), 600, "{pool}");
    }
}

#[test]
fn what_is_printed_belongs_to_the_task_that_printed_it() {
    let body = "
def run(**_):
    if NUMBER % 3 == 0: print('it is aNUMBER')
    if NUMBER % 30 == 0: print('without an end: aNUMBER', end='', flush=True)
    return {}
";
    let finished = fan(600, "max_workers = 2", body).run(&["--timeout", "120s"]);
    finished.json();
    let printed = |text: &str| -> Vec<(String, String)> {
        let lines = finished.stderr.lines().filter_map(|line| line.split_once(text));
        lines.map(|(before, actor)| (before.split_whitespace().nth(1).unwrap().to_owned(), actor.to_owned())).collect()
    };
    for (text, count) in [("it is ", 200), ("without an end: ", 20)] {
        let lines = printed(text);
        assert_eq!(lines.len(), count, "{}", finished.stderr);
        for (actor, says) in lines {
            assert_eq!(actor, says, "{}", finished.stderr);
        }
    }
}

#[test]
fn no_task_waits_behind_a_long_one() {
    // The long one waits for all others: those prefilled behind it must be retracted.
    let body = format!(
        "{NOTED}
import time
def run(**_):
    if NUMBER == 200:
        end = time.monotonic() + 60
        while open('noted').read().count('\\n') < 599:
            if time.monotonic() > end: raise TimeoutError('others wait for me')
            time.sleep(0.01)
    note()
    return {{}}"
    );
    for pool in POOLS {
        let project = fan(600, pool, &body);
        project.run(&["--timeout", "120s"]).json();
        assert_eq!(noted(&project), once_each(0..600), "{pool}");
    }
}

#[test]
fn what_a_task_has_started_lives_until_the_task_has_ended() {
    let body = "
import subprocess
def run(**_):
    if NUMBER % 40 != 10: return {}
    said = subprocess.run(['sh', '-c', 'sleep 0.05; echo NUMBER'], stdout=subprocess.PIPE, universal_newlines=True)
    return {'kNUMBER': said.stdout.strip()}
";
    let finished = fan(600, "max_workers = 2", body).run(&["--timeout", "120s"]);
    let output = finished.json();
    for number in (10..600).step_by(40) {
        assert_eq!(output[format!("k{number}")], number.to_string(), "{}", finished.stderr);
    }
}

#[test]
fn what_a_task_leaves_behind_is_ended_and_the_task_is_named() {
    let body = "
import subprocess
def run(**_):
    if NUMBER != 330: return {}
    command = 'setsid sleep 1000 >/dev/null 2>&1 & echo $!'
    shell = subprocess.run(['sh', '-c', command], stdout=subprocess.PIPE, universal_newlines=True)
    return {'left': int(shell.stdout)}
";
    let finished = fan(1000, "max_workers = 2", body).run(&["--timeout", "120s"]);
    let pid = finished.json()["left"].as_i64().unwrap();
    assert!(!is_alive(pid as i32));
    let line = finished.stderr.lines().find(|line| line.contains("left processes running")).unwrap();
    assert!(line.contains("a330: ") && line.contains(&format!("{pid} (")), "{line}");
}

/// What the history says of the tasks: how many had begun, and how many had not when the run was over.
fn begun_and_not(project: &Project) -> (usize, usize) {
    let shown = project.pushflow(&["show", "w/1", "--tasks", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let tasks = shown["all_tasks"].as_array().unwrap();
    let begun = tasks.iter().filter(|task| !task["started_at"].is_null()).count();
    (begun, tasks.len() - begun)
}

#[test]
fn a_stop_or_abort_leaves_tasks_begun_or_not_begun_and_the_history_says_which() {
    for signal in ["SIGINT", "SIGTERM"] {
        let body = format!(
            "{NOTED}
import signal
def run(**_):
    note()
    if NUMBER == 300: os.kill(os.getppid(), signal.{signal})
    return {{}}"
        );
        let project = fan(2000, "max_workers = 2", &body);
        let Finished { code, stderr, .. } = project.run(&["--timeout", "120s", "--history", "-v"]);
        assert!(code.is_some_and(|code| code > 0), "{signal}: {stderr}");
        let noted = noted(&project);
        assert!(noted.values().all(|count| *count == 1), "{signal}");
        assert!(noted.len() < 2000, "{signal}: it came in time");
        let (begun, not) = begun_and_not(&project);
        assert_eq!(begun + not, 2000, "{signal}: {stderr}");
        // A task that was interrupted before its first line has begun and has noted nothing: no worker has more than one.
        let unnoted = begun.checked_sub(noted.len());
        assert!(unnoted.is_some_and(|count| count <= 2), "{signal}: {begun} have begun, {} have noted", noted.len());
    }
}

#[test]
fn a_worker_that_dies_takes_one_task_with_it() {
    let body = format!(
        "{NOTED}
import signal
def run(**_):
    note()
    if NUMBER in (100, 101, 350): os.kill(os.getpid(), signal.SIGKILL)
    return {{'kNUMBER': NUMBER}}"
    );
    let project = fan(600, "max_workers = 2", &body);
    let finished = project.run(&["--timeout", "120s"]);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert_eq!(noted(&project), once_each(0..600));
    let lost = finished.stderr.lines().filter(|line| line.contains("was killed by")).count();
    assert_eq!(lost, 3, "{}", finished.stderr);
}

#[test]
fn whatever_tasks_do_each_is_executed_once_at_most_and_the_history_says_what_became_of_it() {
    for pool in POOLS {
        for (signal, code) in [("0", 1), ("signal.SIGTERM", 143), ("signal.SIGINT", 130)] {
            let body = format!(
                "{NOTED}
import signal, subprocess, threading, time
def run(**_):
    note()
    if NUMBER % 97 == 50: os.kill(os.getpid(), signal.SIGKILL)
    if NUMBER % 31 == 10: print('hello')
    if NUMBER % 41 == 20: time.sleep(0.002)
    if NUMBER % 149 == 30: subprocess.run(['true'])
    # Ends whatever its worker does then.
    if NUMBER % 211 == 40: threading.Timer(0.0005, os.kill, (os.getpid(), signal.SIGKILL)).start()
    if NUMBER == 500: os.kill(os.getppid(), {signal})
    return {{}}"
            );
            let project = fan(1000, pool, &body);
            let Finished { code: ended, stderr, .. } = project.run(&["--timeout", "120s", "--history", "-q"]);
            assert_eq!(ended, Some(code), "{pool}, {signal}: {stderr}");
            let noted = noted(&project);
            assert!(noted.values().all(|count| *count == 1), "{pool}, {signal}: {noted:?}");
            let (begun, not) = begun_and_not(&project);
            assert_eq!(begun + not, 1000, "{pool}, {signal}");
            assert!(signal == "0" || not > 0, "{pool}, {signal}: it came in time");
            // Killed before its first line: by a timer of an earlier task, or by the signal.
            let unnoted = begun.checked_sub(noted.len());
            assert!(unnoted.is_some_and(|count| count <= 8), "{pool}, {signal}: {begun} begun, {} noted", noted.len());
        }
    }
}

#[test]
fn long_payloads_come_through() {
    // Many pieces, each too short for a memory file; together too long for the queue.
    let body = "
def run(numbers, **_):
    assert sum(len(text) for text in numbers.values()) == 200 * 1000
    return {'kNUMBER': len(numbers)}
";
    let input = serde_json::json!({ "numbers": (0..200).map(|n| (n.to_string(), "x".repeat(1000))).collect::<BTreeMap<_, _>>() });
    let project = fan(200, "max_workers = 2", body).file("inputs.json", &input.to_string());
    let output = project.run(&["--timeout", "120s", "--inputs", "inputs.json"]).json();
    assert_eq!(output["k199"], 200, "{output}");
}

/// Whether a job waits in the queue of this worker while it executes one.
const WAITS: &str = "
import os, socket
queue = None
def find():
    for fd in os.listdir('/proc/self/fd'):
        try:
            fd = os.dup(int(fd))
        except OSError:
            continue
        try:
            found = socket.socket(fileno=fd)
        except OSError:
            os.close(fd)
            continue
        if found.type == socket.SOCK_SEQPACKET:
            return found
        found.close()
    return False
def waits():
    global queue
    if queue is None:
        queue = find()
    try:
        return bool(queue and queue.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False
";

#[test]
fn without_prefill_the_outcome_is_the_same_and_no_task_waits_at_a_worker() {
    let body = format!(
        "{NOTED}
from waits import waits
def run(**_):
    note()
    return {{'kNUMBER': NUMBER, 'wNUMBER': waits()}}"
    );
    let outcome = |prefill: Option<&str>| {
        let project = fan(600, "max_workers = 2", &body).file("waits.py", WAITS);
        let mut command = project.command(&["run", "w.toml", "--timeout", "120s"]);
        command.envs(prefill.map(|value| ("PUSHFLOW_PREFILL", value)));
        let output = finished(process::output(&mut command)).json();
        let (waited, results): (BTreeMap<_, _>, BTreeMap<_, _>) =
            output.as_object().unwrap().clone().into_iter().partition(|(key, _)| key.starts_with('w'));
        (noted(&project), results, waited.values().any(|waits| waits == true))
    };
    // Tasks are prefilled only while they are short, which they may not be beside other tests.
    let used = (0..20).map(|_| outcome(None)).find(|(.., used)| *used);
    let (noted, results, _) = used.expect("prefill was not used: this test says nothing");
    assert_eq!(outcome(Some("off")), (noted, results, false));
}
