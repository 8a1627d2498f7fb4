//! Values as JSON for records in MongoDB, where more is told apart than JSON can: bytes, dates, sets, numbers of any size.
//!
//! What JSON has no form for is an object with `$type`, `$repr` and one key more that holds the value exactly; the whole list
//! is in `src/worker/python/forms.py`, which makes these forms for what tasks return; `src/mx/value.rs` reads them.

use serde_json::{Value as Json, json};

use super::plain::Plain;

/// The form of a value that is made here, where JSON has none for it. Every value pays for its own, recorded or not: one
/// that holds many bytes has none.
pub(super) fn form(value: &Plain) -> Option<String> {
    let mut bytes = 0;
    (!has_json_form(value, &mut bytes) && bytes <= MOST_BYTES).then(|| said(value).to_string())
}

const MOST_BYTES: usize = 64 << 10;

fn has_json_form(value: &Plain, bytes: &mut usize) -> bool {
    match value {
        Plain::None | Plain::Bool(_) | Plain::Int(_) | Plain::Text(_) => true,
        Plain::Float(float) => float.is_finite(),
        Plain::BigInt(_) | Plain::Call(..) => false,
        Plain::Bytes(content) => {
            *bytes += content.len();
            false
        }
        // All of them: the bytes are counted.
        Plain::List(items) | Plain::Tuple(items) => items.iter().fold(true, |all, it| has_json_form(it, bytes) && all),
        Plain::Dict(entries) => entries
            .iter()
            .fold(true, |all, (key, value)| has_json_form(value, bytes) && matches!(key, Plain::Text(_)) && all),
    }
}

fn said(value: &Plain) -> Json {
    match value {
        Plain::None => Json::Null,
        Plain::Bool(value) => Json::Bool(*value),
        Plain::Int(value) => (*value).into(),
        Plain::Text(text) => text.as_str().into(),
        Plain::Float(value) => match serde_json::Number::from_f64(*value) {
            Some(number) => Json::Number(number),
            None => {
                let text = if value.is_nan() {
                    "nan"
                } else if *value > 0.0 {
                    "inf"
                } else {
                    "-inf"
                };
                json!({ "$type": "float", "$repr": text, "$float": text })
            }
        },
        Plain::BigInt(value) => json!({ "$type": "int", "$repr": value.to_string(), "$int": value.to_string() }),
        Plain::Bytes(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "$type": "bytes", "$repr": format!("b\"{}\"", bytes.escape_ascii()), "$hex": hex })
        }
        Plain::List(items) | Plain::Tuple(items) => items.iter().map(said).collect(),
        Plain::Dict(entries) => {
            let key = |key: &Plain| match key {
                Plain::Text(text) => text.clone(),
                other => said(other).to_string(),
            };
            Json::Object(entries.iter().map(|(name, value)| (key(name), said(value))).collect())
        }
        Plain::Call(module, name, arguments) => {
            let arguments: Vec<String> = arguments.iter().map(written).collect();
            let call = format!("{module}.{name}");
            json!({ "$type": call, "$repr": format!("{call}({})", arguments.join(", ")) })
        }
    }
}

/// An argument as Python writes it, near enough for people.
fn written(argument: &Plain) -> String {
    match argument {
        Plain::None => "None".to_owned(),
        Plain::Bool(true) => "True".to_owned(),
        Plain::Bool(false) => "False".to_owned(),
        Plain::Text(text) if !text.contains('\'') => format!("'{}'", text.escape_debug()),
        Plain::Text(text) => format!("{text:?}"),
        Plain::Call(module, name, arguments) => {
            let arguments: Vec<String> = arguments.iter().map(written).collect();
            format!("{module}.{name}({})", arguments.join(", "))
        }
        other => said(other).to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use num_bigint::BigInt;

    use super::*;

    #[test]
    fn what_json_can_say_has_no_form_of_its_own() {
        let value = Plain::Dict(vec![(Plain::Text("a".into()), Plain::Tuple(vec![Plain::Int(1), Plain::Float(0.5)]))]);
        assert_eq!(form(&value), None);
    }

    #[test]
    fn what_it_cannot_say_is_kept_exactly() {
        let said = |value: Plain| serde_json::from_str::<Json>(value.to_value().form().unwrap()).unwrap();
        let bytes = said(Plain::Bytes(b"\xff\x00a".to_vec()));
        assert_eq!(bytes, json!({ "$type": "bytes", "$repr": "b\"\\xff\\x00a\"", "$hex": "ff0061" }));
        assert_eq!(said(Plain::BigInt(BigInt::from(1) << 64))["$int"], "18446744073709551616");
        assert_eq!(said(Plain::List(vec![Plain::Float(f64::NEG_INFINITY)]))[0]["$float"], "-inf");
        let day = Plain::Call("datetime".into(), "date".into(), vec![Plain::Int(2026), Plain::Int(1), Plain::Int(2)]);
        assert_eq!(said(day), json!({ "$type": "datetime.date", "$repr": "datetime.date(2026, 1, 2)" }));
    }

    #[test]
    fn many_bytes_are_not_said_twice() {
        assert_eq!(form(&Plain::List(vec![Plain::Bytes(vec![0; 40 << 10]), Plain::Bytes(vec![0; 40 << 10])])), None);
    }
}
