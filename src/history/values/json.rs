//! Payloads as JSON text in the history: small values whole, of large ones the type and the size.

use std::borrow::Cow;

use serde_json::{Value as Json, json};

use super::recorded::{Part, Recorded};
use super::scalars::{put_key, put_scalar};
use crate::payload::{Key, Value, builtin_repr, json_text};

/// Maximum length of the text of one value, bytes,
const LONGEST_VALUE: usize = 16 << 10;
/// and approximate maximum of a payload.
const LONGEST_PAYLOAD: usize = 256 << 10;
/// Approximate maximum of a payload with values that were written for records in MongoDB (at most 1 MiB each, see
/// `worker/python/json_repr.py`).
const LONGEST_SAID: usize = 8 << 20;
/// How many characters of a long text are written.
const SHOWN: usize = 200;

/// The payload as a JSON object.
pub(in crate::history) fn written(payload: &Recorded) -> Cow<'_, str> {
    let mut text = String::from("{");
    match payload {
        Recorded::Json(text) => return Cow::Borrowed(text),
        Recorded::Whole(payload) => payload.iter().for_each(|(key, value)| put(&mut text, key, value)),
        Recorded::Parts(parts) => {
            for (key, part) in parts {
                match part {
                    Part::Value(value) => put(&mut text, key, value),
                    Part::Said(form) => put_said(&mut text, key, form),
                    Part::Large(bytes, start) => {
                        put_key(&mut text, key);
                        text.push_str(&large(*bytes, start).to_string());
                    }
                }
            }
        }
    }
    text.push('}');
    Cow::Owned(text)
}

/// A value that its worker has written as JSON, for records in MongoDB.
fn put_said(text: &mut String, key: &Key, form: &str) {
    put_key(text, key);
    match text.len() <= LONGEST_SAID {
        true => text.push_str(form),
        false => text.push_str(&json!({ "$type": "object", "$bytes": form.len() }).to_string()),
    }
}

fn put(text: &mut String, key: &Key, value: &Value) {
    if let Some(form) = value.json_repr() {
        return put_said(text, key, form);
    }
    put_key(text, key);
    let pickle = value.stream().bytes().unwrap_or_default();
    let full = text.len() > LONGEST_PAYLOAD;
    if full {
        text.push_str(&large(pickle.len() as u64, pickle).to_string());
        return;
    }
    if put_scalar(text, pickle).is_some() {
        return;
    }
    match json_text(value) {
        Some(written) if written.len() <= LONGEST_VALUE => text.push_str(&written),
        Some(written) => match serde_json::from_str(&written) {
            Ok(json) => text.push_str(&shortened(&json, written.len()).to_string()),
            Err(_) => text.push_str(&large(pickle.len() as u64, pickle).to_string()),
        },
        None => text.push_str(&foreign(pickle).to_string()),
    }
}

/// A value of which only the size and the beginning are written.
fn shortened(json: &Json, bytes: usize) -> Json {
    match json {
        Json::String(text) => {
            json!({ "$type": "str", "$bytes": text.len(), "$start": text.chars().take(SHOWN).collect::<String>() })
        }
        Json::Array(items) => json!({ "$type": "list", "$bytes": bytes, "$length": items.len() }),
        Json::Object(entries) => json!({ "$type": "dict", "$bytes": bytes, "$length": entries.len() }),
        other => {
            json!({ "$type": "int", "$bytes": bytes, "$start": other.to_string().chars().take(SHOWN).collect::<String>() })
        }
    }
}

/// A value that has no JSON form.
fn foreign(pickle: &[u8]) -> Json {
    if let Some((kind, repr, cut)) = builtin_repr(pickle, LONGEST_VALUE) {
        return match cut {
            false => json!({ "$type": kind, "$repr": repr }),
            true => {
                json!({ "$type": kind, "$bytes": pickle.len(), "$start": repr.chars().take(SHOWN).collect::<String>() })
            }
        };
    }
    large(pickle.len() as u64, pickle)
}

fn large(bytes: u64, start: &[u8]) -> Json {
    json!({ "$type": type_of(start), "$bytes": bytes })
}

