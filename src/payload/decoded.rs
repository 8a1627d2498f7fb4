//! A pickle of Python's own types, taken apart: what Rust knows of a value without Python.
//!
//! A task chooses what is in a pickle, so reading one must not cost more than the pickle is long. The values lie side by side in
//! one list and name their parts by number: no depth overflows the stack, here or when the list is dropped, and what a pickle
//! refers to twice is there once. The opcodes are those of Lib/pickletools.py, protocols 2 to 5; anything that names a class
//! is not read.

/// The number of a value in [`Decoded`].
pub(super) type NodeId = u32;

/// One value. Its parts are numbers of other values.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits: little endian two's complement.
    Long(&'a [u8]),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    List(Vec<NodeId>),
    Tuple(Vec<NodeId>),
    Set(Vec<NodeId>),
    FrozenSet(Vec<NodeId>),
    /// Keys and values in turn.
    Dict(Vec<NodeId>),
}

impl Node<'_> {
    /// The name of its type in Python.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Node::None => "NoneType",
            Node::Bool(_) => "bool",
            Node::Int(_) | Node::Long(_) => "int",
            Node::Float(_) => "float",
            Node::Text(_) => "str",
            Node::Bytes(_) => "bytes",
            Node::List(_) => "list",
            Node::Tuple(_) => "tuple",
            Node::Set(_) => "set",
            Node::FrozenSet(_) => "frozenset",
            Node::Dict(_) => "dict",
        }
    }
}

/// A whole value.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    nodes: Vec<Node<'a>>,
    root: NodeId,
}

impl<'a> Decoded<'a> {
    /// The value of a pickle; none where a class is in it that is not one of Python's plain types, or where it is no pickle.
    pub(super) fn from_pickle(pickle: &'a [u8]) -> Option<Self> {
        Machine::new(pickle).run()
    }

    /// The number of the value itself.
    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn get(&self, id: NodeId) -> &Node<'a> {
        &self.nodes[id as usize]
    }
}

/// What is on the stack of the unpickler.
#[derive(Clone, Copy)]
enum Slot {
    Mark,
    Node(NodeId),
}

/// The values that each pickle shares.
const NONE: NodeId = 0;
const TRUE: NodeId = 1;
const FALSE: NodeId = 2;

struct Machine<'a> {
    rest: &'a [u8],
    nodes: Vec<Node<'a>>,
    stack: Vec<Slot>,
    memo: Vec<Option<NodeId>>,
}

impl<'a> Machine<'a> {
    fn new(pickle: &'a [u8]) -> Self {
        let nodes = vec![Node::None, Node::Bool(true), Node::Bool(false)];
        Machine { rest: pickle, nodes, stack: Vec::new(), memo: Vec::new() }
    }

    fn run(mut self) -> Option<Decoded<'a>> {
        loop {
            let opcode = self.take(1)?[0];
            if opcode == b'.' {
                let [Slot::Node(root)] = *self.stack.as_slice() else { return None };
                return self.rest.is_empty().then_some(Decoded { nodes: self.nodes, root });
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            // PROTO, FRAME.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'N' => self.stack.push(Slot::Node(NONE)),
            0x88 => self.stack.push(Slot::Node(TRUE)),
            0x89 => self.stack.push(Slot::Node(FALSE)),
            // BININT1, BININT2, BININT; LONG1, LONG4; BINFLOAT.
            b'K' => self.push_int(i64::from(self.rest.first().copied()?), 1)?,
            b'M' => self.push_int(i64::from(u16::from_le_bytes(*self.rest.first_chunk()?)), 2)?,
            b'J' => self.push_int(i64::from(i32::from_le_bytes(*self.rest.first_chunk()?)), 4)?,
            0x8a => self.long::<1>()?,
            0x8b => self.long::<4>()?,
            b'G' => {
                let float = f64::from_be_bytes(*self.rest.first_chunk()?);
                self.take(8)?;
                self.push(Node::Float(float))?;
            }
            // (SHORT_)BINUNICODE(8), (SHORT_)BINBYTES(8).
            0x8c => self.text::<1>()?,
            b'X' => self.text::<4>()?,
            0x8d => self.text::<8>()?,
            b'C' => self.bytes::<1>()?,
            b'B' => self.bytes::<4>()?,
            0x8e => self.bytes::<8>()?,
            // EMPTY_LIST, EMPTY_TUPLE, EMPTY_DICT, EMPTY_SET.
            b']' => self.push(Node::List(Vec::new()))?,
            b')' => self.push(Node::Tuple(Vec::new()))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            0x8f => self.push(Node::Set(Vec::new()))?,
            _ => return self.step_of_containers(opcode),
        }
        Some(())
    }

