//! Values as JSON, for people and programs that are not Python.
//!
//! What JSON has a form for is written here. The rest (sets, arrays, instances, integers beyond 64 bits) needs Python's
//! own `repr`: [`json_text`] returns nothing, and the caller asks a worker, which keeps to the same limits
//! (`src/worker/python/payload_json.py`).
//!
//! A value that is nested too deeply, or that refers to the same parts again and again, is written as its type and the
//! beginning of its `repr`: the text of each value can be read again by every JSON parser, and it costs no more time and memory than
//! the value itself.

use std::fmt::{self, Write};

use indexmap::IndexMap;
use rustc_hash::FxHashMap;
use serde_json::{Map, Number, Value as Json, json};

use super::decoded::{Decoded, Node, NodeId};
use super::limits::{MOST_DEPTH, MOST_LONG_BYTES};
use super::{Chunk, Payload, Plain, RoutingValue, Value, repr, text};

/// What a value refers to more than once is written again for so many bytes in all, where each part counts for [`PART`] bytes more.
const MOST_REPEATED: usize = 16 << 20;
/// And for so many of all values of a payload.
const MOST_REPEATED_IN_ALL: usize = 2 * MOST_REPEATED;
const PART: usize = 16;
/// How many characters of a `repr` stand for a value.
pub const LONGEST_REPR: usize = 2000;

/// The value as JSON text, or nothing where only Python can say what is in it.
pub fn json_text(value: &Value) -> Option<String> {
    json_text_within(value, &mut { MOST_REPEATED })
}

/// The same; what it refers to more than once is written again as long as there is room for that.
fn json_text_within(value: &Value, room: &mut usize) -> Option<String> {
    let Some(decoded) = decode(value) else { return no_unicode(value) };
    let most = (*room).min(MOST_REPEATED);
    let mut writer =
        Writer { decoded: &decoded, seen: vec![false; decoded.len()], repeated: 0, most, out: String::new() };
    let written = writer.write(decoded.root(), 0);
    *room = room.saturating_sub(writer.repeated);
    match written {
        Ok(()) => Some(writer.out),
        Err(Stop::NeedsPython) => None,
        Err(Stop::TooMuch) => Some(in_words(&decoded)),
    }
}

/// The value as JSON, or nothing where only Python can say what is in it.
pub fn to_json(value: &Value) -> Option<Json> {
    serde_json::from_str(&json_text(value)?).ok()
}

/// The text that is written for a value when no Python can be asked.
pub fn placeholder_text(value: &Value) -> String {
    let bytes: u64 = value.stream().len() + value.buffers().iter().map(Chunk::len).sum::<u64>();
    json!({ "$type": "object", "$repr": format!("<a pickled value of {bytes} bytes>") }).to_string()
}

/// The routing value of a value that came without one, as far as Rust can decode it.
pub(super) fn routing_value(value: &Value) -> RoutingValue {
    let unknown = RoutingValue::Other { truthy: true, text: None };
    let Some(decoded) = decode(value) else { return unknown };
    match decoded.get(decoded.root()) {
        Node::None => Plain::None.routing_value(),
        Node::Bool(value) => Plain::Bool(*value).routing_value(),
        Node::Int(value) => Plain::Int(*value).routing_value(),
        Node::Float(value) => Plain::Float(*value).routing_value(),
        Node::Text(text) => Plain::Text((*text).to_owned()).routing_value(),
        Node::Bytes(bytes) => RoutingValue::Other { truthy: !bytes.is_empty(), text: None },
        Node::List(items) | Node::Tuple(items) | Node::Set(items) | Node::FrozenSet(items) | Node::Dict(items) => {
            RoutingValue::Other { truthy: !items.is_empty(), text: None }
        }
        Node::Long(_) => unknown,
    }
}

fn decode(value: &Value) -> Option<Decoded<'_>> {
    match value.stream() {
        Chunk::Inline(stream) if value.buffers().is_empty() => Decoded::from_pickle(stream),
        _ => None,
    }
}

/// A string that is not Unicode: the name of a file that is not UTF-8.
fn no_unicode(value: &Value) -> Option<String> {
    let Chunk::Inline(stream) = value.stream() else { return None };
    let repr = text::scalar(stream)?.repr_of_no_unicode()?;
    Some(json!({ "$type": "str", "$repr": repr }).to_string())
}

/// The type and the beginning of the `repr`.
fn in_words(decoded: &Decoded<'_>) -> String {
    let (mut text, cut) = repr::of(decoded, LONGEST_REPR);
    if cut {
        text.push('…');
    }
    json!({ "$type": decoded.get(decoded.root()).kind(), "$repr": text }).to_string()
}

