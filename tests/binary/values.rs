//! Python values keep their types from one task to the next.

use serde_json::json;

use crate::support::Project;

/// Two tasks, `make` and `check`, one after the other.
fn chain(make: &str, check: &str) -> Project {
    Project::with_workflow(
        "[actors.make]\nscript = 'make.py'\n[actors.check]\nscript = 'check.py'",
        "links = [{ from = 'start', to = 'make' }, { from = 'make', to = 'check' }, { from = 'check', to = 'stop' }]",
    )
    .file("make.py", make)
    .file("check.py", check)
}

#[test]
fn values_arrive_with_the_types_they_had() {
    let project = chain(
        "
import datetime, decimal, enum, pathlib
import numpy
class Spot:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return type(self) is type(other) and self.x == other.x
class Kind(enum.Enum):
    STILL = 1
def values():
    return dict(
        t=(1, 'a', (None,)), s={1, 2}, fs=frozenset({3}), b=b'\\x00\\xff', ba=bytearray(b'x'), big=-2**100, c=1j,
        when=datetime.datetime(2026, 11, 24, 21, 0, 0, 5, datetime.timezone.utc), d=decimal.Decimal('1.10'),
        p=pathlib.Path('/data'), k=Kind.STILL, spot=Spot([1.5]), nested={(1, 2): {'x': [Spot(1)]}}, e=ValueError('x', 3),
        nan=float('nan'), i=numpy.int16(5),
    )
def run(**_): return values()
",
        "
import make
def run(**got):
    want = make.values()
    for key, value in want.items():
        assert type(got[key]) is type(value), (key, type(got[key]))
        assert key in ('e', 'nan') or got[key] == value, (key, got[key])
    assert got['e'].args == ('x', 3) and got['nan'] != got['nan']
    return {'checked': len(want)}
",
    );
    assert_eq!(project.run(&[]).json()["checked"], 16);
}

#[test]
fn arrays_arrive_equal_writable_and_separate() {
    let project = chain(
        "
import numpy
def run(**_):
    a = numpy.arange(1 << 16, dtype='f4').reshape(256, 256)
    return dict(plain=a, fortran=numpy.asfortranarray(a), part=a[::3, 1::2], zero=numpy.array(3), empty=numpy.empty((0, 3)),
                record=numpy.zeros(3, dtype=[('x', 'i4'), ('y', 'U3')]), objects=numpy.array([None, {}], dtype=object))
",
        "
import numpy
def run(**v):
    a = numpy.arange(1 << 16, dtype='f4').reshape(256, 256)
    assert (v['plain'] == a).all() and (v['fortran'] == a).all() and v['fortran'].flags.f_contiguous
    assert (v['part'] == a[::3, 1::2]).all() and v['zero'] == 3 and v['empty'].shape == (0, 3)
    assert v['record'].dtype.names == ('x', 'y') and v['objects'][1] == {}
    v['plain'][:] = 0
    return {'sum': float(v['fortran'].sum())}
",
    );
    let sum = f64::from(65_535) * 65_536.0 / 2.0;
    let got = project.run(&[]).json()["sum"].as_f64().unwrap();
    assert!((got - sum).abs() < sum * 1e-4, "{got}");
}

#[test]
fn what_json_has_no_form_for_is_printed_as_its_type_and_its_repr() {
    let project = Project::task(
        "
import numpy
class Thing:
    def __repr__(self): return 'Thing!'
def run(**_): return dict(a=numpy.arange(2), s={7}, t=(1, [2]), thing=Thing(), n={'x': {1: 2}})
",
    );
    assert_eq!(
        project.run(&[]).json(),
        json!({
            "a": {"$type": "numpy.ndarray", "$repr": "array([0, 1])"},
            "s": {"$type": "set", "$repr": "{7}"},
            "t": [1, [2]],
            "thing": {"$type": "task.Thing", "$repr": "Thing!"},
            "n": {"x": {"$type": "dict", "$repr": "{1: 2}"}},
        })
    );
}

