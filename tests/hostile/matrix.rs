//! The signal matrix: what SIGINT, SIGTERM and a normal end mean to daemonic and non-daemonic processes of every origin.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::scene::{PRELUDE, Scene};
use crate::support::{Project, is_alive};

/// Starts a child of each origin. Each notes what it gets: `NAME INT`, `NAME TERM`, and `NAME end` when it was left to
/// finish, which takes until there is a file `finish`.
const CHILDREN: &str = "
import multiprocessing, billiard

def child(name, deaf=False):
    def on(signum, frame):
        note(f'{name} {signal.Signals(signum).name[3:]}')
        if signum == signal.SIGTERM and not deaf: os._exit(0)
    for one in (signal.SIGINT, signal.SIGTERM): signal.signal(one, on)
    note(f'{name} pid {os.getpid()}')
    while not os.path.exists('finish'): time.sleep(0.01)
    note(f'{name} end')
    os._exit(0)

def start_children(deaf=False):
    for package, word in ((multiprocessing, 'mp'), (billiard, 'billiard')):
        for daemonic in (True, False):
            process = package.Process(target=child, args=(f'{word}-{\"D\" if daemonic else \"N\"}', deaf))
            process.daemon = daemonic
            process.start()
    fork(lambda: child('fork-N', deaf))
    call = f'import sys; sys.path.insert(0, {os.getcwd()!r}); import task; task.child(\"subprocess-N\", {deaf})'
    subprocess.Popen([sys.executable, '-c', call])
    wait_for(6)

def wait_for(count):
    while sum(' pid ' in line for line in open('notes')) < count: time.sleep(0.01)
";

const DAEMONIC: [&str; 2] = ["mp-D", "billiard-D"];
const OTHERS: [&str; 4] = ["mp-N", "billiard-N", "fork-N", "subprocess-N"];

fn scene(body: &str, settings: &str) -> Scene {
    let project = Project::with_workflow(
        &format!("[pool]\ngrace = '500ms'\n{settings}\n[actors.task]\nscript = 'task.py'"),
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]",
    );
    Scene::of(project.file("task.py", &format!("{PRELUDE}{CHILDREN}\ndef run(**_):\n{body}\n")))
}

fn finish(scene: &Scene) {
    std::fs::write(scene.project.path("finish"), "").unwrap();
}

/// What a child has noted, without its number.
fn said(notes: &[String], name: &str) -> Vec<String> {
    let its = notes.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    its.filter(|what| !what.starts_with("pid ")).map(str::to_owned).collect()
}

fn assert_said(scene: &Scene, names: &[&str], wanted: &[&str], context: &str) {
    let notes = scene.notes();
    for name in names {
        assert_eq!(said(&notes, name), wanted, "{name}: {notes:?}\n{context}");
    }
}

/// Waits until each of these has noted something.
fn wait_until_said(scene: &Scene, names: &[&str], what: &str) {
    let begin = Instant::now();
    while !names.iter().all(|name| said(&scene.notes(), name).iter().any(|said| said == what)) {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what} never came: {:?}", scene.notes());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn pids(scene: &Scene, names: &[&str]) -> Vec<i32> {
    let notes = scene.notes();
    names
        .iter()
        .map(|name| notes.iter().find_map(|line| line.strip_prefix(&format!("{name} pid "))?.parse().ok()).unwrap())
        .collect()
}

#[test]
fn at_a_normal_end_daemonic_children_are_terminated_and_the_others_waited_for() {
    let scene = scene("    start_children()\n    return {}", "");
    let mut running = scene.start();
    let line = running.wait_for("waiting for what tasks have left running");
    wait_until_said(&scene, &DAEMONIC, "TERM");
    assert!(pids(&scene, &OTHERS).iter().all(|pid| is_alive(*pid)), "{line} {:?}", scene.notes());
    finish(&scene);
    let finished = running.finish();
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_said(&scene, &DAEMONIC, &["TERM"], &finished.stderr);
    assert_said(&scene, &OTHERS, &["end"], &finished.stderr);
}

