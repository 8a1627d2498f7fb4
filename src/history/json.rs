//! Payloads as JSON text, as the history keeps them: whole where they are small, in a few words where not.

use std::borrow::Cow;

use serde_json::{Value as Json, json};

use super::entry::{Part, Recorded};
use crate::payload::{Key, Payload, Value, builtin_repr, json_text};

/// The text of one value is not longer,
const LONGEST_VALUE: usize = 16 << 10;
/// and that of a payload, about, bytes.
const LONGEST_PAYLOAD: usize = 256 << 10;
/// that of one whose values were said for records in MongoDB (1 MiB each at most, see `worker/python/forms.py`) too is not much longer.
const LONGEST_SAID: usize = 8 << 20;
/// So many characters are shown of a long text.
const SHOWN: usize = 200;

/// More values than this are left to the writer.
const FEW: usize = 8;

/// The payload as a JSON object, if it is a few numbers and short texts.
pub(super) fn of_scalars(payload: &Payload) -> Option<String> {
    if payload.len() > FEW {
        return None;
    }
    let mut text = String::with_capacity(128);
    text.push('{');
    for (key, value) in payload.iter() {
        if value.form().is_some() || !value.buffers().is_empty() {
            return None;
        }
        put_key(&mut text, key);
        put_scalar(&mut text, value.stream().bytes()?)?;
    }
    text.push('}');
    Some(text)
}

/// The payload as a JSON object.
pub(super) fn written(payload: &Recorded) -> Cow<'_, str> {
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

fn put_key(text: &mut String, key: &Key) {
    if text.len() > 1 {
        text.push(',');
    }
    match key {
        // As names in Python are.
        Key::Text(name) if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
            text.extend(["\"", &**name, "\""]);
        }
        Key::Text(name) => text.push_str(&Json::from(&**name).to_string()),
        Key::Position(position) => put_display(text, format_args!("\"{position}\"")),
    }
    text.push(':');
}

/// What a value's maker has said of it, for records in MongoDB.
fn put_said(text: &mut String, key: &Key, form: &str) {
    put_key(text, key);
    match text.len() <= LONGEST_SAID {
        true => text.push_str(form),
        false => text.push_str(&json!({ "$type": "object", "$bytes": form.len() }).to_string()),
    }
}

fn put(text: &mut String, key: &Key, value: &Value) {
    if let Some(form) = value.form() {
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

/// Writes the pickle of one number, short text, boolean or `None`, which most values are, without taking it apart.
fn put_scalar(text: &mut String, pickle: &[u8]) -> Option<()> {
    let rest = pickle.strip_suffix(b".")?;
    let rest = rest.strip_suffix(&[0x94]).unwrap_or(rest); // MEMOIZE
    let rest = rest.strip_prefix(&[0x80])?.get(1..)?; // PROTO
    let rest = if rest.first() == Some(&0x95) { rest.get(9..)? } else { rest }; // FRAME
    match rest {
        [b'N'] => text.push_str("null"),
        [0x88] => text.push_str("true"),
        [0x89] => text.push_str("false"),
        [b'K', int] => put_display(text, int),
        [b'M', int @ ..] => put_display(text, u16::from_le_bytes(int.try_into().ok()?)),
        [b'J', int @ ..] => put_display(text, i32::from_le_bytes(int.try_into().ok()?)),
        [b'G', float @ ..] => {
            let float = f64::from_be_bytes(float.try_into().ok()?);
            text.push_str(&serde_json::Number::from_f64(float)?.to_string());
        }
        // SHORT_BINUNICODE
        [0x8c, length, word @ ..] if word.len() == usize::from(*length) => {
            let word = std::str::from_utf8(word).ok()?;
            text.push_str(&serde_json::to_string(word).ok()?);
        }
        _ => return None,
    }
    Some(())
}

fn put_display(text: &mut String, value: impl std::fmt::Display) {
    use std::fmt::Write;
    // A string takes whatever is written to it.
    let _ = write!(text, "{value}");
}

/// A value of which only the size and the beginning are kept.
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

/// A value that JSON has no form for.
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
    use crate::payload::Plain;

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
        let text = of_scalars(&payload).expect("scalars");
        assert_eq!(text, r#"{"name_1":"é","3":0.5,"a \"key\"":null}"#);
        assert_eq!(written(&Recorded::exactly(&payload)), text);
        assert!(matches!(Recorded::of(&payload), Recorded::Json(_)));
        let list = Payload::from_iter([("x".into(), Plain::List(vec![]).to_value())]);
        assert!(matches!(Recorded::of(&list), Recorded::Whole(_)));
    }

    #[test]
    fn scalars_are_written_as_the_whole_way_writes_them() {
        let scalars = [
            Plain::None,
            Plain::Bool(true),
            Plain::Bool(false),
            Plain::Int(0),
            Plain::Int(-70_000),
            Plain::Float(1e300),
            Plain::Float(0.1),
            Plain::Text("a \"quoted\" é\n".into()),
            Plain::Text("N.".into()),
        ];
        for scalar in scalars {
            let value = scalar.to_value();
            let mut text = String::new();
            put_scalar(&mut text, value.stream().bytes().expect("small")).expect("a scalar");
            assert_eq!(Some(text), json_text(&value), "{scalar:?}");
        }
        // As Python 3.8 and later write small integers and texts.
        for (pickle, written) in [
            (&b"\x80\x05K\x07."[..], "7"),
            (b"\x80\x05M\x00\x01.", "256"),
            (b"\x80\x05\x95\x06\x00\x00\x00\x00\x00\x00\x00\x8c\x02ab\x94.", "\"ab\""),
        ] {
            let mut text = String::new();
            assert_eq!((put_scalar(&mut text, pickle), text.as_str()), (Some(()), written));
        }
        let mut text = String::new();
        assert!(
            [&b"\x80\x05]\x94."[..], b"", b".", b"\x80\x05M\x00.", b"\x80\x05K\x01K\x02."]
                .iter()
                .all(|it| { put_scalar(&mut text, it).is_none() })
        );
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
