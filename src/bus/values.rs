//! D-Bus values as Python values: the inputs and options that a client sends.
//!
//! | D-Bus | Python |
//! | --- | --- |
//! | `b` | `bool` |
//! | `y` `n` `q` `i` `u` `x` `t` | `int` |
//! | `d` | `float` |
//! | `s` `o` `g` | `str` |
//! | `ay` | `bytes` |
//! | `a…` | `list` |
//! | `(…)` | `tuple` |
//! | `a{…}` | `dict` |
//! | `v` | what is inside |
//! | `h` | refused |

use std::collections::BTreeMap;
use std::time::Duration;

use zbus::wire::Signature;
use zbus::{OwnedVariant, Variant};

use crate::config::parse_duration;
use crate::payload::{Key, Payload, Plain, payload_from_json};
use crate::service::{MAX_LABEL, RequestError, RunRequest};
use crate::text;

/// Inputs from `a{sv}`. Integer keys are positions, as on the command line.
pub(super) fn inputs(values: &BTreeMap<String, OwnedVariant>) -> Result<Payload, RequestError> {
    values
        .iter()
        .map(|(key, value)| match plain(value) {
            Ok(value) => Ok((Key::from_written(key), value.to_value())),
            Err(why) => Err(RequestError::InvalidInputs(format!("input {}: {why}", text::cut(key, MAX_LABEL)))),
        })
        .collect()
}

/// Maximum size of inputs, bytes: they are a property of their run, besides its output.
pub(crate) const MAX_INPUTS: usize = 40 << 20;

/// Inputs from a JSON object.
pub(super) fn inputs_from_json(text: &str) -> Result<Payload, RequestError> {
    if text.len() > MAX_INPUTS {
        return Err(RequestError::InvalidInputs(too_large(text.len())));
    }
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(object)) => payload_from_json(&object)
            .map_err(|why| RequestError::InvalidInputs(format!("the inputs cannot be used: {why}"))),
        Ok(_) => Err(RequestError::InvalidInputs("the inputs must be a JSON object".to_owned())),
        Err(error) => Err(RequestError::InvalidInputs(format!("the inputs are not valid JSON: {error}"))),
    }
}

/// The error that inputs of so many bytes are too large.
pub(crate) fn too_large(bytes: usize) -> String {
    let (mib, most) = (bytes >> 20, MAX_INPUTS >> 20);
    format!(
        "the inputs have {mib} MiB; at most {most} MiB can be given over D-Bus: write them to a file and give its name"
    )
}

/// A run with these inputs and `options`.
pub(super) fn run_request(
    inputs: Payload,
    options: &BTreeMap<String, OwnedVariant>,
    uid: Option<u32>,
) -> Result<RunRequest, RequestError> {
    let mut request = RunRequest { inputs, uid, ..RunRequest::default() };
    for (name, value) in options {
        let wrong = |wanted: &str| RequestError::InvalidInputs(format!("option {name} must be {wanted}"));
        match (name.as_str(), plain(value).map_err(|why| wrong(&why.to_string()))?) {
            ("label" | "request_id" | "initiator" | "host" | "port", Plain::Text(text))
                if text.chars().nth(MAX_LABEL).is_some() =>
            {
                return Err(wrong(&format!("a text of at most {MAX_LABEL} characters")));
            }
            ("timeout", value) => {
                request.timeout = Some(timeout(&value).ok_or_else(|| wrong("seconds, or a text like 90s or 1h30m"))?)
            }
            ("priority", Plain::Int(priority)) => {
                request.priority = i32::try_from(priority).map_err(|_| wrong("an integer of 32 bits"))?;
            }
            ("priority", _) => return Err(wrong("an integer")),
            ("label", Plain::Text(label)) => request.label = label,
            ("request_id", Plain::Text(text)) => request.requester.request_id = Some(text),
            ("initiator", Plain::Text(text)) => request.requester.initiator = Some(text),
            ("host", Plain::Text(text)) => request.requester.host = Some(text),
            ("port", Plain::Text(text)) => request.requester.port = Some(text),
            ("label" | "request_id" | "initiator" | "host" | "port", _) => return Err(wrong("a text")),
            _ => {
                let name = text::cut(name, MAX_LABEL);
                let why = format!(
                    "there is no option {name}; there are timeout, priority, label, request_id, initiator, host and port"
                );
                return Err(RequestError::InvalidInputs(why));
            }
        }
    }
    Ok(request)
}

