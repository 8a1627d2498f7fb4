//! What tasks print: each line whole, and each part of a line once.

use std::process::Command;

use crate::POOLS;
use crate::support::{Finished, Project, finished, process};

/// Workers inherit it: then Python writes each part of a `print` by itself.
fn unbuffered(project: &Project, set: bool) -> Finished {
    let mut command: Command = project.command(&["run", "w.toml", "--timeout", "120s"]);
    if set {
        command.env("PYTHONUNBUFFERED", "1");
    } else {
        command.env_remove("PYTHONUNBUFFERED");
    }
    finished(process::output(&mut command))
}

/// What the task has printed, or what it has started, line by line.
fn printed(finished: &Finished) -> Vec<&str> {
    finished.stderr.lines().filter_map(|line| Some(line.split_once(" | ")?.1)).collect()
}

#[test]
fn what_another_process_prints_never_comes_between_the_parts_of_a_line() {
    let script = "
import os
def run(**_):
    pid = os.fork()
    if pid == 0:
        while os.getppid() != 1 and not os.path.exists('end'): os.write(1, b'x\\n')
        os._exit(0)
    for n in range(2000): print('a', 'line', 'of', 'parts', n)
    open('end', 'w').close()
    os.waitpid(pid, 0)
    return {}
";
    for set in [false, true] {
        let finished = unbuffered(&Project::task(script), set);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let lines = printed(&finished);
        let (others, ours): (Vec<&str>, Vec<&str>) = lines.into_iter().partition(|line| *line == "x");
        let wanted: Vec<String> = (0..2000).map(|n| format!("a line of parts {n}")).collect();
        assert!(!others.is_empty() && ours == wanted, "PYTHONUNBUFFERED set: {set}: {ours:?}");
    }
}

#[test]
fn each_part_of_a_line_arrives_once_however_its_process_ends() {
    let script = "
import multiprocessing, os, sys, threading
class Prints:
    def __reduce__(self):
        print('pickled', end=' ')
        return int, (1,)
def end(text): print(text, end=' ')
def run(**_):
    print('before', end=' ')
    for leave in ('os._exit', 'multiprocessing', 'return'):
        if leave == 'multiprocessing' and not multiprocessing.current_process().daemon and 'gevent' not in sys.modules:
            child = multiprocessing.get_context('fork').Process(target=end, args=(leave,))
            child.start()
            child.join()
            continue
        pid = os.fork()
        if pid == 0:
            print(leave, end=' ')
            if leave == 'return': return {}
            os._exit(0)
        os.wait()
    thread = threading.Thread(target=end, args=('thread',))
    thread.start()
    thread.join()
    print('after', end=' ')
    return {'value': Prints()}
";
    // Under gevent waiting for a child of multiprocessing hangs now and then, in any program (gevent 26.9, Python 3.11).
    for pool in POOLS {
        for set in [false, true] {
            let finished = unbuffered(&Project::task(script).with_pool(pool), set);
            assert_eq!(finished.code, Some(0), "{pool}, PYTHONUNBUFFERED set: {set}: {}", finished.stderr);
            let text = printed(&finished).join(" ");
            for part in ["before", "os._exit", "multiprocessing", "return", "thread", "after", "pickled"] {
                assert_eq!(
                    text.matches(part).count(),
                    1,
                    "{part}, {pool}, PYTHONUNBUFFERED set: {set}: {}",
                    finished.stderr
                );
            }
        }
    }
}

#[test]
fn a_line_without_its_end_belongs_to_the_task_that_printed_it_also_if_it_fails() {
    let project = Project::with_workflow(
        "[pool]\nmax_workers = 1\n[actors.task]\nscript = 'task.py'\n[actors.next]\nscript = 'next.py'",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'next', on_error = true }, { from = 'next', to = 'stop' }]",
    )
    .file("task.py", "def run(**_):\n    print('half a line', end='')\n    raise ValueError('too dark')")
    .file("next.py", "def run(**_):\n    print('the next one')\n    return {}");
    for set in [false, true] {
        let finished = unbuffered(&project, set);
        assert_eq!(printed(&finished), ["half a line", "the next one"], "{}", finished.stderr);
        assert!(finished.stderr.contains("task | half a line\n"), "{}", finished.stderr);
    }
}

#[test]
fn a_fork_while_another_thread_prints_leaves_no_lock_behind() {
    // Much is printed: the threads stand in the middle of a write when the task forks.
    let project = Project::task(
        "
import os, threading
def run(**_):
    stop = threading.Event()
    def chatter():
        while not stop.is_set(): print('x' * 3000)
    threads = [threading.Thread(target=chatter) for _ in range(2)]
    for thread in threads: thread.start()
    for n in range(200):
        pid = os.fork()
        if pid == 0:
            print('child', n)
            os._exit(0)
        os.waitpid(pid, 0)
    stop.set()
    for thread in threads: thread.join()
    return {}
",
    );
    for set in [false, true] {
        let finished = unbuffered(&project, set);
        assert_eq!(finished.code, Some(0), "{}", &finished.stderr[finished.stderr.len().saturating_sub(2000)..]);
        let lines = printed(&finished);
        let said = |n: u32| lines.iter().filter(|line| line.ends_with(&format!("child {n}"))).count();
        assert!((0..200).all(|n| said(n) == 1), "each child prints its line once");
    }
}