#[test]
fn instances_are_printed_as_what_they_are_and_not_as_what_they_are_built_from() {
    let project = Project::task(
        "
import collections, dataclasses
NT = collections.namedtuple('NT', 'a b')
@dataclasses.dataclass
class Spot:
    x: int
def run(**_): return dict(nt=NT(1, 2), spot=Spot(3), od=collections.OrderedDict(a=1))
",
    );
    let output = project.run(&[]).json();
    assert_eq!(output["nt"], json!({"$type": "task.NT", "$repr": "NT(a=1, b=2)"}));
    assert_eq!(output["spot"], json!({"$type": "task.Spot", "$repr": "Spot(x=3)"}));
    assert_eq!(output["od"], json!({"a": 1}));
}

#[test]
fn a_value_that_no_json_can_hold_spoils_no_other() {
    let project = Project::task(
        "
def run(**_):
    cyclic = []
    cyclic.append(cyclic)
    return dict(cyclic=cyclic, surrogate='\\udc80', big=2**100, s={1})
",
    );
    assert_eq!(
        project.run(&[]).json().to_string(),
        json!({
            "cyclic": {"$type": "list", "$repr": "[[...]]"},
            "surrogate": {"$type": "str", "$repr": "'\\udc80'"},
            "big": serde_json::from_str::<serde_json::Value>("1267650600228229401496703205376").unwrap(),
            "s": {"$type": "set", "$repr": "{1}"},
        })
        .to_string()
    );
}

#[test]
fn the_exception_itself_reaches_the_error_link() {
    let project = Project::with_workflow(
        "[actors.make]\nscript = 'make.py'\n[actors.check]\nscript = 'check.py'",
        "links = [{ from = 'start', to = 'make' }, { from = 'make', to = 'stop' }, { from = 'make', to = 'check', on_error = true }, { from = 'check', to = 'stop' }]",
    )
    .file("make.py", "class NoSpots(Exception):\n    code = 4\ndef run(**_): raise NoSpots('image 3', [1])")
    .file(
        "check.py",
        "
def run(WorkflowException, WorkflowExceptionInstance, **_):
    e = WorkflowExceptionInstance
    return {'name': type(e).__name__, 'args': list(e.args), 'code': e.code, 'text': WorkflowException['errorMessage'],
            'last': WorkflowException['traceBack'][-1], 'WorkflowException': None, 'WorkflowExceptionInstance': None}
",
    );
    let output = project.run(&[]).json();
    assert_eq!(output["name"], "NoSpots");
    assert_eq!(output["args"], json!(["image 3", [1]]));
    assert_eq!(output["code"], 4);
    assert_eq!(output["last"], "make.NoSpots: ('image 3', [1])\n");
}

#[test]
fn a_value_that_cannot_be_written_as_json_spoils_no_other() {
    let project = Project::task(
        "
def run(**_):
    circle = []
    circle.append(circle)
    return dict(circle=circle, s={7}, half='\\ud800', large='x' * 300_000_000)
",
    );
    let output = project.run(&[]).json();
    assert_eq!(output["circle"], json!({ "$type": "list", "$repr": "[[...]]" }));
    assert_eq!(output["s"], json!({ "$type": "set", "$repr": "{7}" }));
    assert_eq!(output["half"], json!({ "$type": "str", "$repr": "'\\ud800'" }));
    assert_eq!(output["large"]["$type"], "str");
    assert!(output["large"]["$repr"].as_str().unwrap().ends_with("… (300000002 characters)"));
}

