//! What Python says of a worker, and what becomes of the children that tasks leave.

use crate::support::process::output;
use crate::support::{Project, finished, is_alive};

/// Pool types, whether multiprocessing takes their workers for daemonic, and whether billiard does.
pub(crate) const FLAGS: [(&str, bool, bool); 5] = [
    ("process", false, false),
    ("ndprocess", false, false),
    ("multiprocessing", true, false),
    ("ndmultiprocessing", false, false),
    ("billiard", true, true),
];

#[test]
fn multiprocessing_and_billiard_say_of_a_worker_what_its_pool_type_means() {
    for context in crate::CONTEXTS {
        for (pool, multiprocessing, billiard) in FLAGS {
            let project = Project::task(
                "
import multiprocessing, billiard
def run(**_): return {'flags': [multiprocessing.current_process().daemon, billiard.current_process().daemon]}
",
            );
            let output = project.with_pool(&format!("type = '{pool}'\ncontext = '{context}'")).run(&[]).json();
            assert_eq!(output["flags"], serde_json::json!([multiprocessing, billiard]), "{pool} with {context}");
        }
    }
}

#[test]
fn a_worker_that_ends_terminates_its_daemonic_children_and_waits_for_the_others() {
    let project = Project::task(
        "
import multiprocessing, os, time
def sleep(): time.sleep(1000)
def wait(ended):
    while multiprocessing.parent_process().is_alive() and not os.path.exists('go'): time.sleep(0.01)
    open(ended, 'w').close()
def run(**_):
    daemonic = multiprocessing.Process(target=sleep, daemon=True)
    other = multiprocessing.Process(target=wait, args=['ended'])
    daemonic.start(); other.start()
    import atexit
    atexit.register(lambda: open('go', 'w').close())
    return {'pids': [daemonic.pid, other.pid]}
",
    );
    let finished = project.run(&[]);
    let output = finished.json();
    assert!(project.path("ended").exists(), "{}", finished.stderr);
    for pid in output["pids"].as_array().unwrap() {
        assert!(!is_alive(i32::try_from(pid.as_i64().unwrap()).unwrap()));
    }
}

#[test]
fn an_executor_that_a_task_leaves_open_does_not_hold_up_the_end() {
    let project = Project::task(
        "
import concurrent.futures
def ten(): return 10
def run(**_):
    global pool, threads
    pool = concurrent.futures.ProcessPoolExecutor(2)
    threads = concurrent.futures.ThreadPoolExecutor(2)
    return {'result': pool.submit(ten).result() + threads.submit(ten).result()}
",
    );
    let finished = project.run(&["--timeout", "60s"]);
    assert_eq!(finished.json()["result"], 20);
    assert!(!finished.stderr.contains("still running"), "{}", finished.stderr);
}

#[test]
fn children_of_a_task_take_sigint_as_python_has_it() {
    let project = Project::task(
        "
import multiprocessing, signal
def tell(queue): queue.put(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
def run(**_):
    answers = []
    for method in ['fork', 'forkserver', 'spawn']:
        context = multiprocessing.get_context(method)
        queue = context.SimpleQueue()
        child = context.Process(target=tell, args=[queue])
        child.start()
        answers.append(queue.get())
        child.join()
    return {'answers': answers}
",
    );
    assert_eq!(project.run(&[]).json()["answers"], serde_json::json!([true, true, true]));
}

#[test]
fn workers_draw_different_random_numbers_also_from_numpy() {
    let project = Project::with_workflow(
        "[pool]\nmax_tasks_per_worker = 1\n[actors.a]\nscript = 'draw.py'\n[actors.b]\nscript = 'draw.py'",
        "links = [{ from = 'start', to = 'a' }, { from = 'a', to = 'b' }, { from = 'b', to = 'stop' }]",
    )
    .file(
        "draw.py",
        "
import random, numpy
def run(drawn=(), **_): return {'drawn': [*drawn, random.random(), float(numpy.random.random())]}
",
    );
    let output = project.run(&[]).json();
    let drawn = output["drawn"].as_array().unwrap();
    assert!(drawn[0] != drawn[2] && drawn[1] != drawn[3], "{drawn:?}");
}

#[test]
fn without_billiard_the_error_names_the_python_and_what_to_install() {
    let project = Project::task("def run(**_): return {}")
        .file("without/billiard.py", "raise ModuleNotFoundError('none', name='billiard')")
        .with_pool("type = 'billiard'");
    let mut command = project.command(&["run", "w.toml"]);
    let finished = finished(output(command.env("PYTHONPATH", project.path("without"))));
    assert_eq!(finished.code, Some(1));
    let message = finished.stderr;
    assert!(
        message.contains(
            "cannot start workers of pool default: the pool type `billiard` needs the package billiard, which "
        ),
        "{message}"
    );
    assert!(message.contains("-m pip install billiard"), "{message}");
}
