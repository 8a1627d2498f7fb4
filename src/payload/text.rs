//! A value as text: what `{key}` in a command becomes.
//!
//! Numbers and booleans are written as Python's `str` writes them, strings stand as they are. A string that is not Unicode
//! (the name of a file that is not UTF-8, `os.fsdecode`) is the bytes of that name, as `os.fsencode` gives them. Only single
//! values of Python's own types are read here; of others the worker sends the text along (`_text` in `routing_value.py`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use num_bigint::BigInt;

use super::repr::float;
use super::{Chunk, Plain, RoutingValue, Value};

/// Integers of more bytes have no text, as in Python: to write them takes a time that grows with the square of their length.
const LONGEST_INTEGER: usize = super::limits::MOST_LONG_BYTES;

/// A single value of one of Python's own types.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    None,
    Bool(bool),
    Int(i64),
    BigInt(BigInt),
    Float(f64),
    /// A `str` as pickles hold it: UTF-8 in which halves of surrogate pairs are allowed (Python's `surrogatepass`).
    Text(&'a [u8]),
}

impl Value {
    /// The value as text; nothing where it has none that is of use in a command (None, lists, dicts, other objects).
    pub fn text(&self) -> Option<OsString> {
        if let Some(text) = self.known_text() {
            return Some(text.to_owned());
        }
        match self.known_routing_value() {
            Some(RoutingValue::Text(text) | RoutingValue::Other { text: Some(text), .. }) => {
                Some(text.to_string().into())
            }
            _ => match self.stream() {
                Chunk::Inline(pickle) if self.buffers().is_empty() => scalar(pickle)?.text(),
                _ => None,
            },
        }
    }

    /// A string from bytes as programs give them: those that are not UTF-8 become the halves of surrogate pairs that
    /// `os.fsdecode` makes of them.
    pub fn from_os_bytes(bytes: Vec<u8>) -> Value {
        match String::from_utf8(bytes) {
            Ok(text) => Plain::Text(text).to_value(),
            Err(error) => {
                let pickle = super::pickle::pickle_str(&escape_bytes(error.as_bytes()));
                Value::from_pickle(pickle, Some(RoutingValue::Other { truthy: true, text: None }))
            }
        }
    }
}

impl Scalar<'_> {
    /// How Python writes a string that is not Unicode; nothing for all else, which has other forms.
    pub(super) fn repr_of_no_unicode(&self) -> Option<String> {
        match self {
            Scalar::Text(text) if std::str::from_utf8(text).is_err() => Some(super::repr::string_with_surrogates(text)),
            _ => None,
        }
    }

    fn text(self) -> Option<OsString> {
        Some(match self {
            Scalar::None => return None,
            Scalar::Bool(value) => if value { "True" } else { "False" }.into(),
            Scalar::Int(value) => value.to_string().into(),
            Scalar::BigInt(value) => value.to_string().into(),
            Scalar::Float(value) => float(value).into(),
            Scalar::Text(text) => OsString::from_vec(file_system_bytes(text)?),
        })
    }
}

/// The value of a pickle that consists of a single value (Lib/pickletools.py, protocols 2 to 5).
pub(super) fn scalar(pickle: &[u8]) -> Option<Scalar<'_>> {
    let [0x80, _, rest @ ..] = pickle else { return None };
    // FRAME
    let rest = if let [0x95, rest @ ..] = rest { rest.get(8..)? } else { rest };
    let (&opcode, rest) = rest.split_first()?;
    let (value, rest) = match opcode {
        b'N' => (Scalar::None, rest),
        0x88 => (Scalar::Bool(true), rest),
        0x89 => (Scalar::Bool(false), rest),
        b'K' => fixed(rest, |[byte]: [u8; 1]| Scalar::Int(byte.into()))?,
        b'M' => fixed(rest, |bytes| Scalar::Int(u16::from_le_bytes(bytes).into()))?,
        b'J' => fixed(rest, |bytes| Scalar::Int(i32::from_le_bytes(bytes).into()))?,
        b'G' => fixed(rest, |bytes| Scalar::Float(f64::from_be_bytes(bytes)))?,
        0x8a => counted::<1>(rest).and_then(long)?,
        0x8b => counted::<4>(rest).and_then(long)?,
        0x8c => counted::<1>(rest).map(text)?,
        b'X' => counted::<4>(rest).map(text)?,
        0x8d => counted::<8>(rest).map(text)?,
        _ => return None,
    };
    // MEMOIZE or BINPUT, and STOP.
    matches!(rest, [b'.'] | [0x94, b'.'] | [b'q', _, b'.']).then_some(value)
}

fn fixed<const WIDTH: usize>(
    rest: &[u8],
    value: impl Fn([u8; WIDTH]) -> Scalar<'static>,
) -> Option<(Scalar<'static>, &[u8])> {
    rest.split_first_chunk().map(|(bytes, rest)| (value(*bytes), rest))
}

