//! Forks, wherever there are threads: none may find a lock that nobody will open, a thousand times over.

use std::time::Duration;

use crate::POOLS;
use crate::support::process::output_within;
use crate::support::{Finished, Project, finished, python};

/// A module that has threads from its import on, which log and allocate all the time. They share no file: the lock of
/// a file's buffer is one that Python does not open after a fork.
const RESTLESS: &str = "
import json, logging, threading
class Formatting(logging.Handler):
    def emit(self, record): self.format(record)
def restless():
    while True:
        logging.getLogger('restless').info('%s', json.dumps([str(n) for n in range(50)]))
        stop.wait(0.0001)
stop = threading.Event()
logging.basicConfig(level=logging.INFO, handlers=[Formatting()])
for _ in range(3):
    threading.Thread(target=restless, daemon=True).start()
";

/// A run of so many processes may take long on a busy machine.
fn in_ten_minutes(project: &Project) -> Finished {
    let mut command = project.command(&["run", "w.toml", "--timeout", "600s"]);
    finished(output_within(&mut command, Duration::from_secs(660)))
}

#[test]
fn a_thousand_workers_are_forked_from_a_forkserver_with_threads() {
    let project = Project::with_workflow(
        "[actors.count]\nscript = 'count.py'\n[actors.more]\nkind = 'router'\nitem = 'more'",
        "links = [{ from = 'start', to = 'count' }, { from = 'count', to = 'more' }, { from = 'more', to = 'count', port = 'true' }, { from = 'more', to = 'stop', port = 'false' }]",
    )
    .file("restless.py", RESTLESS)
    .file("count.py", "
import logging, restless
def run(n=0, **_):
    logging.getLogger('count').info('%d', n)
    return {'n': n + 1, 'more': n + 1 < 1000}
")
    .with_pool("max_tasks_per_worker = 1\nmax_workers = 1");
    assert_eq!(in_ten_minutes(&project).json()["n"], 1000);
}

#[test]
fn a_task_with_threads_starts_a_thousand_children() {
    for pool in ["type = 'process'", "type = 'thread'", "context = 'spawn'"] {
        let project = Project::task(
            "
import logging, multiprocessing, os, subprocess
import restless
def child():
    logging.getLogger('child').info('here')
def run(**_):
    rounds = 0
    for _ in range(200):
        pid = os.fork()
        if pid == 0:
            child()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        process = multiprocessing.get_context('fork').Process(target=child)
        process.start()
        assert subprocess.run(['/bin/true']).returncode == 0
        process.join()
        assert process.exitcode == 0
        rounds += 2
    for _ in range(600):
        assert subprocess.run(['/bin/true']).returncode == 0
        rounds += 1
    return {'rounds': rounds}
",
        )
        .file("restless.py", RESTLESS)
        .with_pool(pool);
        assert_eq!(in_ten_minutes(&project).json()["rounds"], 1000, "{pool}");
    }
}

#[test]
fn what_a_task_forks_and_what_that_forks_have_every_file_that_their_parent_has_opened() {
    for pool in POOLS {
        let project = Project::task(
            "
import os
def run(**_):
    if os.fork() == 0:
        files = [open(f'file-{n}', 'w') for n in range(8)]
        if os.fork() == 0:
            for file in files:
                # Also what is forked further down.
                if os.fork() == 0:
                    os.write(file.fileno(), b'written')
                    os._exit(0)
                os.wait()
            os._exit(0)
        os.wait()
        os._exit(0)
    os.wait()
    return {'written': [open(f'file-{n}').read() for n in range(8)]}
",
        )
        .with_pool(pool);
        let finished = project.run(&["--timeout", "60s"]);
        assert_eq!(finished.json()["written"], serde_json::json!(vec!["written"; 8]), "{pool}: {}", finished.stderr);
        assert!(!finished.stderr.contains("Exception ignored"), "{pool}: {}", finished.stderr);
    }
}

#[test]
fn a_file_that_has_the_number_of_a_descriptor_of_pushflow_is_left_to_the_task() {
    // The task closes the pipes that it does not know, and opens files, which get their numbers.
    let project = Project::task(
        "
import os
def run(**_):
    for fd in map(int, os.listdir('/proc/self/fd')):
        try:
            if fd > 2 and os.readlink(f'/proc/self/fd/{fd}').startswith('pipe:'): os.close(fd)
        except OSError: pass
    files = [open(f'file-{n}', 'w') for n in range(8)]
    if os.fork() == 0:
        for file in files: os.write(file.fileno(), b'written')
        os._exit(0)
    os.wait()
    return {'numbers': [file.fileno() for file in files], 'written': [open(f'file-{n}').read() for n in range(8)]}
",
    );
    let finished = project.run(&["--timeout", "60s"]);
    assert_eq!(finished.json()["written"], serde_json::json!(vec!["written"; 8]), "{}", finished.stderr);
}

#[test]
fn a_pool_of_processes_works_in_a_process_of_multiprocessing() {
    let project = Project::task(
        "
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
fork = multiprocessing.get_context('fork')
def square(n): return n * n
def inner(answers):
    with fork.Pool(2) as pool: answers.put(pool.map(square, range(5)))
    with ProcessPoolExecutor(2, mp_context=fork) as pool: answers.put(list(pool.map(square, range(5))))
def run(**_):
    answers = fork.Queue()
    process = fork.Process(target=inner, args=(answers,))
    process.start()
    got = [answers.get(timeout=50), answers.get(timeout=50)]
    process.join(50)
    return {'got': got, 'exit': process.exitcode}
",
    );
    let output = project.run(&["--timeout", "60s"]).json();
    assert_eq!(output, serde_json::json!({"got": [[0, 1, 4, 9, 16], [0, 1, 4, 9, 16]], "exit": 0}));
}

#[test]
fn what_a_module_forks_while_it_is_imported_has_no_connection_of_the_forkserver() {
    let project = Project::task(
        "
import os
pid = os.fork()
if pid == 0:
    links = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if fd.isdigit() and os.path.lexists(f'/proc/self/fd/{fd}')]
    open('sockets', 'w').write(str(sum(link.startswith('socket:') for link in links)))
    os._exit(0)
os.waitpid(pid, 0)
def run(**_): return {'sockets': open('sockets').read()}
",
    );
    assert_eq!(project.run(&["--timeout", "60s"]).json()["sockets"], 0.to_string());
}

