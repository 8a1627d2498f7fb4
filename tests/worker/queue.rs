//! The queue of a worker: what waits in it, what is retracted, and when the worker waits in between.

use pushflow::payload::{Payload, Plain};
use pushflow::worker::{Frame, Message, Next, Queue};

use crate::{PATIENCE, Python, payload};

fn with_queue(script: &str) -> Python {
    Python::with_queue(&[script], &[], Some(Queue::new().unwrap()))
}

impl Python {
    fn give(&mut self, task: u64, payload: &Payload, next: Next) {
        self.worker.send(Frame::run(task, 0, payload, next)).unwrap();
    }

    /// The task whose result comes next, and one of the integers in it.
    fn answer(&mut self, key: &str) -> (u64, i64) {
        let message = self.message().unwrap();
        self.result_in(message, key)
    }

    /// The same, of a worker that on a busy host may have taken long.
    fn answer_soon_or_late(&mut self, key: &str) -> (u64, i64) {
        match self.message().unwrap() {
            Message::Pauses { started: false } => {
                let answer = self.answer(key);
                self.worker.go_on().unwrap();
                answer
            }
            message => self.result_in(message, key),
        }
    }

    fn result_in(&self, message: Message, key: &str) -> (u64, i64) {
        match message {
            Message::Result { job: task, result } => {
                let value = result.get(&key.into()).and_then(pushflow::payload::to_json).unwrap();
                (task, value.as_i64().unwrap())
            }
            other => panic!("expected a result, got {other:?}"),
        }
    }

    fn retract(&mut self) -> Vec<u64> {
        self.worker.queue().unwrap().retract()
    }
}

fn number(number: i64) -> Payload {
    payload(&[("number", Plain::Int(number))])
}

#[test]
fn tasks_that_follow_each_other_are_executed_in_their_order() {
    let mut python = with_queue("def run(number):\n    return {'double': 2 * number}");
    for task in 1..=50 {
        python.give(task, &number(task as i64), Next::Follows);
    }
    for task in 1..=50 {
        assert_eq!(python.answer_soon_or_late("double"), (task, 2 * task as i64));
    }
}

#[test]
fn what_has_not_begun_is_taken_back_and_what_has_is_answered() {
    // The first task tells that it has begun, and ends when something is written into its pipe.
    let mut python = with_queue(
        "
import os
def run(number):
    if number == 1:
        open(os.path.join(FOLDER, 'begun'), 'w').close()
        with open(os.path.join(FOLDER, 'pipe')) as pipe: pipe.read()
    return {'number': number}
import sys; FOLDER = os.path.dirname(sys.modules[__name__].__spec__.origin)",
    );
    let pipe = python._folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for task in 1..=3 {
        python.give(task, &number(task as i64), Next::Follows);
    }
    // Opening the pipe waits until the task opens it.
    let (tell, opened) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(std::fs::OpenOptions::new().write(true).open(&pipe)));
    let end = opened.recv_timeout(PATIENCE).expect("the task opens the pipe").unwrap();
    assert_eq!(python.retract(), [2, 3]);
    assert!(python.retract().is_empty());
    drop(end);
    // It waited for a pipe: that is long, so it wants to be looked at.
    assert!(matches!(python.message().unwrap(), Message::Pauses { started: false }));
    assert_eq!(python.answer("number"), (1, 1));
    python.worker.go_on().unwrap();
    python.give(2, &number(2), Next::Unknown);
    assert_eq!(python.answer("number"), (2, 2));
}

#[test]
fn after_a_task_that_leaves_something_to_look_at_a_worker_waits_until_it_is_told_to_go_on() {
    for (leave, starts) in [
        ("print('hello')", false),
        ("os.write(2, b'hello')", false),
        ("time.sleep(0.01)", false),
        ("subprocess.run(['true'])", true),
        ("os.fork() or os._exit(0)", true),
        ("os.system('true')", true),
    ] {
        let mut python = with_queue(&format!(
            "import os, subprocess, time\ndef run(number):\n    if number == 1: {leave}\n    return {{'number': number}}"
        ));
        python.give(1, &number(1), Next::Follows);
        python.give(2, &number(2), Next::Follows);
        match python.message().unwrap() {
            Message::Pauses { started } => assert_eq!(started, starts, "{leave}"),
            other => panic!("{leave}: {other:?}"),
        }
        assert_eq!(python.answer("number"), (1, 1), "{leave}");
        assert_eq!(python.retract(), [2], "{leave}: it did not wait");
        python.give(3, &number(3), Next::Unknown);
        python.worker.go_on().unwrap();
        assert_eq!(python.answer("number"), (3, 3), "{leave}");
    }
}

#[test]
fn a_frame_that_is_too_long_for_the_queue_comes_over_the_connection_in_its_turn() {
    let mut python =
        with_queue("def run(number, **texts):\n    return {'length': number + sum(map(len, texts.values()))}");
    let long: Vec<(String, Plain)> =
        (0..100).map(|index| (format!("text{index}"), Plain::Text("x".repeat(10_000)))).collect();
    let mut entries: Vec<(&str, Plain)> = long.iter().map(|(key, value)| (&**key, value.clone())).collect();
    entries.push(("number", Plain::Int(0)));
    let long = payload(&entries);
    assert!(!python.worker.queues(&Frame::run(2, 0, &long, Next::Unknown)));
    python.give(1, &number(1), Next::Unknown);
    python.give(2, &long, Next::Unknown);
    python.give(3, &number(3), Next::Unknown);
    for answer in [(1, 1), (2, 1_000_000), (3, 3)] {
        assert_eq!(python.answer("length"), answer);
    }
}

#[test]
fn a_queue_that_is_full_keeps_what_comes_until_there_is_room() {
    let mut python = with_queue("def run(number):\n    return {'number': number}");
    let tasks = 1..=5_000;
    for task in tasks.clone() {
        python.give(task, &number(task as i64), Next::Follows);
    }
    for task in tasks {
        assert_eq!(python.answer_soon_or_late("number"), (task, task as i64));
    }
}

#[test]
fn what_comes_for_a_task_that_cannot_be_unpickled_is_not_taken_for_the_next_one_s() {
    let script = "
class Broken:
    def __reduce__(self): return (fail, ())
def fail(): raise ValueError('broken')
def run(make=None, text=None, **_):
    if make: return {'broken': Broken() if make == 'broken' else None, 'text': make[0] * 100_000}
    return {'first': ord(text[0])}";
    for queue in [None, Some(Queue::new().unwrap())] {
        let mut python = Python::with_queue(&[script], &[], queue);
        let broken = python.result(0, &payload(&[("make", Plain::Text("broken".into()))]));
        let whole = python.result(0, &payload(&[("make", Plain::Text("whole".into()))]));
        let entry = |payload: &Payload, name: &str| (name.into(), payload.get(&name.into()).unwrap().clone());
        let given = |payload: &Payload| -> Payload {
            ["broken", "text"].map(|name| entry(payload, name)).into_iter().collect()
        };
        assert!(matches!(python.run(0, &given(&broken)), Message::Error { .. }));
        python.worker.send(Frame::run(2, 0, &given(&whole), Next::Unknown)).unwrap();
        assert_eq!(python.answer("first"), (2, i64::from(b'w')));
    }
}
