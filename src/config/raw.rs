//! What the text of a file says, before anyone asks what it means: tables, lists and values, each with its place.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use toml_datetime::Datetime;

use super::source::Place;

/// A table, in the order of the text.
#[derive(Debug, Default)]
pub(super) struct RawTable<'s> {
    entries: Vec<RawEntry<'s>>,
    /// Where each key is, once there are many.
    index: Option<Box<FxHashMap<Cow<'s, str>, usize>>>,
    pub made: Made,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct RawEntry<'s> {
    pub key: RawKey<'s>,
    pub item: RawItem<'s>,
}

#[derive(Debug, Clone)]
pub(super) struct RawKey<'s> {
    pub name: Cow<'s, str>,
    pub at: Place,
}

#[derive(Debug)]
pub(super) struct RawItem<'s> {
    pub value: RawValue<'s>,
    pub at: Place,
}

#[derive(Debug)]
pub(super) enum RawValue<'s> {
    Text(Cow<'s, str>),
    /// As `from_str_radix` reads it.
    Integer {
        digits: Cow<'s, str>,
        radix: u32,
    },
    /// As `f64`'s `from_str` reads it.
    Float(Cow<'s, str>),
    Bool(bool),
    Datetime(Datetime),
    List(RawList<'s>),
    Table(RawTable<'s>),
}

#[derive(Debug, Default)]
pub(super) struct RawList<'s> {
    pub items: Vec<RawItem<'s>>,
    /// Its items stand each below a `[[head]]`, so there may be more to come.
    pub of_heads: bool,
}

/// How a table came to be: TOML says by that how it may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Made {
    /// Written as a value: it is complete.
    #[default]
    Inline,
    /// By its own head.
    Head,
    /// By the head of a table inside it.
    Implied,
    /// By a dotted key.
    Dotted,
}

/// From here on looking at each key costs more than the index.
const MANY: usize = 16;

impl<'s> RawTable<'s> {
    pub fn new(made: Made) -> Self {
        RawTable { made, ..RawTable::default() }
    }

    pub fn entries(&self) -> &[RawEntry<'s>] {
        &self.entries
    }

    pub fn get(&self, key: &str) -> Option<&RawEntry<'s>> {
        self.position(key).map(|position| &self.entries[position])
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut RawItem<'s>> {
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

    /// What is under a key, or else this.
    pub fn get_or_push(&mut self, key: &RawKey<'s>, new: impl FnOnce() -> RawItem<'s>) -> &mut RawItem<'s> {
        match self.position(&key.name) {
            Some(position) => &mut self.entries[position].item,
            None => self.push(key.clone(), new()),
        }
    }

    /// Adds an entry at the end; its key is new.
    pub fn push(&mut self, key: RawKey<'s>, item: RawItem<'s>) -> &mut RawItem<'s> {
        if self.entries.capacity() == 0 {
            // Most tables are links and actors with a script.
            self.entries.reserve_exact(2);
        }
        if let Some(index) = &mut self.index {
            index.insert(key.name.clone(), self.entries.len());
        }
        self.entries.push(RawEntry { key, item });
        if self.entries.len() == MANY {
            self.reindex();
        }
        &mut self.entries.last_mut().expect("one was just pushed").item
    }

    /// Takes an entry out; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<RawEntry<'s>> {
        let position = self.position(key)?;
        let removed = self.entries.remove(position);
        match &mut self.index {
            Some(index) if position == self.entries.len() => drop(index.remove(key)),
            Some(_) => self.reindex(),
            None => {}
        }
        Some(removed)
    }

    /// Keeps the entries whose keys are such.
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

impl<'s> RawValue<'s> {
    pub fn as_table(&self) -> Option<&RawTable<'s>> {
        match self {
            RawValue::Table(table) => Some(table),
            _ => None,
        }
    }

    pub fn as_integer(&self) -> Option<i128> {
        match self {
            RawValue::Integer { digits, radix } => i128::from_str_radix(digits, *radix).ok(),
            _ => None,
        }
    }

    /// What it is, with its article.
    pub fn type_name(&self) -> &'static str {
        match self {
            RawValue::Text(_) => "a string",
            RawValue::Integer { .. } => "an integer",
            RawValue::Float(_) => "a float",
            RawValue::Bool(_) => "a boolean",
            RawValue::Datetime(_) => "a date or time",
            RawValue::List(_) => "a list",
            RawValue::Table(_) => "a table",
        }
    }
}