#[test]
fn at_a_normal_end_the_wait_has_an_end_too() {
    let scene = scene("    start_children(deaf=True)\n    return {}", "[service]\nstop_timeout = '1500ms'");
    let running = scene.start();
    let finished = running.finish();
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    for name in DAEMONIC.iter().chain(&OTHERS) {
        assert!(said(&scene.notes(), name).contains(&"TERM".to_owned()), "{name} {:?}", scene.notes());
        assert!(!said(&scene.notes(), name).contains(&"end".to_owned()), "{name} {:?}", scene.notes());
    }
}

#[test]
fn sigterm_lets_a_task_and_what_it_has_started_finish_and_then_is_as_a_normal_end() {
    let scene = scene(
        "    start_children()\n    note('ready')\n    while not os.path.exists('go'): time.sleep(0.01)\n    note('done')\n    return {}",
        "",
    );
    let mut running = scene.start();
    running.wait_for("note ready");
    running.signal(Signal::SIGTERM);
    running.wait_for("no new task starts");
    // A daemonic child belongs to its task, which may need it to finish.
    assert!(pids(&scene, &DAEMONIC).iter().all(|pid| is_alive(*pid)));
    std::fs::write(scene.project.path("go"), "").unwrap();
    wait_until_said(&scene, &DAEMONIC, "TERM");
    assert!(pids(&scene, &OTHERS).iter().all(|pid| is_alive(*pid)));
    finish(&scene);
    let finished = running.finish();
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.code, Some(143), "{}", finished.stderr);
    assert!(scene.notes().contains(&"done".to_owned()));
    assert_said(&scene, &DAEMONIC, &["TERM"], &finished.stderr);
    assert_said(&scene, &OTHERS, &["end"], &finished.stderr);
}

#[test]
fn sigterm_waits_no_longer_than_stop_timeout() {
    let scene =
        scene("    start_children(deaf=True)\n    note('ready')\n    forever()", "[service]\nstop_timeout = '700ms'");
    let mut running = scene.start();
    running.wait_for("note ready");
    let begin = Instant::now();
    running.signal(Signal::SIGTERM);
    let finished = running.finish();
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.code, Some(143), "{}", finished.stderr);
    assert!(begin.elapsed() >= Duration::from_millis(700), "{}", finished.stderr);
    assert_said(&scene, &DAEMONIC, &["TERM"], &finished.stderr);
    assert_said(&scene, &OTHERS, &["TERM"], &finished.stderr);
}

#[test]
fn sigint_reaches_every_child_of_a_running_task_once() {
    let scene = scene(
        "    start_children()\n    note('ready')\n    try: time.sleep(1000)\n    finally: note('interrupted')",
        "",
    );
    let mut running = scene.start();
    running.wait_for("note ready");
    running.signal(Signal::SIGINT);
    running.wait_for("press Ctrl-C again");
    wait_until_said(&scene, &DAEMONIC, "INT");
    wait_until_said(&scene, &OTHERS, "INT");
    finish(&scene);
    let finished = running.finish();
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    let notes = scene.notes();
    assert_eq!(notes.iter().filter(|line| *line == "interrupted").count(), 1, "{notes:?}");
    for name in DAEMONIC.iter().chain(&OTHERS) {
        assert_eq!(said(&notes, name).iter().filter(|what| *what == "INT").count(), 1, "{name}: {notes:?}");
    }
}

#[test]
fn sigint_reaches_what_a_finished_task_has_left_too() {
    let project = Project::with_workflow(
        "[pool]\ngrace = '500ms'\nmax_workers = 2\n[actors.task]\nscript = 'task.py'\n[actors.slow]\nscript = 'slow.py'",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'slow' }, { from = 'slow', to = 'stop' }]",
    )
    .file("task.py", &format!("{PRELUDE}{CHILDREN}\ndef run(**_):\n    start_children()\n    return {{}}\n"))
    .file("slow.py", &format!("{PRELUDE}\ndef run(**_):\n    note('ready')\n    time.sleep(1000)\n"));
    let scene = Scene::of(project);
    let mut running = scene.start();
    running.wait_for("note ready");
    running.signal(Signal::SIGINT);
    wait_until_said(&scene, &DAEMONIC, "INT");
    wait_until_said(&scene, &OTHERS, "INT");
    let finished = running.finish();
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    // They do not end at SIGINT; after the grace time they have to.
    for name in DAEMONIC.iter().chain(&OTHERS) {
        assert!(said(&scene.notes(), name).contains(&"TERM".to_owned()), "{name} {:?}", scene.notes());
    }
}