#[test]
fn an_array_that_each_task_changes_a_little_arrives_as_they_left_it_in_every_kind_of_pool() {
    let count = "
import numpy
def run(image=None, rounds=0, **_):
    if image is None: image = numpy.zeros(1 << 18)
    assert int(image.sum()) == rounds * 2, (rounds, image.sum())
    image[rounds * 1000] += 1
    image[-1] += 1
    return {'image': image, 'rounds': rounds + 1, 'again': rounds < 9, 'last': float(image[-1])}
";
    for pool in
        ["", "type = 'thread'", "type = 'gevent'", "type = 'billiard'\ncontext = 'spawn'", "max_tasks_per_worker = 1"]
    {
        let project = Project::with_workflow(
            "[actors.count]\nscript = 'count.py'\n[actors.decide]\nkind = 'router'\nitem = 'again'\n[actors.forget]\nscript = 'forget.py'",
            "links = [{ from = 'start', to = 'count' }, { from = 'count', to = 'decide' }, { from = 'decide', to = 'count', port = true }, { from = 'decide', to = 'forget', port = false }, { from = 'forget', to = 'stop' }]",
        )
        .file("count.py", count)
        .file("forget.py", "def run(**_): return {'image': None}")
        .with_pool(pool);
        let output = project.run(&["--timeout", "120s"]).json();
        assert_eq!((&output["rounds"], &output["last"]), (&json!(10), &json!(10.0)), "{pool}: {output}");
    }
}

/// Starts with a task that needs deep pickles, which Python before 3.13 does not write by itself.
fn nested(levels: usize) -> String {
    format!(
        "
import sys
sys.setrecursionlimit(100_000)
def run(**_):
    x = 1
    for _ in range({levels}): x = [x]
    return {{'x': x, 'n': {levels}}}
"
    )
}

#[test]
fn no_depth_of_a_value_ends_the_supervisor() {
    for levels in [90, 900, 6000] {
        for history in [false, true] {
            let project = Project::task(&nested(levels));
            let finished = project.run(if history { &["--history"] } else { &[] });
            let output = finished.json();
            assert_eq!(output["n"], levels);
            match levels {
                90 => assert!(output["x"].is_array()),
                _ => assert_eq!(output["x"]["$type"], "list"),
            }
            if history {
                let shown = project.pushflow(&["show", "w/1", "--json"]);
                assert_eq!(shown.json()["outputs"], output, "{}", shown.stderr);
            }
        }
    }
}

#[test]
fn a_value_that_refers_to_its_parts_again_and_again_costs_no_more_than_it_is_long() {
    for inside in ["1", "{1}"] {
        let project = Project::task(&format!(
            "
def run(**_):
    a = [{inside}]
    for _ in range(60): a = [a, a]
    return {{'x': a}}
"
        ));
        let finished = project.run(&["--history", "--timeout", "60s"]);
        assert_eq!(finished.json()["x"]["$type"], "list");
        assert!(finished.stdout.len() < 5000, "{}", finished.stdout.len());
    }
}

#[test]
fn a_number_of_any_length_passes_and_is_printed_in_short() {
    let project = chain("def run(**_): return {'n': 3 ** 2_000_000}", "def run(n): return {'odd': n % 2}");
    let output = project.run(&["--history"]).json();
    assert_eq!((&output["odd"], &output["n"]["$type"]), (&json!(1), &json!("int")));
    assert_eq!(output["n"]["$repr"], "<an integer of 396241 bytes>");
}

#[test]
fn an_input_with_more_digits_than_python_reads_is_refused_at_once() {
    let project =
        Project::task("def run(**_): return {}").file("in.json", &format!("{{\"n\": {}}}", "7".repeat(2_000_000)));
    let finished = project.run(&["--inputs", "in.json"]);
    assert_eq!(finished.code, Some(2));
    assert!(
        finished.stderr.contains("n: an integer has 2000000 digits; Python reads at most 4300"),
        "{}",
        finished.stderr
    );
}

