//! Exact payloads and failures: keys, pickles, and the values that routers compare. Runs that may have to continue in another
//! process need them. This version of pushflow and later ones read them.
//!
//! Lengths are 64 bits, little endian. A value in shared memory is large and is not written.
//!
//! This format is written by hand, because histories of earlier versions contain it: a reader of it has to stay. With serde and
//! postcard, the mirror types for [`Value`] and [`RoutingValue`] alone would be about as long as the reader and writer
//! below, and the old reader would be needed as well.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::engine::{Failure, FailureKind};
use crate::payload::{Key, Payload, PythonError, RoutingValue, Value};

use super::recorded::Recorded;

const RETURNED: u8 = 1;
const FAILED: u8 = 2;

const KINDS: [FailureKind; 6] = [
    FailureKind::Raised,
    FailureKind::Interrupted,
    FailureKind::Lost,
    FailureKind::TimedOut,
    FailureKind::Stopped,
    FailureKind::NoRoute,
];

/// The payload; none if some of it is in shared memory.
pub(in crate::history) fn payload(payload: &Payload) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    put_payload(&mut out, payload)?;
    Some(out)
}

/// The outcome of an attempt; none if some of it is large.
pub(in crate::history) fn outcome(path: &str, outcome: Result<&Recorded, &Failure>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    put_bytes(&mut out, path.as_bytes());
    match outcome {
        Ok(Recorded::Whole(result)) => {
            out.push(RETURNED);
            put_payload(&mut out, result)?;
        }
        Ok(Recorded::Parts(_) | Recorded::Json(_)) => return None,
        Err(failure) => {
            out.push(FAILED);
            out.push(KINDS.iter().position(|kind| *kind == failure.kind)? as u8);
            put_bytes(&mut out, failure.error.message.as_bytes());
            put_count(&mut out, failure.error.traceback.len());
            failure.error.traceback.iter().for_each(|line| put_bytes(&mut out, line.as_bytes()));
            put_value(&mut out, &failure.error.instance)?;
        }
    }
    Some(out)
}

/// A payload as it was written.
pub(in crate::history) fn read_payload(mut bytes: &[u8]) -> Option<Payload> {
    let payload = take_payload(&mut bytes)?;
    bytes.is_empty().then_some(payload)
}

/// The actor's path and the outcome as they were written.
pub(in crate::history) fn read_outcome(mut bytes: &[u8]) -> Option<(String, Result<Payload, Failure>)> {
    let from = &mut bytes;
    let path = take_text(from)?;
    let outcome = match take_byte(from)? {
        RETURNED => Ok(take_payload(from)?),
        FAILED => {
            let kind = *KINDS.get(usize::from(take_byte(from)?))?;
            let message = take_text(from)?;
            let lines = take_count(from)?;
            let traceback = (0..lines).map(|_| take_text(from)).collect::<Option<_>>()?;
            Err(Failure { kind, error: PythonError { message, traceback, instance: take_value(from)? } })
        }
        _ => return None,
    };
    bytes.is_empty().then_some((path, outcome))
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend((count as u64).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend(bytes);
}

fn put_payload(out: &mut Vec<u8>, payload: &Payload) -> Option<()> {
    put_count(out, payload.len());
    for (key, value) in payload.iter() {
        match key {
            Key::Text(name) => {
                out.push(0);
                put_bytes(out, name.as_bytes());
            }
            Key::Position(position) => {
                out.push(1);
                out.extend(position.to_le_bytes());
            }
        }
        put_value(out, value)?;
    }
    Some(())
}

fn put_value(out: &mut Vec<u8>, value: &Value) -> Option<()> {
    put_bytes(out, value.stream().bytes()?);
    put_count(out, value.buffers().len());
    for buffer in value.buffers() {
        put_bytes(out, buffer.bytes()?);
    }
    if let Some(text) = value.known_text() {
        out.push(6);
        put_bytes(out, text.as_bytes());
    }
    match value.known_routing_value() {
        None => out.push(0),
        Some(RoutingValue::Null { truthy }) => out.extend([1, u8::from(*truthy)]),
        Some(RoutingValue::Bool(value)) => out.extend([2, u8::from(*value)]),
        Some(RoutingValue::Int(value)) => {
            out.push(3);
            out.extend(value.to_le_bytes());
        }
        Some(RoutingValue::Text(text)) => {
            out.push(4);
            put_bytes(out, text.as_bytes());
        }
        Some(RoutingValue::Other { truthy, text }) => {
            out.extend([5, u8::from(*truthy), u8::from(text.is_some())]);
            put_bytes(out, text.as_deref().unwrap_or_default().as_bytes());
        }
    }
    Some(())
}

fn take<'a>(from: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(count)?;
    *from = rest;
    Some(taken)
}

