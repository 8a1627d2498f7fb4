//! Values of any size, number and kind: no limit of the protocol is met by a task.

use std::collections::HashSet;
use std::sync::Arc;

use pushflow::payload::{Chunk, Payload, Plain, RoutingValue};
use pushflow::worker::Message;

use crate::{Python, decode, error_frame_of, error_of, json, payload};

/// How many descriptors a payload keeps open.
fn files(payload: &Payload) -> usize {
    let chunks = payload.iter().flat_map(|(_, value)| std::iter::once(value.stream()).chain(value.buffers()));
    chunks.filter_map(Chunk::memory).map(|memory| Arc::as_ptr(&memory.file)).collect::<HashSet<_>>().len()
}

/// How many bytes of it are in this process.
fn inline(payload: &Payload) -> usize {
    let chunks = payload.iter().flat_map(|(_, value)| std::iter::once(value.stream()).chain(value.buffers()));
    chunks.filter_map(Chunk::bytes).map(<[u8]>::len).sum()
}

#[test]
fn a_value_with_thousands_of_arrays_takes_a_few_descriptors_there_and_back() {
    let make = "
import numpy
def run(**_): return {'images': [numpy.full(10_000, i, dtype='f8') for i in range(1500)]}
";
    // The usual limit of open files, and many of them in use.
    let pass = "
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
def run(images):
    assert all(image[0] == i and image[-1] == i for i, image in enumerate(images)), 'an array is not the one that was sent'
    images[700][5] += 1
    images[1499] = images[3] * 2
    return {'images': images}
";
    let check = "
def run(images):
    assert images[700][5] == 701 and images[700][6] == 700 and images[1499][0] == 6
    return {'n': len(images), 'sum': int(sum(image[0] for image in images))}
";
    let mut python = Python::with(&[make, pass, check], &[]);
    let made = python.result(0, &Payload::new());
    assert_eq!(made.get(&"images".into()).unwrap().buffers().len(), 1500);
    assert!(files(&made) <= 10, "{} descriptors", files(&made));
    let passed = python.result(1, &made);
    // What the task has not changed is not sent anew.
    assert!(files(&passed) <= files(&made) + 1, "{} descriptors", files(&passed));
    let sum = 1499 * 1500 / 2 - 1499 + 6;
    assert_eq!(json(&python.result(2, &passed)), format!(r#"{{"n":1500,"sum":{sum}}}"#));
}

#[test]
fn payloads_from_more_tasks_than_a_process_may_have_descriptors_arrive() {
    let make = "
import numpy
def run(n, **_): return {f'image{n}': numpy.full(10_000, n, dtype='f8')}
";
    let sum = "
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (500, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
def run(**images):
    for image in images.values(): image[-1] += 1
    return {'sum': int(sum(image[-1] for image in images.values()))}
";
    let mut python = Python::with(&[make, sum], &[]);
    let mut all = Payload::new();
    for n in 0..600 {
        all.merge(&python.result(0, &payload(&[("n", Plain::Int(n))])));
    }
    assert_eq!(files(&all), 600);
    // The module is imported, and the limit set.
    assert_eq!(json(&python.result(1, &Payload::new())), r#"{"sum":0}"#);
    // The first ones are mapped, the others read.
    assert_eq!(json(&python.result(1, &all)), format!(r#"{{"sum":{}}}"#, 599 * 600 / 2 + 600));
}

#[test]
fn more_than_65535_arrays_in_a_value_arrive_and_small_ones_can_be_resized() {
    let make = "
import numpy
def run(**_): return {'x': [numpy.arange(3) for _ in range(70_000)], 'large': [numpy.zeros(20_000), numpy.arange(4.0)]}
";
    let check = "
def run(x, large):
    x[69_999].resize(6, refcheck=False)
    large[1].resize(6, refcheck=False)
    assert x[69_999].tolist() == [0, 1, 2, 0, 0, 0] and x[0].flags.owndata and large[1].tolist()[3:] == [3.0, 0.0, 0.0]
    large[0][0] = 1
    return {'n': len(x)}
";
    let mut python = Python::with(&[make, check], &[]);
    let made = python.result(0, &Payload::new());
    assert_eq!(json(&python.result(1, &made)), r#"{"n":70000}"#);
}

#[test]
fn read_only_arrays_arrive_writable_beside_large_ones_that_are_not_copied() {
    let make = "
import numpy
def run(**_):
    small, middle, large = numpy.arange(4.0), numpy.arange(3000.0), numpy.arange(30_000.0)
    for array in (small, middle, large): array.flags.writeable = False
    return {'x': [small, middle, large, numpy.arange(30_000.0)]}
";
    let check = "
def run(x):
    for array in x: array[1] = 5
    return {'sum': float(sum(array[:3].sum() for array in x))}
";
    let mut python = Python::with(&[make, check], &[]);
    let made = python.result(0, &Payload::new());
    assert_eq!(made.get(&"x".into()).unwrap().buffers().len(), 1);
    assert_eq!(json(&python.result(1, &made)), r#"{"sum":28.0}"#);
}

#[test]
fn many_small_values_are_kept_outside_of_the_supervisors_memory() {
    let make = "def run(**_): return {f'k{i}': bytes([i % 256]) * 60_000 for i in range(4700)}";
    let check = "
def run(**values):
    assert all(value == bytes([i % 256]) * 60_000 for i, value in enumerate(values.values()))
    return {'n': len(values)}
";
    let mut python = Python::with(&[make, check], &[]);
    let made = python.result(0, &Payload::new());
    assert!(inline(&made) < 2 << 20 && files(&made) <= 10, "{} bytes, {} descriptors", inline(&made), files(&made));
    assert_eq!(json(&python.result(1, &made)), r#"{"n":4700}"#);
}

#[test]
fn a_memory_file_that_cannot_be_made_is_an_error_of_the_task_that_names_the_cause() {
    let too_large = "
import numpy, resource
def run(**_):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    return {'image': numpy.zeros(1 << 17)}
";
    let no_descriptors = "
import numpy, os, resource
def run(**_):
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    numpy.zeros(1)
    taken = []
    try:
        while True: taken.append(os.dup(0))
    except OSError:
        pass
    run.taken = taken
    return {'image': numpy.zeros(1 << 17)}
";
    let mut python = Python::with(&[too_large, no_descriptors], &[]);
    assert_eq!(
        error_of(&mut python, 0).0,
        "[Errno 27] the value of 'image', a ndarray, cannot be passed on: no memory file of 1048576 bytes can be made: \
         File too large"
    );
    let (message, _) = error_of(&mut python, 1);
    assert!(message.starts_with("[Errno 24] the value of 'image'") && message.contains("ulimit -n"), "{message}");
}

#[test]
fn an_error_of_any_size_is_shortened_with_a_note_of_how_much_is_left_out() {
    let huge = "
def run(**_): raise ValueError('start ' + 'x' * 15_000_000 + ' end')
";
    let lines = "
def run(**_): raise ValueError('line\\n' * 1_000_000)
";
    let deep = "
import sys
sys.setrecursionlimit(50_000)
def ping(n): pong(n - 1)
def pong(n):
    if n <= 0: raise ValueError('deep enough')
    ping(n - 1)
def run(**_): ping(30_000)
";
    let mut python = Python::with(&[huge, lines, deep], &[]);
    for script in [0, 1] {
        let (message, traceback) = error_of(&mut python, script);
        assert!(message.len() < 100_000 && message.contains("are left out]"), "{}", message.len());
        assert!(traceback.len() < 100_000 && traceback.contains("in run"), "{}", traceback.len());
    }
    let (message, traceback) = error_of(&mut python, 0);
    assert!(
        message.starts_with("start xxx") && message.ends_with("xxx end") && traceback.contains("ValueError: start")
    );
    let (message, traceback) = error_of(&mut python, 2);
    assert_eq!(message, "deep enough");
    assert!(traceback.len() < 1 << 20 && traceback.contains("lines are left out]"), "{}", traceback.len());
    assert!(traceback.ends_with("ValueError: deep enough\n"), "{traceback}");
    // The exception itself is whole.
    let Message::Error { error, .. } = python.run(0, &Payload::new()) else { panic!("an error was expected") };
    assert!(error.instance.stream().len() > 15_000_000);
}

#[test]
fn the_first_and_the_last_lines_of_a_long_traceback_are_kept() {
    let lines: Vec<String> = (0..5000).map(|number| format!("line {number}\n")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let Ok(Some(Message::Error { error, .. })) = decode(&error_frame_of("é".repeat(100_000).as_str(), &lines)) else {
        panic!("an error was expected")
    };
    assert_eq!((error.traceback.len(), error.traceback[0].as_str()), (1001, "line 0\n"));
    assert_eq!(error.traceback[500], "  [4000 lines are left out]\n");
    assert_eq!((error.traceback[501].as_str(), error.traceback[1000].as_str()), ("line 4500\n", "line 4999\n"));
    assert!(error.message.len() < 66_000 && error.message.contains("bytes are left out"), "{}", error.message.len());
}

#[test]
fn a_worker_says_shortly_what_is_too_deep_too_large_or_refers_to_itself_too_often() {
    let make = "
import numpy, sys
sys.setrecursionlimit(20_000)
def run(**_):
    deep, bomb = [{1}], [{1}]
    for _ in range(3000): deep = [deep]
    for _ in range(60): bomb = [bomb, bomb]
    return dict(deep=deep, bomb=bomb, number=[{1}, 7 ** 100_000], shared=[[{1}]] * 1000, one={2})
";
    let mut python = Python::with(&[make], &["number"]);
    let made = python.result(0, &Payload::new());
    python.worker.send(pushflow::worker::Frame::describe(5, &made)).unwrap();
    let Message::Described { json, .. } = python.message().unwrap() else { panic!("expected JSON") };
    for key in ["deep", "bomb"] {
        let text = json.get(key).unwrap();
        assert!(text.starts_with(r#"{"$type":"list","$repr":"[[[[["#) && text.len() < 2100, "{key}: {text}");
    }
    let one = r#"{"$type":"set","$repr":"{1}"}"#;
    let number = format!(r#"[{one},{{"$type":"int","$repr":"<an integer of 35093 bytes>"}}]"#);
    assert_eq!(json.get("number"), Some(number.as_str()));
    assert_eq!(json.get("shared").map(|text| text.matches(one).count()), Some(1000));
    assert_eq!(json.get("one"), Some(r#"{"$type":"set","$repr":"{2}"}"#));
}

#[test]
fn a_value_that_cannot_be_unpickled_is_described_as_that_and_spoils_no_other() {
    let make = "
import sys
def refuse(): raise ValueError('no more of this')
def leave(): sys.exit(3)
class Refuses:
    def __reduce__(self): return refuse, ()
class Leaves:
    def __reduce__(self): return leave, ()
def run(**_): return dict(first={1}, refuses=Refuses(), leaves=[Leaves()], last={2})
";
    let mut python = Python::with(&[make], &[]);
    let made = python.result(0, &Payload::new());
    python.worker.send(pushflow::worker::Frame::describe(5, &made)).unwrap();
    let Message::Described { json, .. } = python.message().unwrap() else { panic!("expected JSON") };
    assert_eq!(json.get("first"), Some(r#"{"$type":"set","$repr":"{1}"}"#));
    assert_eq!(json.get("last"), Some(r#"{"$type":"set","$repr":"{2}"}"#));
    let broken = |reason| format!(r#"{{"$type":"object","$repr":"<a value that cannot be unpickled: {reason}>"}}"#);
    assert_eq!(json.get("refuses"), Some(&*broken("ValueError: no more of this")));
    assert_eq!(json.get("leaves"), Some(&*broken("SystemExit: 3")));
}

#[test]
fn an_error_while_a_value_is_pickled_names_the_key_and_the_reason() {
    let memory = "
class Large:
    def __reduce__(self): raise MemoryError
def run(**_): return {'large': Large()}
";
    let without_text = "
class Odd:
    def __reduce__(self): raise ArithmeticError
def run(**_): return {'odd': Odd()}
";
    let half = "def run(**_): return {'half \\ud800': 1}";
    let mut python = Python::with(&[memory, without_text, half], &[]);
    let (message, traceback) = error_of(&mut python, 0);
    assert_eq!(message, "the value of 'large', a Large, cannot be pickled: out of memory");
    assert!(traceback.contains("MemoryError"), "{traceback}");
    assert_eq!(error_of(&mut python, 1).0, "the value of 'odd', a Odd, cannot be pickled: ArithmeticError");
    assert_eq!(
        error_of(&mut python, 2).0,
        "run() returned the key 'half \\ud800', which cannot be written as UTF-8 and so cannot be passed on"
    );
}

#[test]
fn a_payload_with_more_memory_files_than_one_message_takes_arrives() {
    let make = "
import numpy
def run(n, **_): return {f'image{n}': numpy.full(10_000, n, dtype='f8')}
";
    let sum = "def run(**images): return {'sum': int(sum(image[-1] for image in images.values()))}";
    let mut python = Python::with(&[make, sum], &[]);
    let mut all = Payload::new();
    for n in 0..230 {
        all.merge(&python.result(0, &payload(&[("n", Plain::Int(n))])));
    }
    python.worker.send(pushflow::worker::Frame::run(1, 1, &all, pushflow::worker::Next::Unknown)).unwrap();
    let Message::Result { result, .. } = python.message().unwrap() else { panic!("a result was expected") };
    assert_eq!(json(&result), format!(r#"{{"sum":{}}}"#, 229 * 230 / 2));
}

#[test]
fn a_value_whose_class_and_methods_raise_or_exit_arrives_and_is_described() {
    let make = "
import sys
class Class:
    @property
    def __class__(self): raise ValueError('class')
    def __reduce_ex__(self, protocol): return Class, ()
class Exits:
    def __bool__(self): sys.exit(1)
    def __eq__(self, other): sys.exit(2)
    def __hash__(self): sys.exit(3)
    def __repr__(self): sys.exit(4)
    def __fspath__(self): sys.exit(5)
    @property
    def real(self): sys.exit(6)
class Text(str):
    def __len__(self): sys.exit(7)
    def encode(self, *_): sys.exit(8)
    def isascii(self): sys.exit(9)
    __hash__ = str.__hash__
    def __eq__(self, other): sys.exit(10)
def run(**_): return dict(a=Class(), b=Exits(), c=Text('text'), d={1})
";
    let mut python = Python::with(&[make], &["a", "b", "c"]);
    let made = python.result(0, &Payload::new());
    assert_eq!(made.get(&"c".into()).unwrap().routing_value(), RoutingValue::Text("text".into()));
    assert!(matches!(made.get(&"b".into()).unwrap().routing_value(), RoutingValue::Other { truthy: true, .. }));
    python.worker.send(pushflow::worker::Frame::describe(5, &made)).unwrap();
    let Message::Described { json, .. } = python.message().unwrap() else { panic!("expected JSON") };
    assert!(json.get("a").unwrap().contains("script0.Class"), "{json:?}");
    assert!(json.get("b").unwrap().contains("<its repr raises SystemExit>"), "{json:?}");
    assert_eq!((json.get("c"), json.get("d")), (Some(r#""text""#), Some(r#"{"$type":"set","$repr":"{1}"}"#)));
}
