//! The worker's protocol, spoken with a real Python: no supervisor between.

#![allow(clippy::unwrap_used)]

mod limits;
mod memory;
mod queue;
#[path = "../binary/seed.rs"]
mod seed;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Token};
use pushflow::payload::{Key, Payload, Plain, RoutingValue, to_json};
use pushflow::process::{Program, sys};
use pushflow::worker::message::{self, ReadBuffer};
use pushflow::worker::{Channel, ChannelError, Frame, MAX_FRAME, Message, Next, ProtocolError, Queue, bundle};

/// How long a test waits for anything: many times what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A forkserver and one worker of it, with these scripts.
struct Python {
    forkserver: sys::Pid,
    to_forkserver: Channel,
    poll: Poll,
    worker: Channel,
    /// What the worker was given last.
    given: Payload,
    /// What it prints, which nobody reads.
    _printed: OwnedFd,
    _folder: tempfile::TempDir,
}

impl Python {
    fn with(scripts: &[&str], routing_keys: &[&str]) -> Self {
        Self::with_queue(scripts, routing_keys, None)
    }

    /// The same, with this variable in the environment of its processes.
    fn in_environment(scripts: &[&str], variable: (&str, &str)) -> Self {
        Self::start(scripts, &[], None, Some(variable))
    }

    /// The same, whose worker takes its tasks from this queue, if there is one.
    fn with_queue(scripts: &[&str], routing_keys: &[&str], queue: Option<(Queue, OwnedFd)>) -> Self {
        Self::start(scripts, routing_keys, queue, None)
    }

    fn start(
        scripts: &[&str],
        routing_keys: &[&str],
        queue: Option<(Queue, OwnedFd)>,
        variable: Option<(&str, &str)>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let actors = (0..scripts.len() as i64).map(|index| (Plain::Int(index), Plain::Int(index)));
        let scripts = scripts.iter().enumerate().map(|(index, source)| {
            let path = folder.path().join(format!("script{index}.py"));
            std::fs::write(&path, source).unwrap();
            Plain::Tuple(vec![Plain::Text(format!("script{index}")), Plain::Text(path.to_string_lossy().into())])
        });
        let text = |text: &str| Plain::Text(text.to_owned());
        let setup = Plain::Dict(vec![
            (text("supervisor"), Plain::Int(std::process::id().into())),
            (text("paths"), Plain::List(vec![text(&folder.path().to_string_lossy())])),
            (text("scripts"), Plain::List(scripts.collect())),
            (text("actors"), Plain::Dict(actors.collect())),
            (text("routing_keys"), Plain::List(routing_keys.iter().map(|key| text(key)).collect())),
            (text("records"), Plain::Bool(routing_keys.contains(&RECORDED))),
            (text("type"), text("process")),
            (text("gevent"), Plain::Bool(false)),
            (text("launched"), Plain::Bool(false)),
            (text("inherit"), Plain::Bool(false)),
            (text("preload"), Plain::Bool(false)),
            (text("type"), text("process")),
        ])
        .to_value();

        sys::become_subreaper().unwrap();
        let (ours, theirs) = sys::connection().unwrap();
        let printed = std::io::stderr().as_fd().try_clone_to_owned().unwrap();
        let environment = variable.map(|(name, value)| format!("{name}={value}"));
        let (forkserver, _) = Program::new("/usr/bin/env", printed.as_fd())
            .args(environment)
            .args([python().to_string_lossy().into_owned()])
            .args(bundle::arguments(theirs.as_raw_fd(), "pushflow-forkserver: test"))
            .inherit(theirs.as_fd())
            .start()
            .unwrap();
        drop(theirs);
        let mut to_forkserver = Channel::new(UnixStream::from_std(ours));
        to_forkserver.send_raw(bundle::source("forkserver.main", None)).unwrap();
        to_forkserver.send(Frame::setup(&setup, None)).unwrap();
        let (ours, theirs) = sys::connection().unwrap();
        let (printed, output) = sys::pipe().unwrap();
        let (queue, its_queue) = queue.unzip();
        let its_queue = its_queue.as_ref().map(AsFd::as_fd);
        to_forkserver.send(Frame::spawn(theirs.as_fd(), output.as_fd(), its_queue, None)).unwrap();
        drop((theirs, output));
        let mut worker = Channel::new(UnixStream::from_std(ours));
        queue.into_iter().for_each(|queue| worker.use_queue(queue));
        let poll = Poll::new().unwrap();
        poll.registry().register(worker.stream(), Token(0), Interest::READABLE | Interest::WRITABLE).unwrap();
        let given = Payload::new();
        let mut python = Python { forkserver, to_forkserver, poll, worker, given, _printed: printed, _folder: folder };
        assert!(matches!(python.message().unwrap(), Message::Ready { .. }));
        python
    }