#[test]
fn a_second_sigint_is_sigterm_for_all_and_sigkill_after_the_grace_time() {
    let scene = scene("    start_children(deaf=True)\n    note('ready')\n    forever()", "");
    let mut running = scene.start();
    running.wait_for("note ready");
    running.signal(Signal::SIGINT);
    running.wait_for("press Ctrl-C again");
    wait_until_said(&scene, &OTHERS, "INT");
    running.signal(Signal::SIGINT);
    running.wait_for("killing the running tasks");
    let finished = running.finish();
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    for name in DAEMONIC.iter().chain(&OTHERS) {
        assert_eq!(said(&scene.notes(), name)[..2], ["INT", "TERM"], "{name} {:?}", scene.notes());
    }
}

#[test]
fn sigterm_ends_the_task_of_a_daemonic_worker_at_once_and_waits_for_that_of_another() {
    for (kind, waits) in
        [("multiprocessing", false), ("billiard", false), ("ndmultiprocessing", true), ("process", true)]
    {
        let body = "
    def on(signum, frame):
        note('worker TERM')
        sys.exit()
    signal.signal(signal.SIGTERM, on)
    note('ready')
    while not os.path.exists('finish'): time.sleep(0.01)
    note('worker end')
    return {}";
        let scene = scene(body, &format!("type = '{kind}'"));
        let mut running = scene.start();
        running.wait_for("note ready");
        running.signal(Signal::SIGTERM);
        running.wait_for("no new task starts");
        if waits {
            finish(&scene);
        } else {
            wait_until_said(&scene, &["worker"], "TERM");
            finish(&scene);
        }
        let finished = running.finish();
        scene.nothing_is_left(&finished.stderr);
        let wanted = if waits { "end" } else { "TERM" };
        assert_said(&scene, &["worker"], &[wanted], &format!("{kind} {}", finished.stderr));
        assert_eq!(finished.code, Some(143), "{kind}: {}", finished.stderr);
    }
}

#[test]
fn sigusr1_writes_the_tree_to_the_log() {
    let scene = scene("    start_children()\n    note('ready')\n    time.sleep(1000)", "");
    let mut running = scene.start();
    running.wait_for("note ready");
    running.signal(Signal::SIGUSR1);
    running.wait_for("processes of w:");
    let children = pids(&scene, &DAEMONIC);
    let line = running.wait_for(&format!(" {} ", children[0]));
    assert!(line.contains("(daemonic, pool default, actor task, run 0)"), "{line}");
    running.signal(Signal::SIGINT);
    let finished = running.finish();
    scene.nothing_is_left(&finished.stderr);
}

#[test]
fn a_workflow_in_a_task_is_interrupted_once() {
    let pushflow = env!("CARGO_BIN_EXE_pushflow");
    let body = format!("    subprocess.run([{pushflow:?}, 'run', 'inner.toml'])\n    return {{}}");
    // The inner one needs its time on a busy machine.
    let scene = Scene::task(&body, "grace = '60s'");
    std::fs::write(
        scene.project.path("inner.toml"),
        format!(
            "links = [{{ from = 'start', to = 'inner' }}, {{ from = 'inner', to = 'stop' }}]\n[workflow]\npython = {:?}\n[actors.inner]\nscript = 'inner.py'\n",
            crate::support::python()
        ),
    )
    .unwrap();
    let task = format!(
        "{PRELUDE}\ndef run(**_):\n    note('inner')\n    try: time.sleep(1000)\n    finally: note('interrupted')\n"
    );
    std::fs::write(scene.project.path("inner.py"), task).unwrap();
    let mut running = scene.start();
    running.wait_for("note inner");
    running.signal(Signal::SIGINT);
    let finished = running.finish();
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    assert_eq!(scene.notes(), ["inner", "interrupted"], "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("press Ctrl-C again").count(), 2, "{}", finished.stderr);
}