#[test]
fn what_json_cannot_hold_goes_on_to_the_next_task_whole() {
    let make = "
import numpy
def run(**_): return {'a': numpy.arange(5000), 's': {1, 2}}
";
    let project = chain(make, "def run(a, s): return {'sum': int(a.sum()), 'two': 2 in s}");
    let output = project.run(&[]).json();
    assert_eq!((&output["sum"], &output["two"]), (&json!(12_497_500), &json!(true)));
    assert_eq!(output["a"]["$type"], "numpy.ndarray");
    assert!(output["a"]["$repr"].as_str().unwrap().starts_with("array([   0,    1,    2, ..., 4997"), "{output}");
}

#[test]
fn buffers_of_a_users_own_classes_arrive_and_stay_with_the_value() {
    let kept = "
import pickle
class Kept:
    def __init__(self, data): self.data, self.view = data, pickle.PickleBuffer(data)
    def __reduce_ex__(self, protocol): return Kept.of, (self.view,)
    @classmethod
    def of(cls, buffer): return cls(bytearray(memoryview(buffer).obj))
kept = Kept(bytearray(b'k' * 5000))
def run(**_):
    bytes(kept.view)
    return {'kept': kept, 'long': [Kept(bytearray([n]) * 100_000) for n in range(3)]}
";
    let check = "
import make
def run(kept, long, **_):
    assert bytes(kept.data) == b'k' * 5000
    assert [bytes(each.data) for each in long] == [bytes([n]) * 100_000 for n in range(3)]
    return {'kept': None, 'long': None, 'checked': 1}
";
    assert_eq!(chain(kept, check).run(&[]).json()["checked"], 1);
}

#[test]
fn many_arrays_that_come_twice_cost_twice_their_size() {
    let make = "
import numpy
def run(**_): return {'x': [numpy.full(10_000, float(n)) for n in range(400)]}
";
    let twice = "
import resource
def run(x, y=None, **_):
    if y is None: return {'y': x}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert all((a == n).all() and (b == n).all() for n, (a, b) in enumerate(zip(x, y)))
    x[3][:] = -1
    assert (y[3] == 3).all(), 'each is a value of its own'
    assert before < 1 << 20, f'{before} KiB'
    return {'x': None, 'y': None, 'checked': 1}
";
    let project = Project::with_workflow(
        "[actors.make]\nscript = 'make.py'\n[actors.once]\nscript = 'twice.py'\n[actors.twice]\nscript = 'twice.py'",
        "links = [{ from = 'start', to = 'make' }, { from = 'make', to = 'once' }, { from = 'once', to = 'twice' }, { from = 'twice', to = 'stop' }]",
    )
    .file("make.py", make)
    .file("twice.py", twice);
    assert_eq!(project.run(&[]).json()["checked"], 1);
}

#[test]
fn an_error_that_cannot_be_sent_leaves_nothing_for_the_next_value() {
    let fails = "
import numpy, os
class E(Exception): pass
held = []
def run(**_):
    try:
        while True: held.append(os.open('/dev/null', os.O_RDONLY))
    except OSError: pass
    for _ in range(5): os.close(held.pop())
    raise E('x', [numpy.full(200_000, 7.0 + n) for n in range(12)])
";
    let next = "
import fails, numpy, os
def run(**_):
    while fails.held: os.close(fails.held.pop())
    return {'array': numpy.full(200_000, 1.0)}
";
    let project = Project::with_workflow(
        "[pool]\nmax_workers = 1\n[actors.fails]\nscript = 'fails.py'\n[actors.next]\nscript = 'next.py'\n[actors.check]\nscript = 'check.py'",
        "links = [{ from = 'start', to = 'fails' }, { from = 'fails', to = 'next', on_error = true },
                  { from = 'next', to = 'check' }, { from = 'check', to = 'stop' }]",
    )
    .file("fails.py", fails)
    .file("next.py", next)
    .file("check.py", "def run(array, **_): return {'array': None, 'first': float(array[0])}\n");
    let finished = project.run(&[]);
    assert_eq!(finished.any_json()["first"], 1.0, "{}", finished.stderr);
}