    fn message(&mut self) -> Result<Message, ChannelError> {
        let mut events = Events::with_capacity(8);
        let until = Instant::now() + PATIENCE;
        loop {
            self.worker.flush()?;
            let given = |_, number| self.given.memory().nth(number).cloned();
            if let Some(message) = self.worker.receive(&given)? {
                return Ok(message);
            }
            assert!(Instant::now() < until, "the worker has not answered in {PATIENCE:?}");
            match self.poll.poll(&mut events, Some(PATIENCE)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
                _ => {}
            }
        }
    }

    fn run(&mut self, script: u32, payload: &Payload) -> Message {
        self.worker.send(Frame::run(1, script, payload, Next::Unknown)).unwrap();
        self.given = payload.clone();
        self.message().unwrap()
    }

    fn result(&mut self, script: u32, payload: &Payload) -> Payload {
        match self.run(script, payload) {
            Message::Result { job: 1, result } => result,
            other => panic!("expected a result, got {other:?}"),
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.to_forkserver.flush();
        let _ = nix::sys::signal::kill(self.forkserver, sys::Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(self.forkserver, None);
    }
}

fn python() -> PathBuf {
    let fallback = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/test-env/bin/python");
    let python = std::env::var_os("PUSHFLOW_TEST_PYTHON").map_or(fallback, PathBuf::from);
    assert!(python.exists(), "the tests need {}; tests/run makes it", python.display());
    python
}

fn payload(entries: &[(&str, Plain)]) -> Payload {
    entries.iter().map(|(key, value)| (Key::from_written(key), value.to_value())).collect()
}

fn json(payload: &Payload) -> String {
    let object: serde_json::Map<_, _> =
        payload.iter().map(|(key, value)| (key.to_string(), to_json(value).expect("a plain value"))).collect();
    serde_json::Value::Object(object).to_string()
}

#[test]
fn a_task_gets_keyword_and_positional_arguments_and_returns_a_mapping() {
    let mut python = Python::with(&["def run(*args, **kwargs): return {'args': args, 'kwargs': kwargs}"], &[]);
    let input = payload(&[("2", Plain::Int(3)), ("name", Plain::Text("Jörg".into())), ("0", Plain::Float(1.5))]);
    assert_eq!(json(&python.result(0, &input)), r#"{"args":[1.5,null,3],"kwargs":{"name":"Jörg"}}"#);
}

#[test]
fn every_value_that_rust_writes_arrives_as_the_python_value_it_stands_for() {
    let script = "
import datetime
def run(**v):
    assert v['big'] == 10**40 and v['negative'] == -2**63 and v['edge'] == 2**31, v
    assert v['bytes'] == b'\\x00' * 300 and v['tuple'] == (1, (), [None, True, False]), v
    assert v['day'] == datetime.date(2026, 11, 24) and list(v['dict']) == ['b', 'a'], v
    assert v['long'] == 'x' * 70000 and v['float'] == 0.1 and v['empty'] == {} and v['list'] == [], v
    return {}
";
    let mut python = Python::with(&[script], &[]);
    let tuple = vec![
        Plain::Int(1),
        Plain::Tuple(vec![]),
        Plain::List(vec![Plain::None, Plain::Bool(true), Plain::Bool(false)]),
    ];
    let dict = vec![(Plain::Text("b".into()), Plain::Int(1)), (Plain::Text("a".into()), Plain::Int(2))];
    let day = [2026, 11, 24].map(Plain::Int).to_vec();
    let input = payload(&[
        ("big", Plain::BigInt(num_bigint::BigInt::from(10).pow(40))),
        ("negative", Plain::Int(i64::MIN)),
        ("edge", Plain::Int(1 << 31)),
        ("bytes", Plain::Bytes(vec![0; 300])),
        ("tuple", Plain::Tuple(tuple)),
        ("dict", Plain::Dict(dict)),
        ("day", Plain::Call("datetime".into(), "date".into(), day)),
        ("long", Plain::Text("x".repeat(70_000))),
        ("float", Plain::Float(0.1)),
        ("empty", Plain::Dict(vec![])),
        ("list", Plain::List(vec![])),
    ]);
    assert!(python.result(0, &input).is_empty());
}

#[test]
fn a_router_can_look_at_what_python_calls_equal() {
    let script = "
import enum, numpy, pathlib
class Word(str, enum.Enum):
    GOOD = 'good'
def run(**_):
    return dict(none=None, text='null', yes=True, nyes=numpy.bool_(True), one=numpy.int64(1), onef=1.0, half=0.5,
                word=Word.GOOD, path=pathlib.Path('/a'), list=[], array=numpy.arange(3), nstr=numpy.str_('x'), big=10**30)
";
    let keys = ["none", "text", "yes", "nyes", "one", "onef", "half", "word", "path", "list", "array", "nstr", "big"];
    let mut python = Python::with(&[script], &keys);
    let result = python.result(0, &Payload::new());
    let looks: Vec<RoutingValue> = keys.iter().map(|key| result.get(&(*key).into()).unwrap().routing_value()).collect();
    let other = |truthy, text: Option<&str>| RoutingValue::Other { truthy, text: text.map(Into::into) };
    assert_eq!(
        looks,
        [
            RoutingValue::Null { truthy: false },
            RoutingValue::Null { truthy: true },
            RoutingValue::Bool(true),
            RoutingValue::Bool(true),
            RoutingValue::Int(1),
            RoutingValue::Int(1),
            other(true, Some("0.5")),
            RoutingValue::Text("good".into()),
            other(true, Some("/a")),
            other(false, None),
            other(true, None),
            RoutingValue::Text("x".into()),
            other(true, Some(&format!("1{}", "0".repeat(30)))),
        ]
    );
}

fn error_of(python: &mut Python, script: u32) -> (String, String) {
    match python.run(script, &Payload::new()) {
        Message::Error { interrupted: false, error, .. } => (error.message, error.traceback.concat()),
        other => panic!("expected an error, got {other:?}"),
    }
}

#[test]
fn an_error_arrives_with_its_text_and_the_users_own_frames() {
    let mut python = Python::with(
        &[
            "def run(**_):\n    return helper()\ndef helper():\n    raise ValueError('no spots')\n",
            "def run(**_): return None",
            "def run(**_): return {'f': lambda: 1}",
            "import nothing_of_this_name",
            "def run(:",
            "def walk(**_): pass",
            "import sys\ndef run(**_): sys.exit(3)",
            "class Odd(Exception):\n    def __init__(self, a, b): super().__init__(f'{a} and {b}')\ndef run(**_): raise Odd(1, 2)",
            "def run(**_): return {(1, 2): 3}",
        ],
        &[],
    );
    let (message, traceback) = error_of(&mut python, 0);
    assert_eq!(message, "no spots");
    assert!(traceback.contains("line 2, in run") && traceback.contains("in helper"), "{traceback}");
    assert!(!traceback.contains("<pushflow"), "{traceback}");
    let (message, _) = error_of(&mut python, 1);
    assert!(message.starts_with("run() must return a mapping, not None (/"), "{message}");
    assert!(message.ends_with("/script1.py)"), "{message}");
    assert!(error_of(&mut python, 2).0.starts_with("the value of 'f', a function, cannot be pickled: "));
    assert_eq!(error_of(&mut python, 3).0, "No module named 'nothing_of_this_name'");
    assert!(error_of(&mut python, 4).1.contains("SyntaxError"));
    assert!(error_of(&mut python, 5).0.starts_with("module 'script5' has no function 'run' ("));
    assert_eq!(error_of(&mut python, 6).0, "3");
    let (message, traceback) = error_of(&mut python, 7);
    assert_eq!(message, "1 and 2");
    assert!(traceback.contains("script7.Odd: 1 and 2"), "{traceback}");
    assert!(error_of(&mut python, 8).0.starts_with("run() returned the key (1, 2)"));
}

#[test]
fn a_worker_says_as_json_what_rust_cannot_read() {
    let make = "
import numpy, pathlib
def run(**_): return dict(set={1}, array=numpy.arange(3), n=numpy.int64(3), f=numpy.float64(.5), big=2**70, nan=float('nan'), b=b'x')
";
    let mut python = Python::with(&[make], &[]);
    let made = python.result(0, &Payload::new());
    assert!(made.iter().all(|(_, value)| to_json(value).is_none()));
    python.worker.send(Frame::describe(5, &made)).unwrap();
    let Message::Described { job: 5, json } = python.message().unwrap() else { panic!("expected JSON") };
    assert_eq!(
        json.to_string(),
        r#"{"set":{"$type":"set","$repr":"{1}"},"array":{"$type":"numpy.ndarray","$repr":"array([0, 1, 2])"},"#
            .to_owned()
            + r#""n":3,"f":0.5,"big":1180591620717411303424,"nan":{"$type":"float","$repr":"nan"},"#
            + r#""b":{"$type":"bytes","$repr":"b'x'"}}"#
    );
}

/// A look key of tests that want values as records have them.
const RECORDED: &str = "recorded";

#[test]
fn where_runs_are_recorded_a_value_comes_with_its_exact_form() {
    let script = "
import collections, datetime, enum, numpy
class Number(enum.IntEnum): ONE = 1
class Thing:
    def __repr__(self): raise ValueError
Pair = collections.namedtuple('Pair', 'a b')
zone = datetime.timezone(datetime.timedelta(hours=2))
def run(**_):
    cyclic = []
    cyclic.append(cyclic)
    return dict(
        plain={'a': (1, [None, True, 0.5, 'ü'])}, longer='x' * 3000, set={3}, pair=Pair(1, Number.ONE), big=2**70, bytes=b'\\x00a',
        float=numpy.float64(1.5), int=numpy.int64(3), array=numpy.arange(3), nan=float('nan'), keys={1: 2, None: 3},
        date=datetime.datetime(2026, 1, 1, 2, 0, 0, 1999, zone), naive=datetime.datetime(1969, 12, 31, 23, 59, 59),
        day=datetime.date(2026, 1, 1), thing=[Thing()], cyclic=cyclic, half='\\ud800', large='x' * 3000000,
    )
";
    let mut python = Python::with(&[script], &[RECORDED]);
    let result = python.result(0, &Payload::new());
    let said = |key: &str| -> serde_json::Value {
        serde_json::from_str(result.get(&key.into()).unwrap().json_repr().unwrap()).unwrap()
    };
    let exactly = |key: &str, how: &str| {
        let json = said(key);
        assert!(json["$type"].is_string() && json["$repr"].is_string(), "{json}");
        json[how].clone()
    };
    assert_eq!(result.get(&"plain".into()).unwrap().json_repr(), None);
    assert_eq!(said("longer"), "x".repeat(3000));
    assert_eq!(exactly("set", "$items"), serde_json::json!([3]));
    assert_eq!((&said("pair")[0], &said("pair")[1]["$int"]), (&1.into(), &"1".into()));
    assert_eq!(exactly("big", "$int"), "1180591620717411303424");
    assert_eq!(exactly("bytes", "$hex"), "0061");
    assert_eq!((exactly("float", "$float"), exactly("nan", "$float")), ("1.5".into(), "nan".into()));
    assert_eq!((exactly("int", "$repr"), exactly("array", "$repr")), ("np.int64(3)".into(), "array([0, 1, 2])".into()));
    assert_eq!(said("keys"), serde_json::json!({"1": 2, "None": 3}));
    assert_eq!((exactly("date", "$date"), exactly("naive", "$date")), (1_767_225_600_001_i64.into(), (-1000).into()));
    assert_eq!(exactly("day", "$repr"), "datetime.date(2026, 1, 1)");
    assert_eq!(said("thing")[0]["$repr"], "<its repr raises ValueError>");
    assert_eq!((exactly("cyclic", "$repr"), exactly("half", "$text")), ("[[...]]".into(), "\\ud800".into()));
    assert!(said("large")["$bytes"].as_u64().unwrap() > 3_000_000);
}

#[test]
fn where_nothing_is_recorded_no_form_is_made() {
    let mut python = Python::with(&["def run(**_): return {'set': {1}}"], &[]);
    assert_eq!(python.result(0, &Payload::new()).get(&"set".into()).unwrap().json_repr(), None);
}

#[test]
fn a_child_that_a_task_forked_never_answers_in_its_place() {
    let script = "
import os
def run(**_):
    pid = os.fork()
    if pid == 0:
        return {'child': True}
    return {'status': os.waitpid(pid, 0)[1]}
";
    let mut python = Python::with(&[script], &[]);
    for _ in 0..20 {
        assert_eq!(json(&python.result(0, &Payload::new())), r#"{"status":0}"#);
    }
}

/// A RESULT frame as a worker would send it: a DESCRIBE frame has the same body.
fn result_frame(payload: &Payload) -> Vec<u8> {
    let mut frame = Frame::describe(7, payload).bytes;
    frame[4] = 7;
    frame
}

/// An ERROR frame as a worker would send it.
fn error_frame() -> Vec<u8> {
    error_frame_of("no spots", &["ValueError: no spots\n"])
}

fn error_frame_of(message: &str, lines: &[&str]) -> Vec<u8> {
    let mut body = vec![0];
    body.extend((lines.len() as u32).to_le_bytes());
    for text in [message].iter().chain(lines) {
        body.extend((text.len() as u32).to_le_bytes());
        body.extend(text.as_bytes());
    }
    body.extend(&result_frame(&payload(&[("instance", Plain::None)]))[13..]);
    frame(8, &body)
}

/// A DESCRIBED frame as a worker would send it.
fn described_frame() -> Vec<u8> {
    let mut body = 2_u32.to_le_bytes().to_vec();
    for (key, text) in [("a", "[1,2]"), ("b", "null")] {
        body.extend((key.len() as u32).to_le_bytes());
        body.extend(key.as_bytes());
        body.extend((text.len() as u64).to_le_bytes());
        body.extend(text.as_bytes());
    }
    frame(9, &body)
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = ((body.len() + 9) as u32).to_le_bytes().to_vec();
    frame.push(kind);
    frame.extend(7_u64.to_le_bytes());
    frame.extend(body);
    frame
}

fn decode(bytes: &[u8]) -> Result<Option<Message>, ProtocolError> {
    let mut data = ReadBuffer::default();
    data.extend(bytes);
    message::decode(&mut data, &mut VecDeque::new(), &|_, _| None)
}

#[test]
fn a_thousand_mutated_frames_are_messages_or_errors_and_never_a_panic() {
    let entries =
        [("name", Plain::Text("x".repeat(50))), ("3", Plain::Int(5)), ("list", Plain::List(vec![Plain::None]))];
    let frames = [result_frame(&payload(&entries)), error_frame(), described_frame()];
    for frame in &frames {
        let message = decode(frame).unwrap().unwrap();
        assert!(
            matches!(
                message,
                Message::Result { job: 7, .. } | Message::Error { job: 7, .. } | Message::Described { job: 7, .. }
            ),
            "{message:?}"
        );
    }
    let mut numbers = seed::Random::new(0x9e37_79b9_7f4a_7c15);
    let mut random = |below: usize| numbers.below(below as u64) as usize;
    let mut refused = 0;
    for round in 0..1_000 {
        let mut frame = frames[round % frames.len()].clone();
        for _ in 0..=random(3) {
            let at = random(frame.len());
            match random(4) {
                0 => frame[at] = random(256) as u8,
                1 => frame[at] ^= 1 << random(8),
                2 => drop(frame.drain(at..)),
                _ => frame.insert(at, random(256) as u8),
            }
            if frame.is_empty() {
                frame.push(0);
            }
        }
        match decode(&frame) {
            // What is not whole yet waits for more: for no more than the longest frame.
            Ok(None) => assert!(frame.len() < MAX_FRAME),
            Ok(Some(_)) => {}
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(refused > 100, "only {refused} of the mutations broke a frame");
}

#[test]
fn a_mutated_frame_of_a_live_worker_ends_in_an_error_of_the_channel() {
    let script = "
import os
def run(garbage, **_):
    fd = next(int(fd) for fd in os.listdir('/proc/self/fd')
              if os.path.islink(f'/proc/self/fd/{fd}') and 'socket:' in os.readlink(f'/proc/self/fd/{fd}'))
    os.write(fd, bytes(garbage))
    os._exit(0)
";
    for garbage in [
        &b"\xff\xff\xff\xff\x07"[..],
        b"\x09\0\0\0\x63\0\0\0\0\0\0\0\0",
        b"\x0a\0\0\0\x07\0\0\0\0\0\0\0\0\xff",
        b"\x05",
    ] {
        let mut python = Python::with(&[script], &[]);
        let list = garbage.iter().map(|byte| Plain::Int((*byte).into())).collect();
        python.worker.send(Frame::run(1, 0, &payload(&[("garbage", Plain::List(list))]), Next::Unknown)).unwrap();
        assert!(python.message().is_err(), "{garbage:?}");
    }
}
