//! Values of the history as BSON. Values that BSON cannot hold are replaced, as pypushflow's recorder does it.

use mongodb::bson::{Binary, Bson, DateTime, Document, oid::ObjectId, spec::BinarySubtype};
use serde_json::{Map, Number, Value as Json};

/// Maximum nesting of a value. Deeper parts are written as JSON text. MongoDB accepts 100 levels (its manual, "MongoDB Limits and
/// Thresholds"), and a value is in the document of an actor in a list.
const MOST_DEPTH: usize = 90;

/// A JSON object as a document.
pub fn document(object: &Map<String, Json>) -> Document {
    document_at(object, 0)
}

/// A value as BSON. `{"$type", "$repr", …}` in the history (see `src/worker/python/json_repr.py`) becomes the value that it stands for, or
/// its repr.
#[cfg(test)]
fn bson(json: &Json) -> Bson {
    bson_at(json, 0)
}

fn document_at(object: &Map<String, Json>, depth: usize) -> Document {
    object.iter().map(|(key, value)| (clean(key), bson_at(value, depth + 1))).collect()
}

fn bson_at(json: &Json, depth: usize) -> Bson {
    match json {
        Json::Null => Bson::Null,
        Json::Bool(value) => Bson::Boolean(*value),
        Json::Number(number) => self::number(number),
        Json::String(text) => Bson::String(text.clone()),
        Json::Array(_) | Json::Object(_) if depth == MOST_DEPTH => Bson::String(json.to_string()),
        Json::Array(items) => Bson::Array(items.iter().map(|item| bson_at(item, depth + 1)).collect()),
        Json::Object(object) => stands_for(object, depth).unwrap_or_else(|| Bson::Document(document_at(object, depth))),
    }
}

/// An integer becomes the smallest type that holds it, as in pymongo; one beyond 64 bits becomes text.
fn number(number: &Number) -> Bson {
    let text = number.to_string();
    if text.contains(['.', 'e', 'E']) {
        return text.parse().map_or(Bson::String(text), Bson::Double);
    }
    integer(&text)
}

fn integer(text: &str) -> Bson {
    match text.parse::<i64>() {
        Ok(int) => i32::try_from(int).map_or(Bson::Int64(int), Bson::Int32),
        Err(_) => Bson::String(text.to_owned()),
    }
}

/// The value that an object with `$type` stands for.
fn stands_for(object: &Map<String, Json>, depth: usize) -> Option<Bson> {
    let kind = object.get("$type")?.as_str()?;
    if let Some(size) = object.get("$bytes").and_then(Json::as_u64) {
        let start = object.get("$start").and_then(Json::as_str).map_or(String::new(), |start| format!(" {start}…"));
        return (object.len() <= 3).then(|| Bson::String(format!("<{kind} of {size} bytes, not recorded>{start}")));
    }
    let repr = object.get("$repr")?.as_str()?;
    let exactly = object.iter().find(|(key, _)| *key != "$type" && *key != "$repr");
    let Some((how, what)) = exactly else {
        let bytes = if kind == "bytes" { bytes_of(repr) } else { None };
        return Some(bytes.map_or_else(|| Bson::String(repr.to_owned()), binary));
    };
    if object.len() > 3 {
        return None;
    }
    let text = what.as_str();
    Some(match how.as_str() {
        "$items" => bson_at(what, depth),
        "$int" => integer(text?),
        "$text" => Bson::String(text?.to_owned()),
        "$float" => Bson::Double(text?.parse().ok()?),
        "$date" => Bson::DateTime(DateTime::from_millis(what.as_i64()?)),
        "$hex" => binary(unhex(text?)?),
        "$oid" => Bson::ObjectId(ObjectId::parse_str(text?).ok()?),
        _ => return None,
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    digits.chunks(2).map(|two| Some(digit(*two.first()?)? << 4 | digit(*two.get(1)?)?)).collect()
}

fn binary(bytes: Vec<u8>) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes })
}

/// The bytes of Python's `repr` of a `bytes` (Objects/bytesobject.c, PyBytes_Repr).
fn bytes_of(repr: &str) -> Option<Vec<u8>> {
    let inside = repr.strip_prefix("b'").and_then(|rest| rest.strip_suffix('\''));
    let inside = inside.or_else(|| repr.strip_prefix("b\"").and_then(|rest| rest.strip_suffix('"')))?;
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    u8::try_from(char::from(rest.next()?).to_digit(16)? << 4 | char::from(rest.next()?).to_digit(16)?)
                        .ok()?
                }
                other => other,
            },
            other => other,
        });
    }
    Some(bytes)
}