fn timeout(value: &Plain) -> Option<Duration> {
    match value {
        Plain::Text(text) => parse_duration(text).ok(),
        Plain::Int(seconds) => Some(Duration::from_secs(u64::try_from(*seconds).ok()?)),
        Plain::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
        _ => None,
    }
}

/// D-Bus can pass file descriptors. Python values in files and messages cannot contain them.
#[derive(Debug, thiserror::Error)]
#[error("a file descriptor cannot be given to a run")]
struct FileDescriptor;

fn plain(value: &Variant<'_>) -> Result<Plain, FileDescriptor> {
    Ok(match value {
        Variant::Bool(value) => Plain::Bool(*value),
        Variant::U8(value) => Plain::Int((*value).into()),
        Variant::I16(value) => Plain::Int((*value).into()),
        Variant::U16(value) => Plain::Int((*value).into()),
        Variant::I32(value) => Plain::Int((*value).into()),
        Variant::U32(value) => Plain::Int((*value).into()),
        Variant::I64(value) => Plain::Int(*value),
        Variant::U64(value) => Plain::from(i128::from(*value)),
        Variant::F64(value) => Plain::Float(*value),
        Variant::Str(value) => Plain::Text(value.as_str().to_owned()),
        Variant::ObjectPath(value) => Plain::Text(value.as_str().to_owned()),
        Variant::Signature(value) => Plain::Text(value.to_string()),
        Variant::Variant(inner) => plain(inner)?,
        Variant::Array(array) if *array.element_signature() == Signature::U8 => {
            let byte = |item: &Variant<'_>| if let Variant::U8(byte) = item { Some(*byte) } else { None };
            Plain::Bytes(array.inner().iter().filter_map(byte).collect())
        }
        Variant::Array(array) => Plain::List(array.inner().iter().map(plain).collect::<Result<_, _>>()?),
        Variant::Structure(fields) => Plain::Tuple(fields.fields().iter().map(plain).collect::<Result<_, _>>()?),
        Variant::Dict(dict) => {
            let entry =
                |(key, value): (&Variant<'_>, &Variant<'_>)| Ok::<_, FileDescriptor>((plain(key)?, plain(value)?));
            Plain::Dict(dict.iter().map(entry).collect::<Result<_, _>>()?)
        }
        _ => return Err(FileDescriptor),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn owned(value: Variant<'_>) -> OwnedVariant {
        value.try_into_owned().expect("no descriptor in it")
    }

    fn look(value: Variant<'_>) -> Plain {
        plain(&owned(value)).expect("a value that Python has")
    }

    #[test]
    fn values_become_what_python_has_for_them() {
        assert_eq!(look(Variant::new(7_u8)), Plain::Int(7));
        assert_eq!(look(Variant::new(u64::MAX)), Plain::from(i128::from(u64::MAX)));
        assert_eq!(look(Variant::new(vec![1_u8, 2])), Plain::Bytes(vec![1, 2]));
        assert_eq!(
            look(Variant::new(vec![Variant::new("a"), Variant::new(true)])),
            Plain::List(vec![Plain::Text("a".into()), Plain::Bool(true)])
        );
        assert_eq!(look(Variant::new((1_i32, "x"))), Plain::Tuple(vec![Plain::Int(1), Plain::Text("x".into())]));
        let dict: HashMap<&str, Variant<'_>> = [("k", Variant::new(0.5))].into();
        assert_eq!(look(Variant::new(dict)), Plain::Dict(vec![(Plain::Text("k".into()), Plain::Float(0.5))]));
    }

    #[test]
    fn options_that_are_wrong_are_named() {
        let options = |name: &str, value: Variant<'static>| {
            run_request(Payload::new(), &[(name.to_owned(), owned(value))].into(), None)
        };
        assert_eq!(
            options("timeout", Variant::new("1m")).map(|request| request.timeout),
            Ok(Some(Duration::from_secs(60)))
        );
        assert_eq!(
            options("timeout", Variant::new(0.5)).map(|request| request.timeout),
            Ok(Some(Duration::from_millis(500)))
        );
        let label = |length: usize| options("label", Variant::new("é".repeat(length)));
        assert_eq!(label(200).map(|request| request.label.chars().count()), Ok(200));
        let why = "option label must be a text of at most 200 characters";
        assert_eq!(label(201).map(|request| request.label), Err(RequestError::InvalidInputs(why.to_owned())));
        for (name, value) in
            [("timeout", Variant::new("soon")), ("priority", Variant::new("high")), ("priorty", Variant::new(1))]
        {
            let Err(RequestError::InvalidInputs(why)) = options(name, value) else { panic!("{name} was taken") };
            assert!(why.contains(name), "{why}");
        }
    }
}
