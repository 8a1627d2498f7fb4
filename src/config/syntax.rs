//! From TOML text to its tables. The grammar is that of `toml_parser`, which the crate `toml` is made of. What it finds
//! becomes tables at once; `toml` lists it first, and each of its tables is a hash map, which for a large file costs twice
//! the time and three times the memory. A test holds the two together: they read the same, and where a text is broken
//! both go on in the same way and say the same of it.

use std::borrow::Cow;

use toml_datetime::{Datetime, DatetimeParseError};
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::parser::{Event, EventKind, EventReceiver, RecursionGuard, parse_document};
use toml_parser::{ErrorSink, ParseError, Raw, Source, Span};

use super::grow::{self, Written, Wrong};
use super::raw::{Made, RawItem, RawKey, RawList, RawTable, RawValue};
use super::source::Place;

/// A text, read. What is there twice is left out the second time, but the keys of a second table are in the first one.
#[derive(Debug)]
pub(super) struct Syntax<'s> {
    pub table: RawTable<'s>,
    pub wrong: Wrong,
}

/// How deep lists and inline tables may be nested, and how many tables a key may lead through.
const DEEPEST: u32 = 80;

/// Reads a text.
pub(super) fn read(id: u32, text: &str) -> Syntax<'_> {
    let source = Source::new(text);
    let mut wrong = Wrong::new(id, text);
    let mut reader = Reader {
        id,
        source,
        whole: RawTable::new(Made::Head),
        current: RawTable::new(Made::Head),
        head: None,
        opening: None,
        keys: Vec::new(),
        after_dot: false,
        stage: Stage::Line,
        open: Vec::new(),
        wrong: Wrong::new(id, text),
    };
    parse_document(&source.lex().into_vec(), &mut RecursionGuard::new(&mut reader, DEEPEST), &mut wrong);
    let Reader { whole: table, wrong: mut later, .. } = reader.finish();
    // What is wrong with the grammar comes first.
    wrong.broken.append(&mut later.broken);
    wrong.doubled = later.doubled;
    Syntax { table, wrong }
}

/// Puts together what the grammar finds.
struct Reader<'s> {
    id: u32,
    source: Source<'s>,
    whole: RawTable<'s>,
    /// The table of the last head, or the text's own before the first: it joins the others when it is complete.
    current: RawTable<'s>,
    head: Option<Head<'s>>,
    /// A head that has not ended: where it begins, and whether it is one of a list. If it never does, all that follows is
    /// skipped, up to the end of another.
    opening: Option<(Span, bool)>,
    /// The parts of each key whose value is not there yet.
    keys: Vec<RawKey<'s>>,
    /// The next part belongs to the key before.
    after_dot: bool,
    stage: Stage,
    /// The lists and inline tables that have not ended.
    open: Vec<Open<'s>>,
    wrong: Wrong,
}

/// `[path.key]` or `[[path.key]]`.
struct Head<'s> {
    path: Vec<RawKey<'s>>,
    key: RawKey<'s>,
    at: Place,
    of_list: bool,
}

/// How much of an entry is there, outside of lists and inline tables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Line,
    Key,
    Value,
    /// A key without a value: what its line and all others mean is a guess.
    Lost,
}

enum Open<'s> {
    List {
        start: Span,
        items: Vec<RawItem<'s>>,
    },
    Inline {
        start: Span,
        table: RawTable<'s>,
        /// Where in `keys` its own begin.
        keys: usize,
        value: Option<RawItem<'s>>,
    },
}

impl<'s> Reader<'s> {
    fn finish(mut self) -> Self {
        if let Some((start, of_list)) = self.opening.take() {
            self.begin_table(start, of_list);
        }
        self.finish_table();
        self
    }

    fn raw(&self, kind: EventKind, span: Span, encoding: Option<Encoding>) -> Raw<'s> {
        let event = Event::new_unchecked(kind, encoding, span);
        self.source.get(event).expect("what the grammar finds is in the text")
    }

    fn place(&self, span: Span) -> Place {
        Place::new(self.id, span.start()..span.end())
    }

    /// Outside of lists, inline tables and heads.
    fn in_line(&self) -> bool {
        self.open.is_empty() && self.opening.is_none()
    }

    fn wants_value(&self) -> bool {
        !self.open.is_empty() || (self.opening.is_none() && self.stage == Stage::Value)
    }

    /// What is neither the rest of a key nor its value follows.
    fn break_key(&mut self) {
        if self.in_line() && self.stage == Stage::Key {
            self.stage = Stage::Lost;
        }
    }

    fn value(&mut self, value: RawValue<'s>, at: Place) {
        let item = RawItem { value, at };
        match self.open.last_mut() {
            Some(Open::List { items, .. }) => items.push(item),
            Some(Open::Inline { value, .. }) => *value = Some(item),
            None => {
                self.stage = Stage::Line;
                grow::add(&mut self.current, &self.keys, item, Written::Line, &mut self.wrong);
                self.keys.clear();
            }
        }
    }

    /// The end of an entry of an inline table.
    fn finish_entry(&mut self) {
        let Some(Open::Inline { table, keys: first, value, .. }) = self.open.last_mut() else { return };
        if let Some(item) = value.take() {
            grow::add(table, &self.keys[*first..], item, Written::Inline, &mut self.wrong);
        }
        self.keys.truncate(*first);
    }

    fn open_head(&mut self, start: Span, of_list: bool) {
        if self.in_line() && self.stage != Stage::Lost {
            self.finish_table();
            self.keys.clear();
            self.opening = Some((start, of_list));
        }
    }

    fn close_head(&mut self, end: Span) {
        if let Some((start, of_list)) = self.opening.take() {
            self.begin_table(start.append(end), of_list);
        }
    }

    fn begin_table(&mut self, head: Span, of_list: bool) {
        let mut path = std::mem::take(&mut self.keys);
        let Some(key) = path.pop() else { return };
        if !of_list {
            let taken = grow::take(&mut self.whole, &path, &key, &mut self.wrong);
            self.current = taken.unwrap_or(RawTable::new(Made::Head));
        }
        self.head = Some(Head { path, key, at: self.place(head), of_list });
    }

    fn finish_table(&mut self) {
        let table = std::mem::replace(&mut self.current, RawTable::new(Made::Head));
        let Some(Head { mut path, key, at, of_list }) = self.head.take() else {
            self.whole = table;
            return;
        };
        let item = RawItem { value: RawValue::Table(table), at };
        grow::put(&mut self.whole, &path, key, item, of_list, &mut self.wrong);
        // Ten thousand heads need one list.
        path.clear();
        self.keys = path;
    }
}

