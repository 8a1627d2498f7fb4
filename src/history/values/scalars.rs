//! Payloads of a few numbers and short texts, written as JSON without taking their pickles apart. Most values are such ones,
//! and this is quicker than passing handles on them to another thread.

use serde_json::Value as Json;

use crate::payload::{Key, Payload};

/// More values than this are left to the writer.
const FEW: usize = 8;

/// The payload as a JSON object, if it is a few numbers and short texts.
pub(super) fn of_payload(payload: &Payload) -> Option<String> {
    if payload.len() > FEW {
        return None;
    }
    let mut text = String::with_capacity(128);
    text.push('{');
    for (key, value) in payload.iter() {
        if value.json_repr().is_some() || !value.buffers().is_empty() {
            return None;
        }
        put_key(&mut text, key);
        put_scalar(&mut text, value.stream().bytes()?)?;
    }
    text.push('}');
    Some(text)
}

/// Writes the pickle of one number, short text, boolean or `None`, which most values are, without taking it apart.
pub(super) fn put_scalar(text: &mut String, pickle: &[u8]) -> Option<()> {
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

pub(super) fn put_key(text: &mut String, key: &Key) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Plain, json_text};

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
}
