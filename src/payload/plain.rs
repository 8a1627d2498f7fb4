//! Values that Rust and Python both know: None, booleans, numbers, strings, bytes, lists, tuples, dicts.

use std::str::FromStr;

use num_bigint::BigInt;
use serde_json::Value as Json;

use super::{Key, MOST_DIGITS, Payload, RoutingValue};

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
    /// From JSON; integers stay exact. The error says what Python could not read either.
    pub fn from_json(json: &Json) -> Result<Plain, String> {
        Ok(match json {
            Json::Null => Plain::None,
            Json::Bool(value) => Plain::Bool(*value),
            Json::Number(number) => number_from_json(&number.to_string())?,
            Json::String(text) => Plain::Text(text.clone()),
            Json::Array(items) => Plain::List(items.iter().map(Plain::from_json).collect::<Result<_, _>>()?),
            Json::Object(entries) => {
                let entry = |(key, value): (&String, &Json)| Ok((Plain::Text(key.clone()), Plain::from_json(value)?));
                Plain::Dict(entries.iter().map(entry).collect::<Result<_, String>>()?)
            }
        })
    }

    /// What a router compares.
    pub fn routing_value(&self) -> RoutingValue {
        match self {
            Plain::None => RoutingValue::Null { truthy: false },
            Plain::Bool(value) => RoutingValue::Bool(*value),
            Plain::Int(value) => RoutingValue::Int(*value),
            Plain::Float(value) if *value == value.trunc() && value.abs() < 9.0e15 => RoutingValue::Int(*value as i64),
            Plain::Float(value) => {
                RoutingValue::Other { truthy: *value != 0.0, text: Some(super::repr::float(*value).into()) }
            }
            Plain::BigInt(value) => RoutingValue::Other { truthy: true, text: Some(value.to_string().into()) },
            Plain::Text(text) if text == "None" || text == "null" => RoutingValue::Null { truthy: true },
            Plain::Text(text) => RoutingValue::Text(text.as_str().into()),
            Plain::Bytes(bytes) => RoutingValue::Other { truthy: !bytes.is_empty(), text: None },
            Plain::List(items) | Plain::Tuple(items) => RoutingValue::Other { truthy: !items.is_empty(), text: None },
            Plain::Dict(entries) => RoutingValue::Other { truthy: !entries.is_empty(), text: None },
            Plain::Call(..) => RoutingValue::Other { truthy: true, text: None },
        }
    }
}

impl From<i128> for Plain {
    fn from(int: i128) -> Self {
        i64::try_from(int).map_or_else(|_| Plain::BigInt(int.into()), Plain::Int)
    }
}

/// JSON's one kind of number is Python's two: a point or an exponent makes a float, as in Python's `json`.
fn number_from_json(number: &str) -> Result<Plain, String> {
    if let Ok(int) = i64::from_str(number) {
        return Ok(Plain::Int(int));
    }
    let digits = number.trim_start_matches('-');
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if digits.len() > MOST_DIGITS {
            return Err(format!("an integer has {} digits; Python reads at most {MOST_DIGITS}", digits.len()));
        }
        if let Ok(int) = BigInt::from_str(number) {
            return Ok(Plain::BigInt(int));
        }
    }
    Ok(Plain::Float(number.parse().unwrap_or(f64::NAN)))
}

/// A payload from a JSON object; keys that are written as integers become positions, as they are printed.
pub fn payload_from_json(object: &serde_json::Map<String, Json>) -> Result<Payload, String> {
    let entry = |(key, value): (&String, &Json)| {
        let value = Plain::from_json(value).map_err(|why| format!("{key}: {why}"))?;
        Ok((Key::from_written(key), value.to_value()))
    };
    object.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_with_more_digits_than_python_reads_is_an_error() {
        let digits = |count: usize| Plain::from_json(&serde_json::from_str(&"7".repeat(count)).expect("a number"));
        assert!(matches!(digits(MOST_DIGITS), Ok(Plain::BigInt(_))));
        let started = std::time::Instant::now();
        let why = digits(5_000_000).expect_err("it is too long");
        assert_eq!(why, "an integer has 5000000 digits; Python reads at most 4300");
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }
}
