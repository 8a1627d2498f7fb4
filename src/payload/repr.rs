//! Python's `repr` of what is made of Python's own types, without Python.

use std::fmt::Write;

use serde_pickle::{DeOptions, HashableValue, Value as Pickle};

use super::opcodes;

/// The type's name and `repr` of a pickled value; none where a class is in it that is not Python's own.
pub fn builtin_repr(pickle: &[u8]) -> Option<(&'static str, String)> {
    if !opcodes::is_builtin(pickle) {
        return None;
    }
    let value = serde_pickle::value_from_slice(pickle, DeOptions::new()).ok()?;
    let mut text = String::new();
    write(&value, &mut text);
    Some((kind(&value), text))
}

fn kind(value: &Pickle) -> &'static str {
    match value {
        Pickle::None => "NoneType",
        Pickle::Bool(_) => "bool",
        Pickle::I64(_) | Pickle::Int(_) => "int",
        Pickle::F64(_) => "float",
        Pickle::Bytes(_) => "bytes",
        Pickle::String(_) => "str",
        Pickle::List(_) => "list",
        Pickle::Tuple(_) => "tuple",
        Pickle::Set(_) => "set",
        Pickle::FrozenSet(_) => "frozenset",
        Pickle::Dict(_) => "dict",
    }
}

fn write(value: &Pickle, out: &mut String) {
    let _ = match value {
        Pickle::None => out.write_str("None"),
        Pickle::Bool(value) => out.write_str(if *value { "True" } else { "False" }),
        Pickle::I64(value) => write!(out, "{value}"),
        Pickle::Int(value) => write!(out, "{value}"),
        Pickle::F64(value) => out.write_str(&float(*value)),
        Pickle::Bytes(bytes) => out.write_str(&bytes_text(bytes)),
        Pickle::String(text) => out.write_str(&string(text)),
        Pickle::List(items) => series(out, "[", items.iter(), "]", write),
        Pickle::Tuple(items) if items.len() == 1 => series(out, "(", items.iter(), ",)", write),
        Pickle::Tuple(items) => series(out, "(", items.iter(), ")", write),
        Pickle::Set(items) if items.is_empty() => out.write_str("set()"),
        Pickle::Set(items) => series(out, "{", items.iter(), "}", write_key),
        Pickle::FrozenSet(items) if items.is_empty() => out.write_str("frozenset()"),
        Pickle::FrozenSet(items) => series(out, "frozenset({", items.iter(), "})", write_key),
        Pickle::Dict(entries) => series(out, "{", entries.iter(), "}", |(key, value), out| {
            write_key(key, out);
            out.push_str(": ");
            write(value, out);
        }),
    };
}

fn write_key(value: &HashableValue, out: &mut String) {
    write(&value.clone().into_value(), out);
}

fn series<T>(
    out: &mut String,
    open: &str,
    items: impl Iterator<Item = T>,
    close: &str,
    mut put: impl FnMut(T, &mut String),
) -> std::fmt::Result {
    out.push_str(open);
    for (index, item) in items.enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        put(item, out);
    }
    out.write_str(close)
}

/// A float as Python's `repr` and `str` write it.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // Python writes exponents from 1e16 on and below 1e-4.
    if value != 0.0 && !(1e-4..1e16).contains(&value.abs()) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, number) = exponent.strip_prefix('-').map_or(("+", exponent), |number| ("-", number));
        return format!("{digits}e{sign}{number:0>2}");
    }
    format!("{value:?}")
}

fn bytes_text(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut text = format!("b{quote}");
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            byte if char::from(*byte) == quote => {
                text.push('\\');
                text.push(quote);
            }
            0x20..=0x7e => text.push(char::from(*byte)),
            byte => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push(quote);
    text
}

fn string(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    put_escaped(text, quote, &mut out);
    out.push(quote);
    out
}

/// A string as pickles hold it (UTF-8 in which halves of surrogate pairs are allowed); a long one is cut, as the worker does it.
pub(super) fn string_with_surrogates(text: &[u8]) -> String {
    const LONGEST: usize = 2000;
    let quote = if text.contains(&b'\'') && !text.contains(&b'"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    let mut rest = text;
    while !rest.is_empty() && out.len() < LONGEST {
        if let [0xed, second @ 0xa0..=0xbf, third, after @ ..] = rest {
            let _ = write!(out, "\\ud{:x}{:02x}", 8 | (second >> 2) & 7, ((second & 3) << 6) | (third & 0x3f));
            rest = after;
            continue;
        }
        let valid = rest.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        // As far as the limit, and past bytes that no pickle of Python's has.
        let part = &valid[..valid.floor_char_boundary(LONGEST)];
        put_escaped(part, quote, &mut out);
        rest = &rest[part.len().max(1).min(rest.len())..];
    }
    if rest.is_empty() {
        out.push(quote);
    } else {
        out.push('…');
    }
    out
}

fn put_escaped(text: &str, quote: char, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            it if it == quote => {
                out.push('\\');
                out.push(it);
            }
            it if it.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(it));
            }
            it => out.push(it),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Plain;
    use crate::payload::pickle::pickle;

    #[test]
    fn builtin_values_are_written_as_python_writes_them() {
        let cases = [
            (Plain::Bytes(b"a\x00'".to_vec()), "b\"a\\x00'\""),
            (Plain::Tuple(vec![Plain::Int(1)]), "(1,)"),
            (
                Plain::List(vec![Plain::Float(1e16), Plain::Float(1.0), Plain::Float(1.5e-7), Plain::None]),
                "[1e+16, 1.0, 1.5e-07, None]",
            ),
            (Plain::Dict(vec![(Plain::Int(1), Plain::Text("it's".into()))]), "{1: \"it's\"}"),
            (Plain::Float(f64::NEG_INFINITY), "-inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(builtin_repr(&pickle(&value)).map(|(_, text)| text), Some(expected.to_owned()));
        }
        assert_eq!(string_with_surrogates(b"bad\xed\xb3\xbf'.\xc3\xa9\xed\xa0\x80"), "\"bad\\udcff'.é\\ud800\"");
        let instance = Plain::Call("datetime".into(), "date".into(), vec![Plain::Int(2026)]);
        assert_eq!(builtin_repr(&pickle(&Plain::List(vec![instance]))), None);
    }
}
