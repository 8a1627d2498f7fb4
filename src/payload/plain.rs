//! Values that Rust and Python both know: None, booleans, numbers, strings, bytes, lists, tuples, dicts.

use std::str::FromStr;

use num_bigint::BigInt;
use serde_json::Value as Json;

use super::{Key, Look, Payload, Value, pickle};

/// A Python value built in Rust, from TOML, JSON or a program's output.
#[derive(Debug, Clone, PartialEq)]
pub enum Plain {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An `int` that fits 64 bits.
    Int(i64),
    /// An `int` that does not.
    BigInt(BigInt),
    /// A `float`.
    Float(f64),
    /// A `str`.
    Text(String),
    /// A `bytes`.
    Bytes(Vec<u8>),
    /// A `list`.
    List(Vec<Plain>),
    /// A `tuple`.
    Tuple(Vec<Plain>),
    /// A `dict`, in its order.
    Dict(Vec<(Plain, Plain)>),
    /// What a call of a Python function returns: module, name, arguments (`datetime.date(2026, 1, 1)`).
    Call(String, String, Vec<Plain>),
}

impl Plain {
    /// From JSON; integers of any size stay exact.
    pub fn from_json(json: &Json) -> Plain {
        match json {
            Json::Null => Plain::None,
            Json::Bool(value) => Plain::Bool(*value),
            Json::Number(number) => number_from_json(&number.to_string()),
            Json::String(text) => Plain::Text(text.clone()),
            Json::Array(items) => Plain::List(items.iter().map(Plain::from_json).collect()),
            Json::Object(entries) => Plain::Dict(
                entries.iter().map(|(key, value)| (Plain::Text(key.clone()), Plain::from_json(value))).collect(),
            ),
        }
    }

    /// The pickled value, with its look.
    pub fn to_value(&self) -> Value {
        Value::from_pickle(pickle::pickle(self), Some(self.look()))
    }

    /// What a router compares.
    pub fn look(&self) -> Look {
        match self {
            Plain::None => Look::Null { truthy: false },
            Plain::Bool(value) => Look::Bool(*value),
            Plain::Int(value) => Look::Int(*value),
            Plain::Float(value) if *value == value.trunc() && value.abs() < 9.0e15 => Look::Int(*value as i64),
            Plain::Float(value) => Look::Other { truthy: *value != 0.0, text: Some(super::repr::float(*value).into()) },
            Plain::BigInt(value) => Look::Other { truthy: true, text: Some(value.to_string().into()) },
            Plain::Text(text) if text == "None" || text == "null" => Look::Null { truthy: true },
            Plain::Text(text) => Look::Text(text.as_str().into()),
            Plain::Bytes(bytes) => Look::Other { truthy: !bytes.is_empty(), text: None },
            Plain::List(items) | Plain::Tuple(items) => Look::Other { truthy: !items.is_empty(), text: None },
            Plain::Dict(entries) => Look::Other { truthy: !entries.is_empty(), text: None },
            Plain::Call(..) => Look::Other { truthy: true, text: None },
        }
    }
}

impl From<i128> for Plain {
    fn from(int: i128) -> Self {
        i64::try_from(int).map_or_else(|_| Plain::BigInt(int.into()), Plain::Int)
    }
}

/// JSON's one kind of number is Python's two: a point or an exponent makes a float, as in Python's `json`.
fn number_from_json(number: &str) -> Plain {
    if let Ok(int) = i64::from_str(number) {
        return Plain::Int(int);
    }
    if let Ok(int) = BigInt::from_str(number) {
        return Plain::BigInt(int);
    }
    Plain::Float(number.parse().unwrap_or(f64::NAN))
}

/// A payload from a JSON object; keys that are written as integers become positions, as they are printed.
pub fn payload_from_json(object: &serde_json::Map<String, Json>) -> Payload {
    object.iter().map(|(key, value)| (Key::from_written(key), Plain::from_json(value).to_value())).collect()
}
