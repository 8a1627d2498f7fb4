//! Writing pickles: plain values and exceptions, in protocol 4.
//!
//! serde's data model has neither integers beyond 128 bits nor calls such as `datetime.date(2026, 1, 1)`, so these few
//! opcodes are written here (their source: Lib/pickletools.py). They are read in `decoded.rs`.

use num_bigint::BigInt;

use super::Value;
use super::plain::Plain;

impl Plain {
    /// The pickled value, with its routing value.
    pub fn to_value(&self) -> Value {
        Value::from_pickle(pickle(self), Some(self.routing_value()))
    }
}

/// The pickle of a plain value.
pub(super) fn pickle(value: &Plain) -> Vec<u8> {
    let mut out = vec![0x80, 4];
    write(value, &mut out);
    out.push(b'.');
    out
}

/// The pickle of `module.name(*arguments)`.
pub(super) fn pickle_call(module: &str, name: &str, arguments: &[Plain]) -> Vec<u8> {
    pickle(&Plain::Call(module.into(), name.into(), arguments.to_vec()))
}

/// The pickle of a `str` with this text: UTF-8 in which halves of surrogate pairs are allowed.
pub(super) fn pickle_str(text: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80, 4];
    write_text(text, &mut out);
    out.push(b'.');
    out
}

fn write(value: &Plain, out: &mut Vec<u8>) {
    match value {
        Plain::None => out.push(b'N'),
        Plain::Bool(true) => out.push(0x88),
        Plain::Bool(false) => out.push(0x89),
        Plain::Int(int) => match i32::try_from(*int) {
            Ok(small) => {
                out.push(b'J'); // BININT
                out.extend(small.to_le_bytes());
            }
            Err(_) => write_long(&BigInt::from(*int), out),
        },
        Plain::BigInt(int) => write_long(int, out),
        Plain::Float(float) => {
            out.push(b'G'); // BINFLOAT, big endian
            out.extend(float.to_be_bytes());
        }
        Plain::Text(text) => write_text(text.as_bytes(), out),
        Plain::Bytes(bytes) => {
            write_length(bytes.len(), &[(b'C', 1), (b'B', 4), (0x8e, 8)], out); // (SHORT_)BINBYTES(8)
            out.extend(bytes);
        }
        Plain::List(items) => {
            out.push(b']'); // EMPTY_LIST
            write_items(items.iter(), b'e', out); // APPENDS
        }
        Plain::Tuple(items) => {
            out.push(b'('); // MARK
            items.iter().for_each(|item| write(item, out));
            out.push(b't'); // TUPLE
        }
        Plain::Dict(entries) => {
            out.push(b'}'); // EMPTY_DICT
            write_items(entries.iter().flat_map(|(key, value)| [key, value]), b'u', out); // SETITEMS
        }
        Plain::Call(module, name, arguments) => {
            write(&Plain::Text(module.clone()), out);
            write(&Plain::Text(name.clone()), out);
            out.push(0x93); // STACK_GLOBAL
            write(&Plain::Tuple(arguments.clone()), out);
            out.push(b'R'); // REDUCE
        }
    }
}

fn write_text(text: &[u8], out: &mut Vec<u8>) {
    write_length(text.len(), &[(0x8c, 1), (b'X', 4), (0x8d, 8)], out); // (SHORT_)BINUNICODE(8)
    out.extend(text);
}

fn write_items<'a>(items: impl Iterator<Item = &'a Plain>, close: u8, out: &mut Vec<u8>) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    out.push(b'('); // MARK
    items.for_each(|item| write(item, out));
    out.push(close);
}

/// LONG1 or LONG4: little endian two's complement.
fn write_long(int: &BigInt, out: &mut Vec<u8>) {
    let bytes = int.to_signed_bytes_le();
    write_length(bytes.len(), &[(0x8a, 1), (0x8b, 4)], out);
    out.extend(bytes);
}

/// The opcode whose length field, of so many bytes, is wide enough, and the length.
fn write_length(length: usize, opcodes: &[(u8, usize)], out: &mut Vec<u8>) {
    let length = (length as u64).to_le_bytes();
    let fits = |width: usize| length[width..].iter().all(|byte| *byte == 0);
    let (opcode, width) = *opcodes
        .iter()
        .find(|(_, width)| fits(*width))
        .expect("the widest length field of each kind holds what fits into memory");
    out.push(opcode);
    out.extend(&length[..width]);
}
