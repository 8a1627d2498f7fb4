//! Payloads on their way to the history: without large values, which would occupy memory and descriptors.

use super::scalars;
use crate::payload::{Key, Payload, Value};

/// The largest value that is written whole, bytes. Of a larger one the type and the size are written.
const LARGEST_VALUE: usize = 64 << 10;
/// How many bytes of a large pickle are kept, to find its type.
const TYPE_BYTES: usize = 256;

/// A payload as it waits to be written: without what is large, which would keep memory and descriptors occupied.
#[derive(Debug)]
pub enum Recorded {
    /// Its JSON, for a few numbers and short texts: writing them is quicker than passing handles on them to another thread.
    Json(Box<str>),
    /// All of it is small.
    Whole(Payload),
    /// Some values are large.
    Parts(Vec<(Key, Part)>),
}

/// One value of it.
#[derive(Debug)]
pub enum Part {
    /// A small one.
    Value(Value),
    /// A large one: its size, and how its pickle begins.
    Large(u64, Box<[u8]>),
    /// One that its worker has written as JSON, for records in MongoDB.
    Said(Box<str>),
}

impl Recorded {
    /// The recorded form of a payload.
    pub fn of(payload: &Payload) -> Self {
        match scalars::of_payload(payload) {
            Some(text) => Recorded::Json(text.into()),
            None => Self::exactly(payload),
        }
    }

    /// The recorded form of a payload, with the exact values if they are small.
    pub fn exactly(payload: &Payload) -> Self {
        if payload.iter().all(|(_, value)| small(value).is_some()) {
            return Recorded::Whole(payload.clone());
        }
        let part = |value: &Value| match (small(value), value.json_repr()) {
            (Some(_), _) => Part::Value(value.clone()),
            (None, Some(form)) => Part::Said(form.into()),
            (None, None) => {
                let size = value.stream().len() + value.buffers().iter().map(|chunk| chunk.len()).sum::<u64>();
                let start = value.stream().bytes().unwrap_or_default();
                Part::Large(size, start[..start.len().min(TYPE_BYTES)].into())
            }
        };
        Recorded::Parts(payload.iter().map(|(key, value)| (key.clone(), part(value))).collect())
    }

    /// The approximate memory that it occupies, bytes.
    pub(in crate::history) fn bytes(&self) -> usize {
        match self {
            Recorded::Json(text) => text.len(),
            Recorded::Whole(payload) => payload.iter().map(|(_, value)| 64 + small(value).unwrap_or_default()).sum(),
            Recorded::Parts(parts) => parts
                .iter()
                .map(|(_, part)| match part {
                    Part::Value(value) => 64 + small(value).unwrap_or_default(),
                    Part::Large(..) => 64 + TYPE_BYTES,
                    Part::Said(form) => 64 + form.len(),
                })
                .sum(),
        }
    }
}

/// The size of a small value; none for a large one.
fn small(value: &Value) -> Option<usize> {
    value
        .buffers()
        .is_empty()
        .then(|| value.stream().bytes())
        .flatten()
        .map(<[u8]>::len)
        .filter(|it| *it <= LARGEST_VALUE)
}