    fn step_of_containers(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            // MARK, POP, POP_MARK, DUP.
            b'(' => self.stack.push(Slot::Mark),
            b'0' => drop(self.stack.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => self.stack.push(*self.stack.last()?),
            // MEMOIZE; BINPUT, LONG_BINPUT; BINGET, LONG_BINGET.
            0x94 => {
                let top = self.top()?;
                self.memo.push(Some(top));
            }
            b'q' => {
                let at = self.count::<1>()?;
                self.remember(at)?;
            }
            b'r' => {
                let at = self.count::<4>()?;
                self.remember(at)?;
            }
            b'h' => {
                let at = self.count::<1>()?;
                self.recall(at)?;
            }
            b'j' => {
                let at = self.count::<4>()?;
                self.recall(at)?;
            }
            // APPEND, APPENDS, ADDITEMS, SETITEM, SETITEMS: what fills containers.
            b'a' => {
                let item = self.pop()?;
                self.fill(&[item], |node| matches!(node, Node::List(_)))?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.fill(&items, |node| matches!(node, Node::List(_)))?;
            }
            0x90 => {
                let items = self.since_mark()?;
                self.fill(&items, |node| matches!(node, Node::Set(_)))?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.fill(&[key, value], |node| matches!(node, Node::Dict(_)))?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.fill(&items, |node| matches!(node, Node::Dict(_)))?;
            }
            // LIST, DICT, FROZENSET, TUPLE, TUPLE1 to TUPLE3: what makes full ones.
            b'l' => {
                let items = self.since_mark()?;
                self.push(Node::List(items))?;
            }
            b'd' => {
                let items = self.since_mark()?;
                self.push(Node::Dict(items).filter_pairs()?)?;
            }
            0x91 => {
                let items = self.since_mark()?;
                self.push(Node::FrozenSet(items))?;
            }
            b't' => {
                let items = self.since_mark()?;
                self.push(Node::Tuple(items))?;
            }
            0x85..=0x87 => {
                let mut items = (0x85..=opcode).map(|_| self.pop()).collect::<Option<Vec<_>>>()?;
                items.reverse();
                self.push(Node::Tuple(items))?;
            }
            _ => return None,
        }
        Some(())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// A number of so many bytes.
    fn count<const WIDTH: usize>(&mut self) -> Option<usize> {
        let mut count = [0; 8];
        count[..WIDTH].copy_from_slice(self.take(WIDTH)?);
        usize::try_from(u64::from_le_bytes(count)).ok()
    }

    fn counted<const WIDTH: usize>(&mut self) -> Option<&'a [u8]> {
        let count = self.count::<WIDTH>()?;
        self.take(count)
    }

    fn push(&mut self, node: Node<'a>) -> Option<()> {
        let id = NodeId::try_from(self.nodes.len()).ok()?;
        self.nodes.push(node);
        self.stack.push(Slot::Node(id));
        Some(())
    }

    fn push_int(&mut self, int: i64, width: usize) -> Option<()> {
        self.take(width)?;
        self.push(Node::Int(int))
    }