/// The type of a pickled value, by how the pickle begins (protocols 4 and 5).
fn type_of(pickle: &[u8]) -> String {
    let mut rest = pickle;
    if let [0x80, _, after @ ..] = rest {
        rest = after;
    }
    if let [0x95, _, _, _, _, _, _, _, _, after @ ..] = rest {
        rest = after;
    }
    let word = |rest: &[u8]| match rest {
        [0x8c, length, after @ ..] => {
            let text = after.get(..usize::from(*length))?;
            let after = after.get(usize::from(*length)..)?;
            let after = if let [0x94, after @ ..] = after { after } else { after };
            Some((String::from_utf8_lossy(text).into_owned(), after.len()))
        }
        _ => None,
    };
    match rest.first() {
        Some(b']') => "list".to_owned(),
        Some(b'}') => "dict".to_owned(),
        Some(b'(' | b')') => "tuple".to_owned(),
        Some(0x8f) => "set".to_owned(),
        Some(b'B' | b'C' | 0x8e | 0x97) => "bytes".to_owned(),
        Some(0x96) => "bytearray".to_owned(),
        Some(b'X' | 0x8d) => "str".to_owned(),
        Some(0x8c) => {
            let Some((module, left)) = word(rest) else { return "str".to_owned() };
            let Some((name, left)) = word(&rest[rest.len() - left..]) else { return "str".to_owned() };
            if rest[rest.len() - left..].first() != Some(&0x93) {
                return "str".to_owned();
            }
            match (module.as_str(), name.as_str()) {
                (module, "_frombuffer" | "_reconstruct") if module.starts_with("numpy") => "numpy.ndarray".to_owned(),
                ("builtins", name) => name.to_owned(),
                (module, name) => format!("{module}.{name}"),
            }
        }
        _ => "object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::values::scalars;
    use crate::payload::{Payload, Plain};

    fn one(value: Plain) -> String {
        written(&Recorded::of(&Payload::from_iter([("x".into(), value.to_value())]))).into_owned()
    }

    #[test]
    fn small_values_are_whole_and_large_ones_are_summed_up() {
        assert_eq!(one(Plain::List(vec![Plain::Int(1), Plain::Text("é\"".into())])), r#"{"x":[1,"é\""]}"#);
        let text = one(Plain::Text("a".repeat(20_000)));
        assert!(text.starts_with(r#"{"x":{"$type":"str","$bytes":20000,"$start":"aaaa"#) && text.len() < 300, "{text}");
        assert_eq!(one(Plain::Bytes(vec![0; 100_000])), r#"{"x":{"$type":"bytes","$bytes":100008}}"#);
        assert_eq!(one(Plain::Bytes(vec![0, b'a', b'\''])), r#"{"x":{"$type":"bytes","$repr":"b\"\\x00a'\""}}"#);
        let date = Plain::Call("datetime".into(), "date".into(), vec![Plain::Int(2026)]);
        assert!(one(date).contains(r#""$type":"datetime.date""#));
    }

    #[test]
    fn a_payload_of_scalars_is_the_same_text_both_ways() {
        let payload = Payload::from_iter([
            ("name_1".into(), Plain::Text("é".into()).to_value()),
            (Key::Position(3), Plain::Float(0.5).to_value()),
            ("a \"key\"".into(), Plain::None.to_value()),
        ]);
        let text = scalars::of_payload(&payload).expect("scalars");
        assert_eq!(text, r#"{"name_1":"é","3":0.5,"a \"key\"":null}"#);
        assert_eq!(written(&Recorded::exactly(&payload)), text);
        assert!(matches!(Recorded::of(&payload), Recorded::Json(_)));
        let list = Payload::from_iter([("x".into(), Plain::List(vec![]).to_value())]);
        assert!(matches!(Recorded::of(&list), Recorded::Whole(_)));
    }

    #[test]
    fn a_payload_of_many_values_is_bounded() {
        let many = (0..10_000).map(|index| (Key::Position(index), Plain::Text("b".repeat(1000)).to_value()));
        let recorded = Recorded::of(&many.collect());
        let text = written(&recorded);
        assert!(text.len() < 1 << 20, "{}", text.len());
        serde_json::from_str::<Json>(&text).expect("JSON");
    }
}
