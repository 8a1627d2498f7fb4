//! Whether a pickle holds only plain values: no calls, no instances.
//!
//! `serde-pickle` reads some instances as the dicts and tuples that they are built from (a namedtuple as an empty dict).
//! Here a pickle is walked opcode by opcode, and anything that names a class is recognised.

/// Whether the pickle consists of constants and containers only (Lib/pickletools.py, protocols 2 to 5).
pub(super) fn is_plain(pickle: &[u8]) -> bool {
    consists_of(pickle, arguments_length)
}

/// Whether it consists of what Python itself has the types for: bytes, sets and long integers too.
pub(super) fn is_builtin(pickle: &[u8]) -> bool {
    consists_of(pickle, |opcode, arguments| match opcode {
        // EMPTY_SET, ADDITEMS, FROZENSET.
        0x8f..=0x91 => Some(0),
        // SHORT_BINBYTES; BINBYTES, LONG4; BINBYTES8: a length and as many bytes.
        b'C' => counted::<1>(arguments),
        b'B' | 0x8b => counted::<4>(arguments),
        0x8e => counted::<8>(arguments),
        _ => arguments_length(opcode, arguments),
    })
}

fn consists_of(pickle: &[u8], arguments_length: impl Fn(u8, &[u8]) -> Option<usize>) -> bool {
    let mut rest = pickle;
    loop {
        let Some((&opcode, arguments)) = rest.split_first() else { return false };
        if opcode == b'.' {
            return arguments.is_empty();
        }
        let Some(after) = arguments_length(opcode, arguments).and_then(|length| arguments.get(length..)) else {
            return false;
        };
        rest = after;
    }
}

/// How many bytes follow an opcode; none for opcodes that make more than plain values.
fn arguments_length(opcode: u8, arguments: &[u8]) -> Option<usize> {
    Some(match opcode {
        // None, True, False; empty containers; MARK, POP, POP_MARK, DUP; MEMOIZE; what fills containers and makes tuples.
        b'N' | 0x88 | 0x89 | b']' | b')' | b'}' | b'(' | b'0' | b'1' | b'2' | 0x94 => 0,
        b'a' | b'e' | b'l' | b'd' | b's' | b'u' | b't' | 0x85..=0x87 => 0,
        // PROTO, BININT1, BINPUT, BINGET.
        0x80 | b'K' | b'q' | b'h' => 1,
        // BININT2; BININT, LONG_BINPUT, LONG_BINGET; BINFLOAT, FRAME.
        b'M' => 2,
        b'J' | b'r' | b'j' => 4,
        b'G' | 0x95 => 8,
        // LONG1, SHORT_BINUNICODE; BINUNICODE; BINUNICODE8: a length and as many bytes.
        0x8a | 0x8c => counted::<1>(arguments)?,
        b'X' => counted::<4>(arguments)?,
        0x8d => counted::<8>(arguments)?,
        _ => return None,
    })
}

fn counted<const WIDTH: usize>(arguments: &[u8]) -> Option<usize> {
    let mut length = [0; 8];
    length[..WIDTH].copy_from_slice(arguments.get(..WIDTH)?);
    WIDTH.checked_add(usize::try_from(u64::from_le_bytes(length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::is_plain;
    use crate::payload::pickle;
    use crate::payload::plain::Plain;

    #[test]
    fn plain_values_are_plain_and_calls_are_not() {
        let plain = Plain::Dict(vec![
            (Plain::Text("a – b".into()), Plain::List(vec![Plain::None, Plain::Int(1 << 40), Plain::Float(0.5)])),
            (Plain::Text("t".into()), Plain::Tuple(vec![Plain::Bool(true), Plain::Text("x".repeat(70_000))])),
        ]);
        assert!(is_plain(&pickle::pickle(&plain)));
        let call = Plain::Call("datetime".into(), "date".into(), vec![Plain::Int(2026), Plain::Int(1), Plain::Int(1)]);
        assert!(!is_plain(&pickle::pickle(&Plain::List(vec![call]))));
        assert!(!is_plain(&pickle::pickle(&Plain::Bytes(vec![1]))));
    }

    #[test]
    fn a_pickle_that_ends_too_early_is_not_plain() {
        let whole = pickle::pickle(&Plain::Text("abc".into()));
        assert!((0..whole.len()).all(|length| !is_plain(&whole[..length])));
    }
}
