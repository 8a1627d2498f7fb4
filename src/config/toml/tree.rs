//! The spanned tree: tables, lists and values of a TOML file, each with its location in the text.
//!
//! The tree borrows from the text. Numbers stay text until a key of that type is read.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use toml_datetime::Datetime;

use super::source::Location;

/// A table, in the order of the text.
#[derive(Debug, Default)]
pub(in crate::config) struct TomlTable<'s> {
    entries: Vec<TomlEntry<'s>>,
    /// Positions of the keys in `entries`. Only large tables have an index.
    index: Option<Box<FxHashMap<Cow<'s, str>, usize>>>,
    pub definition: Definition,
}

/// A key and its value.
#[derive(Debug)]
pub(in crate::config) struct TomlEntry<'s> {
    pub key: TomlKey<'s>,
    pub item: TomlItem<'s>,
}

#[derive(Debug, Clone)]
pub(in crate::config) struct TomlKey<'s> {
    pub name: Cow<'s, str>,
    pub at: Location,
}

#[derive(Debug)]
pub(in crate::config) struct TomlItem<'s> {
    pub value: TomlValue<'s>,
    pub at: Location,
}

#[derive(Debug)]
pub(in crate::config) enum TomlValue<'s> {
    Text(Cow<'s, str>),
    /// The digits in the form of `from_str_radix`.
    Integer {
        digits: Cow<'s, str>,
        radix: u32,
    },
    /// In the form of `f64::from_str`.
    Float(Cow<'s, str>),
    Bool(bool),
    Datetime(Datetime),
    List(TomlList<'s>),
    Table(TomlTable<'s>),
}

#[derive(Debug, Default)]
pub(in crate::config) struct TomlList<'s> {
    pub items: Vec<TomlItem<'s>>,
    /// Whether the items are tables below `[[headers]]`. Such a list can be extended.
    pub from_headers: bool,
}

/// How a table is defined. This decides whether it can be extended (TOML 1.0, "Table" and "Inline Table").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::config) enum Definition {
    /// As an inline table, which is complete.
    #[default]
    Inline,
    /// By its own header.
    Header,
    /// By the header of a table inside it.
    Implicit,
    /// By a dotted key.
    Dotted,
}

/// Tables with at least this many keys get an index: from here on a linear search costs more.
const INDEX_FROM: usize = 16;

impl<'s> TomlTable<'s> {
    pub fn new(definition: Definition) -> Self {
        TomlTable { definition, ..TomlTable::default() }
    }

    pub fn entries(&self) -> &[TomlEntry<'s>] {
        &self.entries
    }

    pub fn get(&self, key: &str) -> Option<&TomlEntry<'s>> {
        self.position(key).map(|position| &self.entries[position])
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut TomlItem<'s>> {
        self.position(key).map(|position| &mut self.entries[position].item)
    }

    pub fn contains(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.entries.iter().position(|entry| entry.key.name == key),
        }
    }

    /// The value of a key. A key that is missing is added with the value of `new`.
    pub fn get_or_push(&mut self, key: &TomlKey<'s>, new: impl FnOnce() -> TomlItem<'s>) -> &mut TomlItem<'s> {
        match self.position(&key.name) {
            Some(position) => &mut self.entries[position].item,
            None => self.push(key.clone(), new()),
        }
    }

    /// Adds an entry at the end. The key must not exist yet.
    pub fn push(&mut self, key: TomlKey<'s>, item: TomlItem<'s>) -> &mut TomlItem<'s> {
        if self.entries.capacity() == 0 {
            // Most tables are links (`from`, `to`) and actors with only a script.
            self.entries.reserve_exact(2);
        }
        if let Some(index) = &mut self.index {
            index.insert(key.name.clone(), self.entries.len());
        }
        self.entries.push(TomlEntry { key, item });
        if self.entries.len() == INDEX_FROM {
            self.reindex();
        }
        &mut self.entries.last_mut().expect("one was just pushed").item
    }

    /// Removes an entry. The others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<TomlEntry<'s>> {
        let position = self.position(key)?;
        let removed = self.entries.remove(position);
        match &mut self.index {
            Some(index) if position == self.entries.len() => drop(index.remove(key)),
            Some(_) => self.reindex(),
            None => {}
        }
        Some(removed)
    }

    /// Keeps the entries for whose keys `keep` is true.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.entries.retain(|entry| keep(&entry.key.name));
        if self.index.is_some() {
            self.reindex();
        }
    }

    fn reindex(&mut self) {
        let keys = self.entries.iter().map(|entry| entry.key.name.clone());
        self.index = Some(Box::new(keys.zip(0..).collect()));
    }
}

impl<'s> TomlValue<'s> {
    pub fn as_table(&self) -> Option<&TomlTable<'s>> {
        match self {
            TomlValue::Table(table) => Some(table),
            _ => None,
        }
    }

    pub fn as_integer(&self) -> Option<i128> {
        match self {
            TomlValue::Integer { digits, radix } => i128::from_str_radix(digits, *radix).ok(),
            _ => None,
        }
    }

    /// The type with its article, as messages name it.
    pub fn type_name(&self) -> &'static str {
        match self {
            TomlValue::Text(_) => "a string",
            TomlValue::Integer { .. } => "an integer",
            TomlValue::Float(_) => "a float",
            TomlValue::Bool(_) => "a boolean",
            TomlValue::Datetime(_) => "a date or time",
            TomlValue::List(_) => "a list",
            TomlValue::Table(_) => "a table",
        }
    }
}
