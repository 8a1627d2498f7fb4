//! CPU affinity: where tasks may run while supervisor and worker are pinned to one CPU.

use std::thread::available_parallelism;

use serde_json::Value;

use crate::support::{Project, finished, process};

/// A task in a loop that goes on until the supervisor is pinned to one CPU, and then starts something. None of it may notice.
const LOOK: &str = "
import os, subprocess, sys, threading
MOST = 100_000
def cpus():
    return sorted(os.sched_getaffinity(0))
def supervisor_is_pinned():
    with open(f'/proc/{os.getppid()}/status') as status:
        return next(line.split()[1] for line in status if line.startswith('Cpus_allowed_list:')).isdigit()
BEFORE = cpus()
PROGRAM = [sys.executable, '-c', 'import os; print(*sorted(os.sched_getaffinity(0)))']
def run(count=0, **_):
    if cpus() != BEFORE: raise RuntimeError(f'task {count} may run at {cpus()} only')
    found = supervisor_is_pinned()
    started = []
    if found:
        thread = threading.Thread(target=lambda: started.append(cpus()))
        thread.start()
        thread.join()
        program = subprocess.run(PROGRAM, stdout=subprocess.PIPE, universal_newlines=True)
        started.append([int(cpu) for cpu in program.stdout.split()])
    return {'count': count + 1, 'found': found, 'again': not found and count < MOST, 'before': BEFORE, 'started': started}
";

/// The loop, and a program after it.
fn looking(pool: &str) -> Project {
    Project::with_workflow(
        "[actors.look]\nscript = 'look.py'\n[actors.decide]\nkind = 'router'\nitem = 'again'\n[actors.program]\nkind = 'exec'\ncommand = ['nproc']\nstdout_key = 'nproc'",
        "links = [{ from = 'start', to = 'look' }, { from = 'look', to = 'decide' }, { from = 'decide', to = 'look', port = true }, { from = 'decide', to = 'program', port = false }, { from = 'program', to = 'stop' }]",
    )
    .file("look.py", LOOK)
    .with_pool(pool)
}

#[test]
fn tasks_and_what_they_start_may_run_anywhere_while_supervisor_and_worker_are_pinned() {
    let cpus = available_parallelism().unwrap().get();
    for pool in ["max_workers = 1", "type = 'thread'\nmax_workers = 1", "type = 'multiprocessing'\ncontext = 'spawn'"] {
        let output = looking(pool).run(&["--timeout", "120s"]).json();
        assert_eq!(output["found"], cpus > 1, "{pool}: {output}");
        assert_eq!(output["before"].as_array().unwrap().len(), cpus, "{pool}: {output}");
        for started in output["started"].as_array().unwrap() {
            assert_eq!(started, &output["before"], "{pool}: {output}");
        }
        assert_eq!(output["nproc"].as_str().unwrap().trim(), cpus.to_string(), "{pool}: {output}");
    }
}

#[test]
fn a_worker_whose_launcher_chose_a_cpu_stays_there() {
    let output = looking("max_workers = 1\nlauncher = ['taskset', '-c', '0']").run(&["--timeout", "120s"]).json();
    assert_eq!(output["before"], serde_json::json!([0]), "{output}");
}

/// Two loops beside each other, each of whose tasks looks where it may run; every hundredth starts a program.
const LOOP: &str = "
import os, subprocess
def cpus():
    return sorted(os.sched_getaffinity(0))
BEFORE = cpus()
def run(count=0, found=(), **_):
    if cpus() != BEFORE: raise RuntimeError(f'task {count} may run at {cpus()} only')
    if count % 100 == 0:
        found = sorted({*found, subprocess.run(['nproc'], stdout=subprocess.PIPE, universal_newlines=True).stdout.strip()})
    return {'count': count + 1, 'again': count < 2000, 'found': found}
";

#[test]
fn many_short_tasks_and_what_they_start_may_run_anywhere_too() {
    let cpus = available_parallelism().unwrap().get();
    for pool in ["max_workers = 2", "type = 'thread'\nmax_workers = 2"] {
        let one = |name: &str| {
            format!(
                "{{ from = 'start', to = '{name}' }}, {{ from = '{name}', to = 'if-{name}' }}, {{ from = 'if-{name}', to = '{name}', port = true }}, {{ from = 'if-{name}', to = 'both', port = false }}"
            )
        };
        let actors = |name: &str| {
            format!("[actors.{name}]\nscript = 'loop.py'\n[actors.if-{name}]\nkind = 'router'\nitem = 'again'\n")
        };
        let output = Project::with_workflow(
            &format!("{}{}[actors.both]\nkind = 'join'", actors("a"), actors("b")),
            &format!("links = [{}, {}, {{ from = 'both', to = 'stop' }}]", one("a"), one("b")),
        )
        .file("loop.py", LOOP)
        .with_pool(pool)
        .run(&["--timeout", "120s"])
        .json();
        assert_eq!(
            (&output["count"], &output["found"]),
            (&2001.into(), &serde_json::json!([cpus.to_string()])),
            "{pool}"
        );
    }
}

#[test]
fn without_affinity_the_outcome_is_the_same_and_the_supervisor_is_never_pinned() {
    let outcome = |affinity: Option<&str>| {
        // Without affinity it is looked for in vain, and not for long.
        let most = affinity.map_or("100_000", |_| "3_000");
        let project = looking("max_workers = 1").file("look.py", &LOOK.replace("100_000", most));
        let mut command = project.command(&["run", "w.toml", "--timeout", "120s"]);
        command.envs(affinity.map(|value| ("PUSHFLOW_AFFINITY", value)));
        let mut output = finished(process::output(&mut command)).json();
        let used = output["found"].take() == true;
        // How many tasks it took, and what the last one has started, depends on that.
        (output["count"], output["started"]) = (Value::Null, Value::Null);
        (output, used)
    };
    let (output, used) = outcome(None);
    assert_eq!(used, available_parallelism().unwrap().get() > 1, "affinity was not used: this test says nothing");
    assert_eq!(outcome(Some("off")), (output, false));
}
