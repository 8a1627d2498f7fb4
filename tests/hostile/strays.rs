//! What a finished task has left behind is ended while the run goes on, unless its actor says `leave_children`.

use std::fs;

use crate::scene::{PRELUDE, Scene};
use crate::support::Project;

/// A task that leaves something behind, and one that looks at it.
fn left_by(body: &str, settings: &str, look: &str) -> Scene {
    let project = Project::with_workflow(
        &format!(
            "[pool]\ngrace = '300ms'\n[actors.leaves]\nscript = 'leaves.py'\n{settings}\n[actors.looks]\nscript = 'looks.py'"
        ),
        "links = [{ from = 'start', to = 'leaves' }, { from = 'leaves', to = 'looks' }, { from = 'looks', to = 'stop' }]",
    );
    let looks = format!(
        "{PRELUDE}
def alive(pid):
    try: return open(f'/proc/{{pid}}/stat').read().rpartition(')')[2].split()[0] not in 'ZX'
    except OSError: return False

def run(pid, **_):
{look}
"
    );
    Scene::of(project.file("leaves.py", &format!("{PRELUDE}\ndef run(**_):\n{body}\n")).file("looks.py", &looks))
}

/// Waits for the end of a process that must end, for longer than it may take.
const WAIT: &str = "    until = time.monotonic() + 30
    while alive(pid) and time.monotonic() < until: time.sleep(0.01)
    return {'alive': alive(pid)}";

#[test]
fn a_daemon_of_a_finished_task_is_ended_while_the_run_goes_on() {
    for (what, body) in [
        ("announced", "    return {'pid': daemon()}"),
        (
            "not announced",
            "    os.system('setsid sh -c \"echo \\\\$\\\\$ > pid; trap : INT TERM; while :; do sleep 1; done\" & while ! test -s pid; do sleep 0.01; done')\n    return {'pid': int(open('pid').read())}",
        ),
        (
            "started by a program of the task",
            "    subprocess.run(['sh', '-c', 'setsid sleep 1000 & echo $! > pid'])\n    return {'pid': int(open('pid').read())}",
        ),
    ] {
        let scene = left_by(body, "", WAIT);
        let finished = scene.run(&[]);
        scene.nothing_is_left(&finished.stderr);
        assert_eq!(finished.json()["alive"], false, "{what}: {}", finished.stderr);
        assert!(
            finished.stderr.contains("leaves: left processes running, which get SIGTERM now"),
            "{what}: {}",
            finished.stderr
        );
        assert!(finished.stderr.contains("tasks had left 1 process behind"), "{what}: {}", finished.stderr);
    }
}

#[test]
fn leave_children_leaves_them_until_the_run_is_over() {
    let look = "    time.sleep(1.0)\n    return {'alive': alive(pid)}";
    let scene = left_by("    return {'pid': daemon()}", "leave_children = true", look);
    let finished = scene.run(&[]);
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.json()["alive"], true, "{}", finished.stderr);
    assert!(finished.stderr.contains("left running, as leave_children says"), "{}", finished.stderr);
}

#[test]
fn what_becomes_a_stray_after_its_task_is_ended_too() {
    let body = "    subprocess.Popen(['sh', '-c', 'while ! test -e go; do sleep 0.01; done; setsid sleep 1000 & echo $! > pid'])
    return {'pid': 0}";
    let look = "    open('go', 'w').close()
    while not os.path.exists('pid') or not open('pid').read(): time.sleep(0.01)
    pid = int(open('pid').read())
    until = time.monotonic() + 30
    while alive(pid) and time.monotonic() < until: time.sleep(0.01)
    return {'alive': alive(pid)}";
    // In another worker: what starts during a task of the same one could be that task's.
    let scene = left_by(body, "", look);
    let workflow = fs::read_to_string(scene.project.path("w.toml")).unwrap();
    let workflow =
        workflow.replace("script = 'looks.py'", "script = 'looks.py'\npool = 'other'\n[pools.other]\ngrace = '300ms'");
    fs::write(scene.project.path("w.toml"), workflow).unwrap();
    let finished = scene.run(&[]);
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.json()["alive"], false, "{}", finished.stderr);
}

#[test]
fn what_has_a_living_parent_is_no_stray() {
    // The forkserver and the resource tracker of multiprocessing, and a pool that a module keeps.
    let body = "    import concurrent.futures, multiprocessing
    global pool
    pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('forkserver'))
    return {'pid': pool.submit(os.getpid).result()}";
    let scene = left_by(body, "", "    time.sleep(1.0)\n    return {'alive': alive(pid)}");
    let finished = scene.run(&[]);
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.json()["alive"], true, "{}", finished.stderr);
    assert!(!finished.stderr.contains("left processes running"), "{}", finished.stderr);
}

#[test]
fn zombies_that_nobody_reaps_keep_nobody_busy() {
    let body = "    global kept
    kept = [subprocess.Popen(['true']) for _ in range(20)]
    return {'pid': os.getppid()}";
    let look =
        "    def ticks(): return sum(map(int, open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[11:13]))
    time.sleep(0.5)
    before = ticks()
    time.sleep(3)
    return {'ticks': ticks() - before}";
    let scene = left_by(body, "", look);
    let finished = scene.run(&[]);
    scene.nothing_is_left(&finished.stderr);
    // Hundredths of a second, in three seconds.
    assert!(finished.json()["ticks"].as_u64().unwrap() <= 5, "{}", finished.json());
}

#[test]
fn a_daemon_of_a_task_that_is_still_running_is_left_alone() {
    let scene = Scene::task(
        "    pid = daemon()\n    subprocess.run(['true'])\n    fork(lambda: fork(lambda: None))\n    time.sleep(1.0)\n    return {'state': open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[0]}",
        "grace = '300ms'",
    );
    let finished = scene.run(&[]);
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.json()["state"], "S", "{}", finished.stderr);
}

#[test]
fn a_program_leaves_nothing_either() {
    for leave in [false, true] {
        let project = Project::with_workflow(
            &format!(
                "[pool]\ngrace = '300ms'\n[actors.leaves]\nkind = 'exec'\nleave_children = {leave}\ncommand = ['sh', '-c', 'setsid sleep 1000 & echo $! > pid']\n[actors.looks]\nscript = 'looks.py'"
            ),
            "links = [{ from = 'start', to = 'leaves' }, { from = 'leaves', to = 'looks' }, { from = 'looks', to = 'stop' }]",
        );
        let looks = format!(
            "import os, time\ndef alive(pid):\n    try: return open(f'/proc/{{pid}}/stat').read().rpartition(')')[2].split()[0] not in 'ZX'\n    except OSError: return False\ndef run(**_):\n    pid = int(open('pid').read())\n    until = time.monotonic() + {}\n    while alive(pid) and time.monotonic() < until: time.sleep(0.01)\n    return {{'alive': alive(pid)}}",
            if leave { 1 } else { 30 }
        );
        let scene = Scene::of(project.file("looks.py", &looks));
        let finished = scene.run(&[]);
        scene.nothing_is_left(&finished.stderr);
        assert_eq!(finished.json()["alive"], leave, "{}", finished.stderr);
        fs::remove_file(scene.project.path("pid")).unwrap();
    }
}