/// A billiard before 4.3.2 hangs at the end of every tenth pool or so: of these hundred, about ten would.
#[test]
fn the_end_of_a_pool_of_an_old_billiard_does_not_hang() {
    let old = python().parent().unwrap().join("../old-billiard");
    assert!(old.join("billiard").is_dir(), "{} is missing: tests/run makes it", old.display());
    let start = (0..20).map(|n| format!("{{ from = 'start', to = 'a{n}' }}, {{ from = 'a{n}', to = 'all' }}"));
    let links = format!("links = [{}, {{ from = 'all', to = 'stop' }}]", start.collect::<Vec<_>>().join(", "));
    let actors = (0..20).map(|n| format!("[actors.a{n}]\nscript = 'pools.py'\n"));
    let project = Project::with_workflow(&format!("{}[actors.all]\nkind = 'join'", actors.collect::<String>()), &links)
        .file(
            "pools.py",
            &format!(
                "
import sys
sys.path.insert(0, {old:?})
def ten(): return 10
def run(**_):
    import billiard
    assert billiard.__version__ == '4.2.4', billiard.__version__
    for _ in range(5):
        with billiard.get_context('fork').Pool(2) as pool:
            assert pool.apply(ten) == 10
    return {{'done': True}}
"
            ),
        )
        .with_pool("max_workers = 20");
    let finished = project.run(&["--timeout", "100s"]);
    assert_eq!(finished.json()["done"], true, "{}", finished.stderr);
}