impl EventReceiver for Reader<'_> {
    fn std_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.open_head(span, false);
    }

    fn std_table_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.close_head(span);
    }

    fn array_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.open_head(span, true);
    }

    fn array_table_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.close_head(span);
    }

    fn inline_table_open(&mut self, start: Span, _: &mut dyn ErrorSink) -> bool {
        if self.wants_value() {
            let table = RawTable::new(Made::Inline);
            self.open.push(Open::Inline { start, table, keys: self.keys.len(), value: None });
        }
        true
    }

    fn inline_table_close(&mut self, end: Span, _: &mut dyn ErrorSink) {
        self.finish_entry();
        if let Some(Open::Inline { start, table, .. }) = self.open.pop() {
            self.value(RawValue::Table(table), self.place(start.append(end)));
        }
    }

    fn array_open(&mut self, start: Span, _: &mut dyn ErrorSink) -> bool {
        if self.wants_value() {
            self.open.push(Open::List { start, items: Vec::new() });
        }
        true
    }

    fn array_close(&mut self, end: Span, _: &mut dyn ErrorSink) {
        if let Some(Open::List { start, items }) = self.open.pop() {
            let list = RawList { items, of_heads: false };
            self.value(RawValue::List(list), self.place(start.append(end)));
        }
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, _: &mut dyn ErrorSink) {
        if self.stage == Stage::Lost {
            return;
        }
        let first = match self.open.last() {
            Some(Open::Inline { keys, .. }) => *keys,
            _ => 0,
        };
        if !std::mem::take(&mut self.after_dot) {
            self.keys.truncate(first);
        }
        let mut name = Cow::Borrowed("");
        self.raw(EventKind::SimpleKey, span, encoding).decode_key(&mut name, &mut self.wrong);
        self.keys.push(RawKey { name, at: self.place(span) });
        if self.keys.len() - first > DEEPEST as usize {
            self.wrong.report_error(ParseError::new("recursion limit"));
            self.stage = Stage::Lost;
        } else if self.in_line() {
            self.stage = Stage::Key;
        }
    }

    fn key_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.after_dot = true;
    }

    fn key_val_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        if self.in_line() && self.stage == Stage::Key {
            self.stage = Stage::Value;
        }
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, _: &mut dyn ErrorSink) {
        if !self.wants_value() {
            return;
        }
        let mut text = Cow::Borrowed("");
        let value = match self.raw(EventKind::Scalar, span, encoding).decode_scalar(&mut text, &mut self.wrong) {
            ScalarKind::String => RawValue::Text(text),
            ScalarKind::Boolean(value) => RawValue::Bool(value),
            ScalarKind::Float => RawValue::Float(text),
            ScalarKind::Integer(radix) => RawValue::Integer { digits: text, radix: radix.value() },
            ScalarKind::DateTime => RawValue::Datetime(text.parse().unwrap_or_else(|error: DatetimeParseError| {
                self.wrong.report_error(ParseError::new(error.to_string()).with_unexpected(span));
                Datetime { date: None, time: None, offset: None }
            })),
        };
        self.value(value, self.place(span));
    }

    fn value_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.finish_entry();
    }

    fn comment(&mut self, span: Span, error: &mut dyn ErrorSink) {
        self.raw(EventKind::Comment, span, None).decode_comment(error);
        self.break_key();
    }

    fn newline(&mut self, span: Span, error: &mut dyn ErrorSink) {
        self.raw(EventKind::Newline, span, None).decode_newline(error);
        self.break_key();
    }

    fn error(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.break_key();
        if self.in_line() && self.stage == Stage::Value {
            let digits = Cow::Borrowed("0");
            self.value(RawValue::Integer { digits, radix: 10 }, Place::new(self.id, 0..0));
        }
    }
}
