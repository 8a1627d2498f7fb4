//! Large values: memory files that travel beside the frames, and what comes back of them.

use std::sync::Arc;

use pushflow::payload::{Chunk, MemoryFile, Payload};

use crate::{Python, json};

#[test]
fn large_arrays_come_as_memory_files_and_can_be_changed_without_changing_the_original() {
    let make = "
import numpy
def run(**_): return {'image': numpy.arange(1 << 17, dtype='f8'), 'raw': bytes(1 << 17), 'small': numpy.arange(3)}
";
    let change = "
def run(image, raw, small):
    assert image.flags.writeable and image[-1] == (1 << 17) - 1 and len(raw) == 1 << 17 and list(small) == [0, 1, 2]
    image[:] = 7
    return {'sum': float(image.sum())}
";
    let mut python = Python::with(&[make, change], &[]);
    let made = python.result(0, &Payload::new());
    let image = made.get(&"image".into()).unwrap();
    assert!(matches!(image.buffers(), [Chunk::Shared(MemoryFile { length: 1_048_576, .. })]), "{image:?}");
    assert!(matches!(made.get(&"raw".into()).unwrap().stream(), Chunk::Shared(..)));
    for _ in 0..3 {
        assert_eq!(json(&python.result(1, &made)), r#"{"sum":917504.0}"#);
    }
}

#[test]
fn more_buffers_than_one_message_can_carry_arrive_whole() {
    let make = "
import numpy
def run(**_): return {'images': [numpy.full(1 << 13, i, dtype='f8') for i in range(450)]}
";
    let check = "def run(images): return {'sum': int(sum(image[-1] for image in images))}";
    let mut python = Python::with(&[make, check], &[]);
    let made = python.result(0, &Payload::new());
    assert_eq!(made.get(&"images".into()).unwrap().buffers().len(), 450);
    assert_eq!(json(&python.result(1, &made)), r#"{"sum":101025}"#);
}

/// Makes an array that ends in the middle of a page.
const MAKE: &str = "
import numpy
def run(**_): return {'image': numpy.arange((1 << 17) + 3, dtype='f8')}
";
const SUM: &str =
    "def run(image, **_): return {'first': float(image[0]), 'last': float(image[-1]), 'sum': float(image.sum())}";

fn only_buffer(payload: &Payload) -> &Chunk {
    match payload.get(&"image".into()).unwrap().buffers() {
        [buffer] => buffer,
        other => panic!("one buffer was expected: {other:?}"),
    }
}

fn same_file(one: &Chunk, other: &Chunk) -> bool {
    Arc::ptr_eq(&one.memory().unwrap().file, &other.memory().unwrap().file)
}

#[test]
fn an_array_that_is_passed_on_stays_the_same_memory() {
    let mut python = Python::with(&[MAKE, "def run(image): return {'n': 1, 'image': image.reshape(-1)}", SUM], &[]);
    let made = python.result(0, &Payload::new());
    let mut passed = made.clone();
    for _ in 0..3 {
        passed =
            python.result(1, &Payload::from_iter([("image".into(), passed.get(&"image".into()).unwrap().clone())]));
    }
    assert!(matches!(only_buffer(&passed), Chunk::Shared(_)) && same_file(only_buffer(&made), only_buffer(&passed)));
    assert_eq!(json(&python.result(2, &passed)), r#"{"first":0.0,"last":131074.0,"sum":8590262275.0}"#);
}

#[test]
fn of_an_array_that_is_changed_in_places_only_those_are_sent() {
    let change = "
def run(image):
    image[0] += 1
    image[60000] = 0
    image[-1] += 1
    return {'image': image}
";
    let mut python = Python::with(&[MAKE, change, SUM], &[]);
    let made = python.result(0, &Payload::new());
    let mut changed = made.clone();
    for _ in 0..3 {
        changed = python.result(1, &changed);
        let Chunk::Changed(_, changes) = only_buffer(&changed) else { panic!("{changed:?}") };
        // Three pages, however many tasks it has gone through.
        assert!(changes.len() < 4 * 65_536 && same_file(only_buffer(&made), only_buffer(&changed)), "{changes:?}");
    }
    assert_eq!(json(&python.result(2, &changed)), r#"{"first":3.0,"last":131077.0,"sum":8590202281.0}"#);
    // What the others were given is as it was.
    assert_eq!(json(&python.result(2, &made)), r#"{"first":0.0,"last":131074.0,"sum":8590262275.0}"#);
}

#[test]
fn many_changes_travel_beside_the_frame_and_most_of_an_array_as_a_new_one() {
    let change = "
def run(image, part):
    image[:int(len(image) * part)] = 1
    return {'image': image}
";
    let mut python = Python::with(&[MAKE, change, SUM], &[]);
    let made = python.result(0, &Payload::new());
    for (part, sum) in [(0.3, "7817211416.0"), (0.8, "3092609765.0")] {
        let mut input = made.clone();
        input.insert("part".into(), pushflow::payload::Plain::Float(part).to_value());
        let changed = python.result(1, &input);
        match only_buffer(&changed) {
            Chunk::Changed(_, changes) if part < 0.5 => assert!(changes.memory().is_some(), "{changes:?}"),
            Chunk::Shared(_) if part > 0.5 => assert!(!same_file(only_buffer(&made), only_buffer(&changed))),
            other => panic!("{part}: {other:?}"),
        }
        let found = json(&python.result(2, &changed));
        assert!(found.contains(&format!(r#""last":131074.0,"sum":{sum}"#)), "{found}");
    }
}

#[test]
fn a_part_of_an_array_or_another_one_is_no_reference_to_it() {
    let tricks = "
import numpy
def run(image):
    other = numpy.array(image)
    other[0] = 5
    kept = image[10:]
    return {'part': kept, 'other': other, 'twice': [image, image.view('i8')]}
";
    let check = "
def run(part, other, twice, **_):
    assert len(part) == (1 << 17) - 7 and part[0] == 10.0 and other[0] == 5.0 and other[1] == 1.0
    assert twice[0][7] == 7.0 and twice[1].dtype == 'i8' and twice[1].view('f8')[7] == 7.0
    return {}
";
    let mut python = Python::with(&[MAKE, tricks, check], &[]);
    let made = python.result(0, &Payload::new());
    let returned = python.result(1, &made);
    for key in ["part", "other"] {
        let buffers = returned.get(&key.into()).unwrap().buffers();
        assert!(buffers.iter().all(|buffer| !same_file(buffer, only_buffer(&made))), "{key}: {buffers:?}");
    }
    let twice = returned.get(&"twice".into()).unwrap().buffers();
    assert!(twice.len() == 2 && twice.iter().all(|buffer| same_file(buffer, only_buffer(&made))), "{twice:?}");
    assert!(python.result(2, &returned).is_empty());
}

#[test]
fn without_changed_page_transfer_the_outcome_is_the_same_and_a_whole_array_is_sent() {
    let change = "
import sys
def run(image, **_):
    image[0] += 1
    image[60000] = 0
    return {'image': image, 'transfer': sys.modules['pushflow'].pages.ENABLED}
";
    let mut outcomes = Vec::new();
    for switch in ["on", "off"] {
        let mut python = Python::in_environment(&[MAKE, change, SUM], ("PUSHFLOW_CHANGED_PAGES", switch));
        let made = python.result(0, &Payload::new());
        let changed = python.result(1, &made);
        let is_used = match only_buffer(&changed) {
            Chunk::Changed(original, _) => Arc::ptr_eq(&original.file, &only_buffer(&made).memory().unwrap().file),
            other => same_file(other, only_buffer(&made)),
        };
        assert_eq!(is_used, switch == "on");
        assert_eq!(pushflow::payload::json_text(changed.get(&"transfer".into()).unwrap()), Some(is_used.to_string()));
        outcomes.push((json(&python.result(2, &changed)), json(&python.result(2, &made))));
    }
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[0].0, r#"{"first":1.0,"last":131074.0,"sum":8590202276.0}"#);
}