/// The bytes after a length of so many bytes, and what comes after them.
fn counted<const WIDTH: usize>(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (width, rest) = rest.split_at_checked(WIDTH)?;
    let mut length = [0; 8];
    length[..WIDTH].copy_from_slice(width);
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(length)).ok()?)
}

fn long<'a>((bytes, rest): (&'a [u8], &'a [u8])) -> Option<(Scalar<'a>, &'a [u8])> {
    if bytes.len() > LONGEST_INTEGER {
        return None;
    }
    let value = BigInt::from_signed_bytes_le(bytes);
    Some((i64::try_from(&value).map_or(Scalar::BigInt(value), Scalar::Int), rest))
}

fn text<'a>((bytes, rest): (&'a [u8], &'a [u8])) -> (Scalar<'a>, &'a [u8]) {
    (Scalar::Text(bytes), rest)
}

/// The bytes of a file name that Python has as this string; nothing where it has a half surrogate that stands for no byte.
fn file_system_bytes(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        bytes.extend(chunk.valid().as_bytes());
    }
    if bytes.len() == text.len() {
        return Some(bytes);
    }
    bytes.clear();
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        // U+DC80 to U+DCFF: the bytes 0x80 to 0xFF.
        rest = match (first, after) {
            (0xed, [second @ (0xb2 | 0xb3), third, after @ ..]) => {
                bytes.push(((second & 1) << 6) | (third & 0x3f) | 0x80);
                after
            }
            (0xed, [0xa0..=0xbf, ..]) => return None,
            _ => {
                bytes.push(first);
                after
            }
        };
    }
    Some(bytes)
}

/// The other way round: each byte that is not UTF-8 as the half surrogate that stands for it.
fn escape_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.extend(chunk.valid().as_bytes());
        for byte in chunk.invalid() {
            text.extend([0xed, 0xb2 | ((byte >> 6) & 1), 0x80 | (byte & 0x3f)]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn text_of(value: Plain) -> Option<String> {
        value.to_value().text().map(|text| text.into_string().expect("Unicode"))
    }

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (value, expected) in [
            (2.0, "2.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (0.00012345, "0.00012345"),
            (1e-5, "1e-05"),
            (1e-7, "1e-07"),
            (1.5e-300, "1.5e-300"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (9999999999999998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1e22, "1e+22"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(text_of(Plain::Float(value)).as_deref(), Some(expected), "{value:?}");
        }
        for int in [0, 7, -1, 255, 256, 65_536, i64::MIN, i64::MAX] {
            assert_eq!(text_of(Plain::Int(int)), Some(int.to_string()));
        }
        assert_eq!(text_of(Plain::from(1_i128 << 100)), Some((1_i128 << 100).to_string()));
        assert_eq!(text_of(Plain::Bool(true)).as_deref(), Some("True"));
        assert_eq!(text_of(Plain::Bool(false)).as_deref(), Some("False"));
    }

    #[test]
    fn strings_stand_as_they_are_and_what_is_no_single_value_has_no_text() {
        for text in ["", "None", "null", "true", "7", "a b", "é\u{10ffff}", &"x".repeat(70_000)] {
            assert_eq!(text_of(Plain::Text(text.to_owned())).as_deref(), Some(text));
        }
        for value in [Plain::None, Plain::List(vec![]), Plain::Bytes(vec![1]), Plain::Dict(vec![])] {
            assert_eq!(text_of(value), None);
        }
    }

    #[test]
    fn bytes_that_are_no_utf_8_come_back_as_they_were() {
        let all: Vec<u8> = (1..=255).collect();
        for bytes in [b"bad\xff.txt".to_vec(), all, vec![0xed, 0xb2, 0x80], b"good".to_vec(), "é\u{ffff}".into()] {
            let value = Value::from_os_bytes(bytes.clone());
            assert_eq!(value.text().map(|text| text.as_bytes().to_vec()), Some(bytes));
        }
        // Half of a surrogate pair that stands for no byte.
        assert_eq!(Value::from_pickle(super::super::pickle::pickle_str(b"\xed\xa0\x80"), None).text(), None);
    }

    #[test]
    fn a_pickle_that_breaks_off_or_goes_on_is_no_single_value() {
        for value in [Plain::Int(70_000), Plain::Float(1.5), Plain::Text("abc".into()), Plain::from(1_i128 << 70)] {
            let whole = super::super::pickle::pickle(&value);
            assert!(scalar(&whole).is_some());
            assert!((0..whole.len()).all(|length| scalar(&whole[..length]).is_none()));
            assert_eq!(scalar(&[&whole[..], b"."].concat()), None);
        }
    }
}