/// Why a value is not written.
enum Stop {
    /// JSON has no form for something in it.
    NeedsPython,
    /// It is nested too deeply, or its text would be far longer than the value.
    TooMuch,
}

struct Writer<'d> {
    decoded: &'d Decoded<'d>,
    /// What has been written once.
    seen: Vec<bool>,
    /// What writing things again has cost, and how much it may.
    repeated: usize,
    most: usize,
    out: String,
}

impl Writer<'_> {
    fn write(&mut self, id: NodeId, depth: usize) -> Result<(), Stop> {
        let decoded = self.decoded;
        let node = decoded.get(id);
        if std::mem::replace(&mut self.seen[id as usize], true) {
            self.repeated += PART + if let Node::Text(text) = node { text.len() } else { 0 };
            if self.repeated > self.most {
                return Err(Stop::TooMuch);
            }
        }
        match node {
            Node::None => self.out.push_str("null"),
            Node::Bool(true) => self.out.push_str("true"),
            Node::Bool(false) => self.out.push_str("false"),
            Node::Int(int) => _ = write!(self.out, "{int}"),
            Node::Float(float) => {
                let number = Number::from_f64(*float).ok_or(Stop::NeedsPython)?;
                _ = write!(self.out, "{number}");
            }
            Node::Text(text) => self.text(text)?,
            Node::List(items) | Node::Tuple(items) => self.list(items, depth)?,
            Node::Dict(items) => self.dict(items, depth)?,
            Node::Long(bytes) if bytes.len() > MOST_LONG_BYTES => return Err(Stop::TooMuch),
            Node::Long(_) | Node::Bytes(_) | Node::Set(_) | Node::FrozenSet(_) => return Err(Stop::NeedsPython),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Stop> {
        // A string has a form in JSON.
        self.out.push_str(&serde_json::to_string(text).map_err(|_| Stop::NeedsPython)?);
        Ok(())
    }

    fn list(&mut self, items: &[NodeId], depth: usize) -> Result<(), Stop> {
        if depth == MOST_DEPTH {
            return Err(Stop::TooMuch);
        }
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.write(*item, depth + 1)?;
        }
        self.out.push(']');
        Ok(())
    }

    fn dict(&mut self, items: &[NodeId], depth: usize) -> Result<(), Stop> {
        if depth == MOST_DEPTH {
            return Err(Stop::TooMuch);
        }
        self.out.push('{');
        for (index, entry) in items.chunks_exact(2).enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            let Node::Text(_) = self.decoded.get(entry[0]) else { return Err(Stop::NeedsPython) };
            self.write(entry[0], depth + 1)?;
            self.out.push(':');
            self.write(entry[1], depth + 1)?;
        }
        self.out.push('}');
        Ok(())
    }
}

/// A payload as JSON: the text of each value, in order. Large outputs are passed on as they are, never taken apart again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonObject(IndexMap<String, Box<str>>);

impl JsonObject {
    /// The payload, with placeholders for what only Python could say.
    pub fn without_python(payload: &Payload) -> Self {
        let mut room = MOST_REPEATED_IN_ALL;
        let mut text = |value| json_text_within(value, &mut room).unwrap_or_else(|| placeholder_text(value));
        payload.written().map(|(key, value)| (key, text(value).into())).collect()
    }

    /// The payload, or nothing where a worker must be asked.
    pub fn of(payload: &Payload) -> Option<Self> {
        let mut room = MOST_REPEATED_IN_ALL;
        payload.written().map(|(key, value)| Some((key, json_text_within(value, &mut room)?.into()))).collect()
    }

    /// An object that was written whole.
    pub fn parse(text: &str) -> Option<Self> {
        let object: Map<String, Json> = serde_json::from_str(text).ok()?;
        Some(object.into_iter().map(|(key, value)| (key, value.to_string().into())).collect())
    }

    /// The text of one value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|text| &**text)
    }

    /// The texts of the values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, text)| (key.as_str(), &**text))
    }

    /// About how long the whole text is, bytes.
    pub fn length(&self) -> usize {
        self.0.iter().map(|(key, text)| key.len() + text.len() + 4).sum::<usize>() + 2
    }

    /// The same object, whose values are replaced by their type and size, the largest first, until its text has no more than `most`
    /// bytes. None where it is short enough.
    pub fn shortened(&self, most: usize) -> Option<Self> {
        let mut length = self.length();
        if length <= most {
            return None;
        }
        let mut by_size: Vec<(usize, &str)> = self.0.values().map(|text| &**text).enumerate().collect();
        by_size.sort_unstable_by_key(|(_, text)| std::cmp::Reverse(text.len()));
        let mut replaced: FxHashMap<usize, Box<str>> = FxHashMap::default();
        for (index, text) in by_size {
            if length <= most {
                break;
            }
            let size = json!({ "$type": kind_of(text), "$bytes": text.len() }).to_string();
            length = length - text.len() + size.len();
            replaced.insert(index, size.into());
        }
        let entries = self.0.iter().enumerate();
        Some(
            entries
                .map(|(index, (key, text))| (key.clone(), replaced.remove(&index).unwrap_or_else(|| text.clone())))
                .collect(),
        )
    }
}

