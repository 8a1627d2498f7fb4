//! Values as JSON, for people and programs that are not Python.
//!
//! What JSON has a form for is decoded here. The rest (sets, arrays, instances, integers beyond 64 bits) needs Python's
//! own `repr`: [`to_json`] says so, and the caller asks a worker.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json, json};
use serde_pickle::{DeOptions, Value as Pickle};

use super::{Chunk, Look, Value, opcodes, text};

/// The value as JSON, or nothing where JSON has no form for it or for something inside it.
pub fn to_json(value: &Value) -> Option<Json> {
    let Chunk::Inline(stream) = value.stream() else { return None };
    if !value.buffers().is_empty() || !opcodes::is_plain(stream) {
        return None;
    }
    if let Some(repr) = text::scalar(stream).and_then(|scalar| scalar.repr_of_no_unicode()) {
        return Some(json!({ "$type": "str", "$repr": repr }));
    }
    // Two readings of the same few bytes: the first knows a set from a list, the second keeps the order of a dict.
    let kinds = serde_pickle::value_from_slice(stream, DeOptions::new()).ok()?;
    if !has_json_form(&kinds) {
        return None;
    }
    serde_pickle::from_slice::<Ordered>(stream, DeOptions::new()).ok().map(|ordered| ordered.0)
}

/// What is written for a value when no Python can be asked.
pub fn placeholder(value: &Value) -> Json {
    let bytes: u64 = value.stream().len() + value.buffers().iter().map(Chunk::len).sum::<u64>();
    json!({ "$type": "object", "$repr": format!("<a pickled value of {bytes} bytes>") })
}

/// What Rust can tell of a value that came without a look.
pub(super) fn look(value: &Value) -> Look {
    match to_json(value) {
        Some(json) => super::plain::Plain::from_json(&json).look(),
        None => Look::Other { truthy: true, text: None },
    }
}

fn has_json_form(value: &Pickle) -> bool {
    match value {
        Pickle::None | Pickle::Bool(_) | Pickle::I64(_) | Pickle::String(_) => true,
        Pickle::F64(float) => float.is_finite(),
        Pickle::List(items) | Pickle::Tuple(items) => items.iter().all(has_json_form),
        Pickle::Dict(entries) => entries
            .iter()
            .all(|(key, value)| matches!(key, serde_pickle::HashableValue::String(_)) && has_json_form(value)),
        Pickle::Int(_) | Pickle::Bytes(_) | Pickle::Set(_) | Pickle::FrozenSet(_) => false,
    }
}

struct Ordered(Json);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OrderedVisitor).map(Ordered)
    }
}

struct OrderedVisitor;

impl<'de> Visitor<'de> for OrderedVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has a form for")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(Ordered(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut map = Map::new();
        while let Some((key, Ordered(value))) = entries.next_entry::<Ordered, Ordered>()? {
            let Json::String(key) = key.0 else { return Err(A::Error::custom("a key that is no string")) };
            map.insert(key, value);
        }
        Ok(Json::Object(map))
    }
}
