//! Every signal to the process that the user knows, or to the one below it, while tasks of every kind run and while one of the two is
//! stopped: nothing is left.

use std::fs;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::held_up::{pid, start, supervisor_of, until, wait_for_note};
use crate::scene::Scene;
use crate::stubborn::{TASKS, each_of};

/// What is stopped before the signal comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    Nobody,
    Supervisor,
    Guardian,
    Both,
}

/// Each kind of task that does not listen, and each signal, to the process that the user knows or to the one below it: nothing is left.
fn signals_end_everything(stopped: Stopped) {
    const SIGNALS: [(Signal, bool); 5] = [
        (Signal::SIGINT, false),
        (Signal::SIGTERM, false),
        (Signal::SIGHUP, false),
        (Signal::SIGKILL, false),
        (Signal::SIGKILL, true),
    ];
    each_of(
        TASKS.iter().flat_map(|task| SIGNALS.map(|signal| (task, signal))),
        |((what, body), (signal, to_supervisor))| {
            let whom = if to_supervisor { "supervisor" } else { "guardian" };
            let context = format!("a task that {what}; {stopped:?} stopped, {signal} to the {whom}");
            let scene = Scene::task(body, "grace = '300ms'\n[service]\nstop_timeout = '300ms'");
            let mut child = start(&scene, Stdio::null(), Stdio::null());
            let (guardian, supervisor) = (pid(&child), supervisor_of(&child));
            wait_for_note(&scene, "ready");
            for (which, it) in [(supervisor, Stopped::Supervisor), (guardian, Stopped::Guardian)] {
                if stopped == it || stopped == Stopped::Both {
                    kill(which, Signal::SIGSTOP).unwrap();
                    until("the stop", || is_stopped(which).then_some(()));
                }
            }
            kill(if to_supervisor { supervisor } else { guardian }, signal).unwrap();
            if signal != Signal::SIGKILL && matches!(stopped, Stopped::Guardian | Stopped::Both) {
                // A process that is stopped gets nothing else before: shells and systemd send this with it.
                kill(guardian, Signal::SIGCONT).unwrap();
            }
            until(&context, || child.try_wait().unwrap());
            scene.soon_nothing_is_left(&context);
        },
    );
}

#[test]
fn signals_end_every_kind_of_task() {
    signals_end_everything(Stopped::Nobody);
}

#[test]
fn signals_end_every_kind_of_task_of_a_supervisor_that_is_stopped() {
    signals_end_everything(Stopped::Supervisor);
}

#[test]
fn signals_end_every_kind_of_task_while_the_guardian_is_stopped() {
    signals_end_everything(Stopped::Guardian);
}

#[test]
fn signals_end_every_kind_of_task_while_guardian_and_supervisor_are_stopped() {
    signals_end_everything(Stopped::Both);
}

fn is_stopped(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|it| it.starts_with('T')))
}