/// A key without zero bytes, which end it in BSON.
fn clean(key: &str) -> String {
    key.replace('\0', "\u{fffd}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mongodb::bson::doc;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_the_types_that_pymongo_gives_them() {
        let text = r#"{"a": 1, "b": 2147483648, "c": 2.0, "d": -0.0, "e": 1e300, "f": 36893488147419103232, "g": -2147483648}"#;
        let object: Map<String, Json> = serde_json::from_str(text).unwrap();
        let wanted = doc! {
            "a": 1_i32, "b": 2_147_483_648_i64, "c": 2.0, "d": -0.0, "e": 1e300,
            "f": "36893488147419103232", "g": i32::MIN,
        };
        assert_eq!(document(&object), wanted);
    }

    #[test]
    fn what_the_history_marks_is_what_it_stands_for_or_its_repr() {
        let cases = [
            (json!({"$type": "set", "$repr": "{1}", "$items": [1]}), Bson::Array(vec![Bson::Int32(1)])),
            (json!({"$type": "int", "$repr": "1", "$int": "1"}), Bson::Int32(1)),
            (json!({"$type": "int", "$repr": "…", "$int": "18446744073709551616"}), "18446744073709551616".into()),
            (json!({"$type": "float", "$repr": "-inf", "$float": "-inf"}), Bson::Double(f64::NEG_INFINITY)),
            (
                json!({"$type": "datetime.datetime", "$repr": "…", "$date": -1}),
                Bson::DateTime(DateTime::from_millis(-1)),
            ),
            (
                json!({"$type": "bytes", "$repr": "…", "$hex": "00fF"}),
                Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 255] }),
            ),
            (
                json!({"$type": "bytes", "$repr": "b'\\x00\\xffa\\n\\'\\\\'"}),
                Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: b"\x00\xffa\n'\\".to_vec() }),
            ),
            (json!({"$type": "bytes", "$repr": "b'\\x0"}), "b'\\x0".into()),
            (json!({"$type": "numpy.ndarray", "$repr": "array([0])"}), "array([0])".into()),
            (json!({"$type": "list", "$bytes": 5}), "<list of 5 bytes, not recorded>".into()),
            (json!({"$type": "str", "$bytes": 5, "$start": "ab"}), "<str of 5 bytes, not recorded> ab…".into()),
        ];
        for (json, wanted) in cases {
            assert_eq!(bson(&json), wanted, "{json}");
        }
        let Bson::Double(nan) = bson(&json!({"$type": "float", "$repr": "nan", "$float": "nan"})) else { panic!() };
        assert!(nan.is_nan());
    }

    #[test]
    fn objects_of_a_workflows_own_that_look_alike_stay_as_they_are() {
        for json in [
            json!({"$type": "x"}),
            json!({"$type": 1, "$repr": "x"}),
            json!({"$type": "x", "$repr": "y", "$hex": "0"}),
            json!({"$type": "x", "$repr": "y", "more": 1}),
            json!({"$type": "x", "$repr": "y", "$int": "1", "more": 1}),
            json!({"$oid": "x"}),
        ] {
            assert!(matches!(bson(&json), Bson::Document(_)), "{json}");
        }
    }

    #[test]
    fn what_is_nested_more_deeply_than_mongodb_takes_is_text() {
        let nested: Json = serde_json::from_str(&("[".repeat(110) + &"]".repeat(110))).unwrap();
        let mut depth = 0;
        let mut at = bson(&nested);
        while let Bson::Array(mut items) = at {
            depth += 1;
            at = items.pop().unwrap();
        }
        assert_eq!((depth, at), (MOST_DEPTH, Bson::String("[".repeat(20) + &"]".repeat(20))));
    }

    #[test]
    fn a_key_ends_where_it_ends() {
        assert_eq!(bson(&json!({"a\0b": 1, "": 2, "a.b": 3})), Bson::Document(doc! {"a\u{fffd}b": 1, "": 2, "a.b": 3}));
    }
}
