//! Forks, wherever there are threads: none may find a lock that nobody will open, a thousand times over.

use crate::support::{Project, python};

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
    assert_eq!(project.run(&["--timeout", "120s"]).json()["n"], 1000);
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
        assert_eq!(project.run(&["--timeout", "120s"]).json()["rounds"], 1000, "{pool}");
    }
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
