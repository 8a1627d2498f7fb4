//! From TOML text to the spanned tree.
//!
//! The grammar is that of `toml_parser`, the parser below the crate `toml`. This module turns the parser's events into a tree
//! directly; `toml` first collects them in a list, and makes each table a hash map.
//! For a file of 10,000 actors (800 KiB) this needs 18 MiB instead of 32 MiB, and 0.7 of the time (`DeTable::parse`; 0.4 of that of
//! `toml::Table`, which has no locations; medians on a virtual machine).
//!
//! `tests/syntax.rs` compares both: they read the same values at the same locations, and report the same errors.

use std::borrow::Cow;

use toml_datetime::{Datetime, DatetimeParseError};
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::parser::{Event, EventKind, EventReceiver, RecursionGuard, parse_document};
use toml_parser::{ErrorSink, ParseError, Raw, Source, Span};

use super::source::Location;
use super::tree::{Definition, TomlItem, TomlKey, TomlList, TomlTable, TomlValue};
use super::tree_builder::{self, KeyPosition, Opened, SyntaxErrors};

/// The tree of a text and its errors. Duplicate keys and tables are not in the tree.
#[derive(Debug)]
pub(in crate::config) struct Syntax<'s> {
    pub table: TomlTable<'s>,
    pub errors: SyntaxErrors,
}

/// Maximum nesting of lists and inline tables, and maximum number of parts of a key.
const MAX_DEPTH: u32 = 80;

/// Parses a text. `id` becomes the `source` of all locations.
pub(in crate::config) fn read(id: u32, text: &str) -> Syntax<'_> {
    let source = Source::new(text);
    let mut errors = SyntaxErrors::new(id, text);
    let mut receiver = Receiver {
        id,
        source,
        root: TomlTable::new(Definition::Header),
        current: TomlTable::new(Definition::Header),
        header: None,
        opening: None,
        keys: Vec::new(),
        after_dot: false,
        stage: Stage::Line,
        open: Vec::new(),
        errors: SyntaxErrors::new(id, text),
    };
    parse_document(&source.lex().into_vec(), &mut RecursionGuard::new(&mut receiver, MAX_DEPTH), &mut errors);
    let Receiver { root: table, errors: mut later, .. } = receiver.finish();
    // Errors of the grammar come first.
    errors.broken.append(&mut later.broken);
    errors.duplicates = later.duplicates;
    Syntax { table, errors }
}

/// Receives the events of the parser and builds the tree.
struct Receiver<'s> {
    id: u32,
    source: Source<'s>,
    root: TomlTable<'s>,
    /// The table of the last header, or the root before the first header. It is attached to the root when it is complete.
    current: TomlTable<'s>,
    header: Option<Header<'s>>,
    /// A header whose `]` is still missing: where it begins, and whether it is `[[…]]`. Entries are skipped until a header ends.
    opening: Option<(Span, bool)>,
    /// The parts of all keys that have no value yet.
    keys: Vec<TomlKey<'s>>,
    /// Whether the next part continues the last key.
    after_dot: bool,
    stage: Stage,
    /// The lists and inline tables around the current position.
    open: Vec<Open<'s>>,
    errors: SyntaxErrors,
}

/// `[path.key]` or `[[path.key]]`.
struct Header<'s> {
    path: Vec<TomlKey<'s>>,
    key: TomlKey<'s>,
    at: Location,
    in_list: bool,
    /// Whether the table is already defined: what is written below this header is dropped.
    duplicate: bool,
}

/// Progress within a `key = value` line, outside of lists and inline tables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Line,
    Key,
    Value,
    /// A key has no value. What follows cannot be interpreted reliably.
    Lost,
}

enum Open<'s> {
    List {
        start: Span,
        items: Vec<TomlItem<'s>>,
    },
    Inline {
        start: Span,
        table: TomlTable<'s>,
        /// Index in `Receiver::keys` of its first key part.
        keys: usize,
        value: Option<TomlItem<'s>>,
    },
}

impl<'s> Receiver<'s> {
    fn finish(mut self) -> Self {
        if let Some((start, in_list)) = self.opening.take() {
            self.begin_table(start, in_list);
        }
        self.finish_table();
        self
    }

