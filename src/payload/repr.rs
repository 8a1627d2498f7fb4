//! Python's `repr` of what is made of Python's own types, without Python.

use std::fmt::Write;

use num_bigint::BigInt;

use super::decoded::{Decoded, Node, NodeId};
use super::limits::{MOST_DEPTH, MOST_LONG_BYTES};

/// The type's name and the `repr` of a pickled value, or its beginning: about so many bytes of it, and whether it is longer. None
/// where a class is in it that is not Python's own.
pub fn builtin_repr(pickle: &[u8], most: usize) -> Option<(&'static str, String, bool)> {
    let decoded = Decoded::from_pickle(pickle)?;
    let (text, cut) = of(&decoded, most);
    Some((decoded.get(decoded.root()).kind(), text, cut))
}

/// The `repr`, or its beginning, and whether it is longer.
pub(super) fn of(decoded: &Decoded<'_>, most: usize) -> (String, bool) {
    let mut writer = Writer { decoded, out: String::new(), most, path: Vec::new() };
    writer.write(decoded.root());
    let Writer { mut out, .. } = writer;
    let cut = out.len() > most;
    out.truncate(out.floor_char_boundary(most));
    (out, cut)
}

struct Writer<'d> {
    decoded: &'d Decoded<'d>,
    out: String,
    /// What is longer is not written to its end.
    most: usize,
    /// The containers that are being written, outermost first.
    path: Vec<NodeId>,
}

impl Writer<'_> {
    fn write(&mut self, id: NodeId) {
        let decoded = self.decoded;
        let room = self.most.saturating_sub(self.out.len()) + 1;
        match decoded.get(id) {
            Node::None => self.out.push_str("None"),
            Node::Bool(value) => self.out.push_str(if *value { "True" } else { "False" }),
            Node::Int(value) => _ = write!(self.out, "{value}"),
            Node::Long(bytes) if bytes.len() > MOST_LONG_BYTES => {
                _ = write!(self.out, "<an integer of {} bytes>", bytes.len());
            }
            Node::Long(bytes) => _ = write!(self.out, "{}", BigInt::from_signed_bytes_le(bytes)),
            Node::Float(value) => self.out.push_str(&float(*value)),
            Node::Bytes(bytes) => self.out.push_str(&bytes_text(bytes, room)),
            Node::Text(text) => self.out.push_str(&string(text, room)),
            Node::List(items) => self.series(id, "[", items, "]"),
            Node::Tuple(items) if items.len() == 1 => self.series(id, "(", items, ",)"),
            Node::Tuple(items) => self.series(id, "(", items, ")"),
            Node::Set(items) if items.is_empty() => self.out.push_str("set()"),
            Node::Set(items) => self.series(id, "{", items, "}"),
            Node::FrozenSet(items) if items.is_empty() => self.out.push_str("frozenset()"),
            Node::FrozenSet(items) => self.series(id, "frozenset({", items, "})"),
            Node::Dict(items) => self.dict(id, items),
        }
    }

    fn is_full(&self) -> bool {
        self.out.len() > self.most
    }

    /// Whether the parts of a container are left out: it is in itself, as in Python's `repr`, or nested too deeply.
    fn enter(&mut self, id: NodeId) -> bool {
        if self.path.len() == MOST_DEPTH || self.path.contains(&id) {
            self.out.push_str("...");
            return false;
        }
        self.path.push(id);
        true
    }

    fn series(&mut self, id: NodeId, open: &str, items: &[NodeId], close: &str) {
        self.out.push_str(open);
        if self.enter(id) {
            for (index, item) in items.iter().enumerate() {
                if self.is_full() {
                    break;
                }
                self.out.push_str(if index == 0 { "" } else { ", " });
                self.write(*item);
            }
            self.path.pop();
        }
        self.out.push_str(close);
    }

    fn dict(&mut self, id: NodeId, items: &[NodeId]) {
        self.out.push('{');
        if self.enter(id) {
            for (index, entry) in items.chunks_exact(2).enumerate() {
                if self.is_full() {
                    break;
                }
                self.out.push_str(if index == 0 { "" } else { ", " });
                self.write(entry[0]);
                self.out.push_str(": ");
                self.write(entry[1]);
            }
            self.path.pop();
        }
        self.out.push('}');
    }
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

/// The `repr` of bytes; at most of so many.
fn bytes_text(bytes: &[u8], most: usize) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut text = format!("b{quote}");
    for byte in bytes.iter().take(most) {
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

/// The `repr` of a string; at most of so many characters.
fn string(text: &str, most: usize) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
    put_escaped(&text[..end], quote, &mut out);
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
            assert_eq!(builtin_repr(&pickle(&value), 1000).map(|(_, text, _)| text), Some(expected.to_owned()));
        }
        assert_eq!(string_with_surrogates(b"bad\xed\xb3\xbf'.\xc3\xa9\xed\xa0\x80"), "\"bad\\udcff'.é\\ud800\"");
        let instance = Plain::Call("datetime".into(), "date".into(), vec![Plain::Int(2026)]);
        assert_eq!(builtin_repr(&pickle(&Plain::List(vec![instance])), 1000), None);
    }

    #[test]
    fn a_long_repr_is_cut_and_says_so() {
        let (kind, text, cut) = builtin_repr(&pickle(&Plain::Text("é".repeat(100_000))), 100).expect("a string");
        assert_eq!((kind, text.len(), cut), ("str", 99, true));
        let (_, text, cut) = builtin_repr(&pickle(&Plain::List(vec![Plain::Int(7); 1000])), 10).expect("a list");
        assert_eq!((text.as_str(), cut), ("[7, 7, 7, ", true));
    }
}
