//! The task kinds of pypushflow's compatibility table, in every pool type.

use serde_json::Value;

use crate::support::process::output;
use crate::support::{Project, python};

/// What a task does, by the name it has in pypushflow's table. Each returns `{"result": 10}`.
const KINDS: &str = "
import concurrent.futures, multiprocessing, multiprocessing.pool, subprocess
def ten(): return 10
def put(result): result.value = 10
def process(context):
    with context.Manager() as manager:
        result = manager.Value('i', 0)
        child = context.Process(target=put, args=(result,))
        child.start()
        child.join()
        return result.value
def pool(kind, **kwargs):
    with kind(**kwargs) as pool: return pool.apply(ten)
def executor(context):
    with concurrent.futures.ProcessPoolExecutor(mp_context=context, max_workers=2) as pool: return pool.submit(ten).result()
def simple(method): return 10
def subprocess_(method): return int(subprocess.check_output(['echo', '10']))
def cfpool(method): return executor(multiprocessing.get_context(method))
def mppool(method): return pool(multiprocessing.get_context(method).Pool, processes=2)
def mpprocess(method): return process(multiprocessing.get_context(method))
def bpool(method):
    import billiard
    return pool(billiard.get_context(method).Pool, processes=2)
def bprocess(method):
    import billiard
    return process(billiard.get_context(method))
";

pub(crate) const TASK_KINDS: [&str; 7] = ["simple", "subprocess", "cfpool", "mppool", "mpprocess", "bpool", "bprocess"];

/// Runs a task of each kind in a pool, one after the other, and says how each ended: its result, or its error's text.
pub(crate) fn every_kind(pool: &str, kinds: &[&str], method: Option<&str>) -> Value {
    let mut sections = format!("timeout = '60s'\n[pool]\nmax_workers = 1\n{pool}\n");
    let mut links = Vec::new();
    let mut before = "start".to_owned();
    for kind in kinds {
        sections.push_str(&format!(
            "[actors.{kind}]\nscript = 'do_{kind}.py'\n[actors.{kind}_end]\nscript = 'end_{kind}.py'\n"
        ));
        links.push(format!("{{ from = '{before}', to = '{kind}' }}"));
        links.push(format!("{{ from = '{kind}', to = '{kind}_end' }}"));
        links.push(format!("{{ from = '{kind}', to = '{kind}_end', on_error = true }}"));
        before = format!("{kind}_end");
    }
    links.push(format!("{{ from = '{before}', to = 'stop' }}"));
    let mut project =
        Project::with_workflow(&sections, &format!("links = [{}]", links.join(", "))).file("kinds.py", KINDS);
    for kind in kinds {
        let function = if *kind == "subprocess" { "subprocess_" } else { kind };
        let body = format!("import kinds\ndef run(method=None, **_): return {{'result': kinds.{function}(method)}}\n");
        project =
            project.file(&format!("do_{kind}.py"), &body).file(&format!("end_{kind}.py"), &END.replace("KIND", kind));
    }
    let method = method.map(|method| format!("method={method}"));
    let arguments = method.iter().flat_map(|method| ["-i", method]).collect::<Vec<_>>();
    project.run(&arguments).json()["table"].clone()
}

const END: &str = "
def run(result=None, WorkflowException=None, table=None, **_):
    ended = WorkflowException['errorMessage'] if WorkflowException else result
    return {'table': {**(table or {}), 'KIND': ended}, 'result': None, 'WorkflowException': None, 'WorkflowExceptionInstance': None}
";

fn has_billiard() -> bool {
    output(std::process::Command::new(python()).args(["-c", "import billiard"])).status.success()
}

#[test]
fn in_a_non_daemonic_pool_a_task_may_start_anything_with_every_start_method() {
    assert!(has_billiard(), "the test Python needs billiard");
    for pool in ["process", "ndprocess", "ndmultiprocessing"] {
        for method in ["fork", "forkserver", "spawn"] {
            let table = every_kind(&format!("type = '{pool}'"), &TASK_KINDS, Some(method));
            for kind in TASK_KINDS {
                assert_eq!(table[kind], 10, "{kind} with {method} in {pool}: {table}");
            }
        }
    }
}

#[test]
fn in_a_daemonic_pool_multiprocessing_refuses_children_with_its_own_words_and_billiard_allows_them() {
    for pool in ["multiprocessing", "billiard"] {
        let table = every_kind(&format!("type = '{pool}'"), &TASK_KINDS, None);
        for kind in ["simple", "subprocess", "bpool", "bprocess"] {
            assert_eq!(table[kind], 10, "{kind} in {pool}: {table}");
        }
        for kind in ["cfpool", "mppool", "mpprocess"] {
            assert_eq!(table[kind], "daemonic processes are not allowed to have children", "{kind} in {pool}: {table}");
        }
    }
}

#[test]
fn in_a_thread_a_task_may_start_anything_with_every_start_method() {
    for method in ["fork", "forkserver", "spawn"] {
        let table = every_kind("type = 'thread'", &TASK_KINDS, Some(method));
        for kind in TASK_KINDS {
            assert_eq!(table[kind], 10, "{kind} with {method}: {table}");
        }
    }
}

#[test]
fn in_patched_workers_a_task_may_start_anything_too_with_every_start_method() {
    for (pool, method) in [
        ("type = 'gevent'", "fork"),
        ("type = 'gevent'", "forkserver"),
        ("gevent = true", "fork"),
        ("gevent = true", "spawn"),
        ("type = 'thread'\ngevent = true", "fork"),
    ] {
        let table = every_kind(pool, &TASK_KINDS, Some(method));
        for kind in TASK_KINDS {
            assert_eq!(table[kind], 10, "{kind} with {method} in {pool}: {table}");
        }
    }
}