    fn long<const WIDTH: usize>(&mut self) -> Option<()> {
        let bytes = self.counted::<WIDTH>()?;
        if bytes.len() > 8 {
            return self.push(Node::Long(bytes));
        }
        let sign = if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 };
        let mut int = [sign; 8];
        int[..bytes.len()].copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(int)))
    }

    /// A string that has no form in UTF-8 (half of a surrogate pair) is left to Python.
    fn text<const WIDTH: usize>(&mut self) -> Option<()> {
        let bytes = self.counted::<WIDTH>()?;
        self.push(Node::Text(std::str::from_utf8(bytes).ok()?))
    }

    fn bytes<const WIDTH: usize>(&mut self) -> Option<()> {
        let bytes = self.counted::<WIDTH>()?;
        self.push(Node::Bytes(bytes))
    }

    fn top(&self) -> Option<NodeId> {
        match self.stack.last()? {
            Slot::Node(id) => Some(*id),
            Slot::Mark => None,
        }
    }

    fn pop(&mut self) -> Option<NodeId> {
        let top = self.top()?;
        self.stack.pop();
        Some(top)
    }

    /// Takes what was pushed after the last mark, and the mark.
    fn since_mark(&mut self) -> Option<Vec<NodeId>> {
        let mark = self.stack.iter().rposition(|slot| matches!(slot, Slot::Mark))?;
        let items = self.stack.drain(mark..).skip(1);
        Some(items.filter_map(|slot| if let Slot::Node(id) = slot { Some(id) } else { None }).collect())
    }

    fn fill(&mut self, items: &[NodeId], fits: impl Fn(&Node<'a>) -> bool) -> Option<()> {
        let container = self.top()?;
        let node = self.nodes.get_mut(container as usize).filter(|node| fits(node))?;
        match node {
            Node::List(parts) | Node::Set(parts) => parts.extend(items),
            Node::Dict(parts) if items.len().is_multiple_of(2) => parts.extend(items),
            _ => return None,
        }
        Some(())
    }

    /// Python numbers what it remembers without gaps: a larger number would reserve memory for nothing.
    fn remember(&mut self, at: usize) -> Option<()> {
        let top = self.top()?;
        if at > self.memo.len() {
            return None;
        }
        if at >= self.memo.len() {
            self.memo.resize(at + 1, None);
        }
        self.memo[at] = Some(top);
        Some(())
    }

    fn recall(&mut self, at: usize) -> Option<()> {
        let id = (*self.memo.get(at)?)?;
        self.stack.push(Slot::Node(id));
        Some(())
    }
}

impl Node<'_> {
    /// A dict of pairs; none where a value is missing.
    fn filter_pairs(self) -> Option<Self> {
        match &self {
            Node::Dict(parts) if parts.len() % 2 != 0 => None,
            _ => Some(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Plain;
    use crate::payload::pickle::pickle;

    #[test]
    fn plain_values_are_read_and_calls_are_not() {
        let plain = Plain::Dict(vec![
            (Plain::Text("a – b".into()), Plain::List(vec![Plain::None, Plain::Int(1 << 40), Plain::Float(0.5)])),
            (Plain::Text("t".into()), Plain::Tuple(vec![Plain::Bool(true), Plain::Text("x".repeat(70_000))])),
        ]);
        assert!(Decoded::from_pickle(&pickle(&plain)).is_some());
        let call = Plain::Call("datetime".into(), "date".into(), vec![Plain::Int(2026), Plain::Int(1), Plain::Int(1)]);
        assert!(Decoded::from_pickle(&pickle(&Plain::List(vec![call]))).is_none());
    }

    #[test]
    fn a_pickle_that_ends_too_early_is_none() {
        let whole = pickle(&Plain::List(vec![Plain::Text("abc".into()), Plain::BigInt(1_i128.into())]));
        assert!((0..whole.len()).all(|length| Decoded::from_pickle(&whole[..length]).is_none()));
        assert!(Decoded::from_pickle(&whole).is_some());
    }

    #[test]
    fn integers_keep_their_sign() {
        for (pickle, wanted) in [
            (&b"\x80\x05\x8a\x00."[..], Node::Int(0)),
            (b"\x80\x05\x8a\x01\xff.", Node::Int(-1)),
            (b"\x80\x05\x8a\x02\x00\x80.", Node::Int(-32768)),
            (b"\x80\x05J\xff\xff\xff\xff.", Node::Int(-1)),
            (b"\x80\x05\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.", Node::Long(&[0, 0, 0, 0, 0, 0, 0, 0x80, 0])),
        ] {
            let decoded = Decoded::from_pickle(pickle).expect("an integer");
            assert_eq!(*decoded.get(decoded.root()), wanted);
        }
    }

    #[test]
    fn a_million_levels_are_read_and_dropped_without_recursion() {
        let depth = 1_000_000;
        let mut pickle = b"\x80\x05".to_vec();
        pickle.extend(std::iter::repeat_n(b']', depth));
        pickle.extend(std::iter::repeat_n(b'a', depth - 1));
        pickle.push(b'.');
        let decoded = Decoded::from_pickle(&pickle).expect("a list");
        assert_eq!(decoded.len(), depth + 3);
    }

    #[test]
    fn a_memo_number_from_nowhere_reserves_no_memory() {
        assert!(Decoded::from_pickle(b"\x80\x05]r\xff\xff\xff\x7f.").is_none());
        assert!(Decoded::from_pickle(b"\x80\x05]j\x05\x00\x00\x00.").is_none());
    }
}
