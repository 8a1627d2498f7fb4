//! Tasks that do not listen, and those that have started what does not: interrupted once, all of it ends.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::scene::Scene;
use crate::stubborn::{TASKS, each_of};

fn ends_when_interrupted(pool: &str, signals: &[Signal]) {
    each_of(TASKS, |(what, body)| {
        let scene = Scene::task(body, &format!("{pool}\ngrace = '300ms'"));
        let mut running = scene.start();
        running.wait_for("note ready");
        let interrupted = Instant::now();
        for signal in signals {
            running.signal(*signal);
            running.wait_for("ing the running tasks");
        }
        let finished = running.finish();
        scene.nothing_is_left(&format!("the task {what} in {pool}\n{}", finished.stderr));
        assert_eq!(finished.code, Some(130), "the task {what} in {pool}: {}", finished.stderr);
        assert!(interrupted.elapsed() < Duration::from_secs(20), "the task {what} in {pool}: {}", finished.stderr);
    });
}

#[test]
fn one_interrupt_ends_what_does_not_listen() {
    ends_when_interrupted("type = 'process'", &[Signal::SIGINT]);
}

#[test]
fn two_interrupts_end_what_does_not_listen() {
    ends_when_interrupted("type = 'process'", &[Signal::SIGINT, Signal::SIGINT]);
}

#[test]
fn one_interrupt_ends_what_does_not_listen_in_a_fresh_interpreter() {
    ends_when_interrupted("context = 'spawn'", &[Signal::SIGINT]);
}

#[test]
fn one_interrupt_ends_what_does_not_listen_in_threads() {
    ends_when_interrupted("type = 'thread'", &[Signal::SIGINT]);
}

#[test]
fn programs_end_as_workers_do() {
    for (what, script) in [
        ("ignores signals", "trap '' INT TERM; echo note ready; while :; do sleep 1000; done"),
        ("is stopped", "echo note ready; kill -STOP $$; sleep 1000"),
        ("has left its session", "setsid sh -c 'trap \"\" INT TERM; sleep 1000; sleep 1000' & echo note ready; wait"),
        (
            "has started a daemon",
            "(setsid sh -c 'trap \"\" INT TERM; sleep 1000; sleep 1000' &) & sleep 0.1; echo note ready; sleep 1000",
        ),
    ] {
        let project = crate::support::Project::with_workflow(
            &format!("[pool]\ngrace = '300ms'\n[actors.task]\nkind = 'exec'\ncommand = ['sh', '-c', {script:?}]"),
            "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]",
        );
        let scene = Scene::of(project);
        let mut running = scene.start();
        running.wait_for("note ready");
        running.signal(Signal::SIGINT);
        let finished = running.finish();
        scene.nothing_is_left(&format!("the program {what}\n{}", finished.stderr));
        assert_eq!(finished.code, Some(130), "the program {what}: {}", finished.stderr);
    }
}