/// The Python type of a value in JSON.
fn kind_of(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'"') => "str",
        Some(b'[') => "list",
        Some(b'{') => "dict",
        Some(b't' | b'f') => "bool",
        Some(b'n') => "NoneType",
        _ => "int",
    }
}

impl FromIterator<(String, Box<str>)> for JsonObject {
    fn from_iter<I: IntoIterator<Item = (String, Box<str>)>>(entries: I) -> Self {
        JsonObject(entries.into_iter().collect())
    }
}

impl fmt::Display for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        for (index, (key, text)) in self.0.iter().enumerate() {
            let key = serde_json::to_string(key).map_err(|_| fmt::Error)?;
            write!(f, "{}{key}:{text}", if index == 0 { "" } else { "," })?;
        }
        f.write_char('}')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pickle: &[u8]) -> Option<String> {
        json_text(&Value::from_pickle(pickle.to_vec(), None))
    }

    fn nested(depth: usize) -> Vec<u8> {
        let mut pickle = b"\x80\x05".to_vec();
        pickle.extend(std::iter::repeat_n(b']', depth));
        pickle.extend(std::iter::repeat_n(b'a', depth - 1));
        pickle.push(b'.');
        pickle
    }

    #[test]
    fn a_value_is_written_whole_down_to_a_depth_that_every_parser_reads() {
        let deep = text(&nested(MOST_DEPTH)).expect("JSON");
        assert_eq!(deep, "[".repeat(MOST_DEPTH) + &"]".repeat(MOST_DEPTH));
        for depth in [MOST_DEPTH + 1, 1500, 100_000] {
            let deep = text(&nested(depth)).expect("JSON");
            assert!(deep.starts_with(r#"{"$type":"list","$repr":"[[[["#) && deep.len() < 4100, "{deep}");
            serde_json::from_str::<Json>(&deep).expect("JSON");
        }
    }

    #[test]
    fn parts_that_are_referred_to_again_and_again_are_not_written_without_end() {
        // [1], and then a list of the list before twice, 40 times over: 2^40 values.
        let mut pickle = b"\x80\x05]\x94K\x01a".to_vec();
        for level in 0..40_u8 {
            // The list before is on the stack: put into a new one, with a reference to it.
            pickle.extend([b'0', b']', 0x94, b'(', b'h', level, b'h', level, b'e']);
        }
        pickle.push(b'.');
        let bomb = text(&pickle).expect("JSON");
        assert!(bomb.starts_with(r#"{"$type":"list","$repr":"[[[["#) && bomb.len() < 4100, "{bomb}");
        // A few references are no bomb.
        let mut shared = b"\x80\x05]\x94(\x8c\x02ab\x94".to_vec();
        shared.extend(b"h\x01".repeat(1000));
        shared.extend(b"e.");
        assert_eq!(text(&shared), Some(format!("[\"ab\"{}]", ",\"ab\"".repeat(1000))));
    }

    #[test]
    fn a_value_that_contains_itself_is_said_in_words() {
        assert_eq!(text(b"\x80\x05]\x94h\x00a.").as_deref(), Some(r#"{"$type":"list","$repr":"[[...]]"}"#));
    }

    #[test]
    fn a_number_with_too_many_digits_is_said_in_words_at_once() {
        let mut pickle = b"\x80\x05\x8b".to_vec();
        pickle.extend(2_000_000_u32.to_le_bytes());
        pickle.extend(vec![0x7f; 2_000_000]);
        pickle.push(b'.');
        assert_eq!(text(&pickle).as_deref(), Some(r#"{"$type":"int","$repr":"<an integer of 2000000 bytes>"}"#));
    }

    #[test]
    fn the_largest_values_of_an_object_make_room_first() {
        let object = JsonObject::from_iter([
            ("a".to_owned(), "1".into()),
            ("b".to_owned(), format!("\"{}\"", "x".repeat(1000)).into()),
            ("c".to_owned(), format!("[{}1]", "1,".repeat(100)).into()),
        ]);
        assert_eq!(object.shortened(10_000), None);
        let short = object.shortened(500).expect("it is longer");
        assert_eq!(short.get("b"), Some(r#"{"$type":"str","$bytes":1002}"#));
        assert_eq!((short.get("a"), short.get("c")), (object.get("a"), object.get("c")));
        assert_eq!(JsonObject::parse(&short.to_string()), Some(short));
    }
}