fn take_byte(from: &mut &[u8]) -> Option<u8> {
    take(from, 1).map(|bytes| bytes[0])
}

fn take_count(from: &mut &[u8]) -> Option<usize> {
    let count = usize::try_from(u64::from_le_bytes(take(from, 8)?.try_into().ok()?)).ok()?;
    // Each of them takes a byte at least: a length from a broken file reserves no memory.
    (count <= from.len()).then_some(count)
}

fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let count = take_count(from)?;
    take(from, count)
}

fn take_text(from: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(from)?.to_vec()).ok()
}

fn take_payload(from: &mut &[u8]) -> Option<Payload> {
    let count = take_count(from)?;
    let entry = |_| {
        let key = match take_byte(from)? {
            0 => Key::text(&take_text(from)?),
            1 => Key::Position(i64::from_le_bytes(take(from, 8)?.try_into().ok()?)),
            _ => return None,
        };
        Some((key, take_value(from)?))
    };
    (0..count).map(entry).collect()
}

fn take_value(from: &mut &[u8]) -> Option<Value> {
    let stream = take_bytes(from)?.into();
    let count = take_count(from)?;
    let buffers = (0..count).map(|_| Some(crate::payload::Chunk::Inline(take_bytes(from)?.into())));
    let buffers = buffers.collect::<Option<Vec<_>>>()?;
    let mut tag = take_byte(from)?;
    let mut written = None;
    if tag == 6 {
        written = Some(OsStr::from_bytes(take_bytes(from)?).into());
        tag = take_byte(from)?;
    }
    let look = match tag {
        0 => None,
        1 => Some(RoutingValue::Null { truthy: take_byte(from)? != 0 }),
        2 => Some(RoutingValue::Bool(take_byte(from)? != 0)),
        3 => Some(RoutingValue::Int(i64::from_le_bytes(take(from, 8)?.try_into().ok()?))),
        4 => Some(RoutingValue::Text(take_text(from)?.into())),
        5 => {
            let (truthy, there) = (take_byte(from)? != 0, take_byte(from)? != 0);
            let text = take_text(from)?;
            Some(RoutingValue::Other { truthy, text: there.then(|| text.into()) })
        }
        _ => return None,
    };
    Some(Value::from_worker(crate::payload::Chunk::Inline(stream), buffers, look).with_text(written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Chunk, ErrorClass, Plain};

    fn example() -> Payload {
        let odd = Value::from_worker(
            Chunk::Inline((*b"\x80\x05.").into()),
            vec![Chunk::Inline((*b"buffer").into())],
            Some(RoutingValue::Other { truthy: false, text: Some("x".into()) }),
        );
        let path = Value::from_worker(Chunk::Inline((*b"\x80\x05.").into()), vec![], Some(RoutingValue::Int(2)))
            .with_text(Some(OsStr::from_bytes(b"2.0\xff").into()));
        Payload::from_iter([
            ("name".into(), Plain::Tuple(vec![Plain::Bytes(vec![1, 2]), Plain::None]).to_value()),
            (Key::Position(0), Plain::Int(7).to_value()),
            ("odd".into(), odd),
            ("path".into(), path),
        ])
    }

    #[test]
    fn payloads_and_failures_come_back_as_they_were() {
        let written = payload(&example()).expect("nothing is in shared memory");
        assert_eq!(format!("{:?}", read_payload(&written)), format!("{:?}", Some(example())));
        let failure =
            Failure { kind: FailureKind::TimedOut, error: PythonError::new(ErrorClass::TaskTimeout, "too long") };
        let written = outcome("/w/a", Err(&failure)).expect("nothing is in shared memory");
        let (path, read) = read_outcome(&written).expect("it was just written");
        assert_eq!((path.as_str(), format!("{read:?}")), ("/w/a", format!("{:?}", Err::<Payload, _>(failure))));
    }

    #[test]
    fn what_is_broken_is_refused_wherever_it_breaks_off() {
        let whole = outcome("/w/a", Ok(&Recorded::Whole(example()))).expect("nothing is in shared memory");
        assert!(read_outcome(&whole).is_some());
        assert!((0..whole.len()).all(|length| read_outcome(&whole[..length]).is_none()));
        assert!(read_payload(&[0xff; 64]).is_none());
    }
}