    fn raw(&self, kind: EventKind, span: Span, encoding: Option<Encoding>) -> Raw<'s> {
        let event = Event::new_unchecked(kind, encoding, span);
        self.source.get(event).expect("events lie within the text")
    }

    fn location(&self, span: Span) -> Location {
        Location::new(self.id, span.start()..span.end())
    }

    /// Whether the position is outside of lists, inline tables and headers.
    fn in_line(&self) -> bool {
        self.open.is_empty() && self.opening.is_none()
    }

    fn wants_value(&self) -> bool {
        !self.open.is_empty() || (self.opening.is_none() && self.stage == Stage::Value)
    }

    /// Called for anything but the rest of a key or its value.
    fn break_key(&mut self) {
        if self.in_line() && self.stage == Stage::Key {
            self.stage = Stage::Lost;
        }
    }

    fn value(&mut self, value: TomlValue<'s>, at: Location) {
        let item = TomlItem { value, at };
        match self.open.last_mut() {
            Some(Open::List { items, .. }) => items.push(item),
            Some(Open::Inline { value, .. }) => *value = Some(item),
            None => {
                self.stage = Stage::Line;
                tree_builder::insert(&mut self.current, &self.keys, item, KeyPosition::Line, &mut self.errors);
                self.keys.clear();
            }
        }
    }

    /// Ends an entry of an inline table.
    fn finish_entry(&mut self) {
        let Some(Open::Inline { table, keys: first, value, .. }) = self.open.last_mut() else { return };
        if let Some(item) = value.take() {
            tree_builder::insert(table, &self.keys[*first..], item, KeyPosition::Inline, &mut self.errors);
        }
        self.keys.truncate(*first);
    }

    fn open_header(&mut self, start: Span, in_list: bool) {
        if self.in_line() && self.stage != Stage::Lost {
            self.finish_table();
            self.keys.clear();
            self.opening = Some((start, in_list));
        }
    }

    fn close_header(&mut self, end: Span) {
        if let Some((start, in_list)) = self.opening.take() {
            self.begin_table(start.append(end), in_list);
        }
    }

    fn begin_table(&mut self, span: Span, in_list: bool) {
        let mut path = std::mem::take(&mut self.keys);
        let Some(key) = path.pop() else { return };
        let mut duplicate = false;
        if !in_list {
            match tree_builder::open(&mut self.root, &path, &key, &mut self.errors) {
                Opened::Table(table) => self.current = table,
                Opened::Duplicate => duplicate = true,
            }
        }
        self.header = Some(Header { path, key, at: self.location(span), in_list, duplicate });
    }

    fn finish_table(&mut self) {
        let table = std::mem::replace(&mut self.current, TomlTable::new(Definition::Header));
        let Some(Header { mut path, key, at, in_list, duplicate }) = self.header.take() else {
            self.root = table;
            return;
        };
        if !duplicate {
            let item = TomlItem { value: TomlValue::Table(table), at };
            tree_builder::attach(&mut self.root, &path, key, item, in_list, &mut self.errors);
        }
        // The list is used again for the next header.
        path.clear();
        self.keys = path;
    }
}

impl EventReceiver for Receiver<'_> {
    fn std_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.open_header(span, false);
    }

    fn std_table_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.close_header(span);
    }

    fn array_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.open_header(span, true);
    }

    fn array_table_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.close_header(span);
    }

    fn inline_table_open(&mut self, start: Span, _: &mut dyn ErrorSink) -> bool {
        if self.wants_value() {
            let table = TomlTable::new(Definition::Inline);
            self.open.push(Open::Inline { start, table, keys: self.keys.len(), value: None });
        }
        true
    }

    fn inline_table_close(&mut self, end: Span, _: &mut dyn ErrorSink) {
        self.finish_entry();
        if let Some(Open::Inline { start, table, .. }) = self.open.pop() {
            self.value(TomlValue::Table(table), self.location(start.append(end)));
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
            let list = TomlList { items, from_headers: false };
            self.value(TomlValue::List(list), self.location(start.append(end)));
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
        self.raw(EventKind::SimpleKey, span, encoding).decode_key(&mut name, &mut self.errors);
        self.keys.push(TomlKey { name, at: self.location(span) });
        if self.keys.len() - first > MAX_DEPTH as usize {
            self.errors.report_error(ParseError::new("recursion limit"));
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
        let value = match self.raw(EventKind::Scalar, span, encoding).decode_scalar(&mut text, &mut self.errors) {
            ScalarKind::String => TomlValue::Text(text),
            ScalarKind::Boolean(value) => TomlValue::Bool(value),
            ScalarKind::Float => TomlValue::Float(text),
            ScalarKind::Integer(radix) => TomlValue::Integer { digits: text, radix: radix.value() },
            ScalarKind::DateTime => TomlValue::Datetime(text.parse().unwrap_or_else(|error: DatetimeParseError| {
                self.errors.report_error(ParseError::new(error.to_string()).with_unexpected(span));
                Datetime { date: None, time: None, offset: None }
            })),
        };
        self.value(value, self.location(span));
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
            self.value(TomlValue::Integer { digits, radix: 10 }, Location::new(self.id, 0..0));
        }
    }
}
