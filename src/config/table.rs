//! Reading tables of the file: typed values with their places, unknown keys, wrong types.

use std::collections::BTreeMap;
use std::time::Duration;

use super::diagnostics::Problems;
use super::keys::{Key, Section, Shape};
use super::names::Name;
use super::raw::{RawEntry, RawItem, RawKey, RawList, RawTable, RawValue};
use super::source::{At, Place};
use super::suggest::{did_you_mean, list, quoted};
use super::units;
use super::words::Word;
use crate::graph::Port;
use crate::payload;

/// A table, with a second one beneath it that holds what the first does not say.
#[derive(Clone, Copy)]
pub(super) struct Table<'t> {
    over: &'t RawTable<'t>,
    under: Option<&'t RawTable<'t>>,
    /// Where it is written: its head, for messages about the table as a whole.
    pub at: Place,
    pub section: &'static Section,
}

/// A key's value.
#[derive(Clone, Copy)]
pub(super) struct Node<'t> {
    pub key: &'t str,
    pub key_at: Place,
    pub value: &'t RawValue<'t>,
    pub at: Place,
    under: Option<&'t RawTable<'t>>,
}

/// A link's port: a value, or everything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum PortWord {
    Value(Port),
    Other,
}

impl<'t> Table<'t> {
    /// A whole file, with the defaults beneath.
    pub fn root(
        over: &'t RawTable<'t>,
        source: u32,
        under: Option<&'t RawTable<'t>>,
        section: &'static Section,
    ) -> Self {
        Table { over, under, at: Place::new(source, 0..0), section }
    }

    /// The value of a key that this table's section has.
    pub fn get(&self, key: &str) -> Option<Node<'t>> {
        debug_assert!(self.section.key(key).is_some(), "{key} is no key of {}", self.section.title);
        self.peek(key)
    }

    /// The value of a key that this table's section may have.
    pub fn peek(&self, key: &str) -> Option<Node<'t>> {
        let under = self.under.and_then(|table| table.get(key)).map(Node::new);
        match self.over.get(key) {
            Some(entry) => Some(Node::new(entry).above(under)),
            None => under,
        }
    }

    /// Whether the key is in the upper table itself.
    pub fn says(&self, key: &str) -> bool {
        self.over.contains(key)
    }

    /// All entries, those of the upper table first.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'t>> + use<'t> {
        let Table { over, under, .. } = *self;
        let under = under.into_iter();
        let beneath = under.clone().flat_map(RawTable::entries).filter(move |entry| !over.contains(&entry.key.name));
        let above = over.entries().iter().map(move |entry| {
            let under = under.clone().find_map(|table| table.get(&entry.key.name));
            Node::new(entry).above(under.map(Node::new))
        });
        above.chain(beneath.map(Node::new))
    }

    /// Reports the keys that the section does not have, and the ones it needs and lacks.
    pub fn check_keys(&self, problems: &mut Problems) {
        self.check_unknown(problems, |_, _| false);
        self.check_required(problems);
    }

    /// Reports unknown keys, but for those that `explain` reports itself.
    pub fn check_unknown(&self, problems: &mut Problems, mut explain: impl FnMut(&mut Problems, Node<'_>) -> bool) {
        for node in self.over.entries().iter().map(Node::new) {
            if self.section.key(node.key).is_some() || explain(problems, node) {
                continue;
            }
            let near = problems.guesses.nearest(node.key, self.section.keys().map(|key| key.name));
            let help = did_you_mean(near)
                .unwrap_or_else(|| format!("it may have {}", list(self.section.keys().map(|key| key.name))));
            problems
                .error(node.key_at, format!("unknown key {} in {}", quoted(node.key), self.section.title))
                .label("no such key")
                .help(help);
        }
    }

    /// Reports keys that must be there and are not.
    pub fn check_required(&self, problems: &mut Problems) {
        for key in self.section.keys().filter(|key| key.required) {
            if self.peek(key.name).is_none() {
                problems
                    .error(self.at, format!("{} needs {}", self.section.title, quoted(key.name)))
                    .label(format!("{} is missing", quoted(key.name)))
                    .help(format!("add `{} = {}`", key.name, key.shape.example()));
            }
        }
    }

    /// The table under a key.
    pub fn table(&self, key: &str, problems: &mut Problems) -> Option<Table<'t>> {
        let Some(Shape::Table(section)) = self.shape(key) else { return None };
        self.get(key)?.table(section, problems)
    }

    pub fn text(&self, key: &str, problems: &mut Problems) -> Option<At<String>> {
        self.read(key, problems, |node, _| node.as_text().map(str::to_owned))
    }

    pub fn name(&self, key: &str, problems: &mut Problems) -> Option<At<Name>> {
        self.read(key, problems, |node, _| node.as_text().map(Name::new))
    }

    pub fn bool(&self, key: &str, problems: &mut Problems) -> Option<bool> {
        self.read(key, problems, |node, _| match node.value {
            RawValue::Bool(value) => Ok(*value),
            _ => Err(None),
        })
        .map(|value| value.value)
    }

    pub fn duration(&self, key: &str, problems: &mut Problems) -> Option<Duration> {
        self.read(key, problems, |node, shape| {
            let duration = match node.value {
                RawValue::Text(text) => units::duration(text),
                _ => units::seconds(node.number().ok_or(None)?),
            };
            match (duration, shape) {
                (Ok(Duration::ZERO), Shape::Duration { zero: false }) => Err(Some("it must be longer than nothing")),
                (duration, _) => duration.map_err(Some),
            }
        })
        .map(|value| value.value)
    }

    pub fn size(&self, key: &str, problems: &mut Problems) -> Option<u64> {
        self.read(key, problems, |node, _| match node.value {
            RawValue::Text(text) => units::size(text).map_err(Some),
            _ => u64::try_from(node.integer().ok_or(None)?).map_err(|_| Some("it is less than nothing")),
        })
        .map(|value| value.value)
    }

    pub fn cpus(&self, key: &str, problems: &mut Problems) -> Option<f64> {
        self.read(key, problems, |node, _| {
            let cpus = match node.value {
                RawValue::Text(text) => units::percent_of_cpus(text).map_err(Some)?,
                _ => node.number().ok_or(None)?,
            };
            if (0.001..=1e6).contains(&cpus) { Ok(cpus) } else { Err(Some("no machine has so many or so few")) }
        })
        .map(|value| value.value)
    }

    pub fn integer(&self, key: &str, problems: &mut Problems) -> Option<i64> {
        self.read(key, problems, |node, shape| {
            let value = node.integer().ok_or(None)?;
            let (least, most) = match shape {
                Shape::Integer { least, most } => (*least, *most),
                Shape::Workers if value == 0 => return Err(Some("a pool has at least one worker")),
                _ => (-1, i64::from(u32::MAX)),
            };
            i64::try_from(value).ok().filter(|value| (least..=most).contains(value)).ok_or(Some("it is out of range"))
        })
        .map(|value| value.value)
    }

    /// An integer whose range in the section fits 32 bits.
    pub fn count(&self, key: &str, problems: &mut Problems) -> Option<u32> {
        self.integer(key, problems).and_then(|value| u32::try_from(value).ok())
    }

    pub fn word<W: Word>(&self, key: &str, problems: &mut Problems) -> Option<W> {
        let node = self.get(key)?;
        let Some(Shape::Word(words)) = self.shape(key) else { return None };
        let RawValue::Text(text) = node.value else {
            node.wrong(self.shape(key)?, None, problems);
            return None;
        };
        let word = W::of(text);
        if word.is_none() {
            let near = problems.guesses.nearest(text, words.iter().copied());
            let help = did_you_mean(near).unwrap_or_else(|| match &**text {
                "scaling" if key == "type" => {
                    "leave `max_workers` out: a pool of any type then scales by itself".to_owned()
                }
                "submodel" => "a submodel is written `[submodels.NAME]`".to_owned(),
                _ => format!("it is {}", list(words.iter().copied())),
            });
            problems
                .error(node.at, format!("{} cannot be {}", quoted(key), quoted(text)))
                .label("unknown word")
                .help(help);
        }
        word
    }

    pub fn texts(&self, key: &str, problems: &mut Problems) -> Option<Vec<At<String>>> {
        self.strings(key, problems)
    }

    pub fn names(&self, key: &str, problems: &mut Problems) -> Option<Vec<At<Name>>> {
        self.strings(key, problems)
    }

    fn strings<T: From<&'t str>>(&self, key: &str, problems: &mut Problems) -> Option<Vec<At<T>>> {
        let node = self.get(key)?;
        let shape = self.shape(key)?;
        let RawValue::List(RawList { items, .. }) = node.value else {
            node.wrong(shape, None, problems);
            return None;
        };
        if items.is_empty() && matches!(shape, Shape::Texts { empty: false }) {
            node.wrong(shape, Some("the list is empty"), problems);
        }
        let mut texts = Vec::with_capacity(items.len());
        for RawItem { value, at } in items {
            match value {
                RawValue::Text(text) => texts.push(At { value: T::from(text), at: *at }),
                other => {
                    let kind = other.type_name();
                    problems
                        .error(*at, format!("{} is a list of strings, and this is {kind}", quoted(key)))
                        .label(kind)
                        .help("put it in quotation marks");
                }
            }
        }
        Some(texts)
    }

    pub fn integers(&self, key: &str, problems: &mut Problems) -> Option<Vec<i32>> {
        self.read(key, problems, |node, shape| {
            let (RawValue::List(RawList { items, .. }), Shape::Integers { least, most }) = (node.value, shape) else {
                return Err(None);
            };
            if items.is_empty() {
                return Err(Some("the list is empty"));
            }
            let number = |value: &RawValue<'_>| value.as_integer().and_then(|value| i32::try_from(value).ok());
            items
                .iter()
                .map(|item| number(&item.value).filter(|value| (*least..=*most).contains(&i64::from(*value))))
                .collect::<Option<_>>()
                .ok_or(Some("one of its items is not such an integer"))
        })
        .map(|value| value.value)
    }

    pub fn environment(&self, key: &str, problems: &mut Problems) -> BTreeMap<String, String> {
        let variables = self.read(key, problems, |node, _| {
            let RawValue::Table(table) = node.value else { return Err(None) };
            let mut variables = BTreeMap::new();
            for RawEntry { key: RawKey { name, .. }, item } in table.entries() {
                let RawValue::Text(value) = &item.value else {
                    return Err(Some("each value is a string"));
                };
                if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                    return Err(Some("a variable's name is not empty and has no `=`; neither part has a null byte"));
                }
                variables.insert(name.to_string(), value.to_string());
            }
            Ok(variables)
        });
        variables.map(|variables| variables.value).unwrap_or_default()
    }

    pub fn item(&self, key: &str, problems: &mut Problems) -> Option<payload::Key> {
        self.read(key, problems, |node, _| match node.value {
            RawValue::Text(_) => node.as_text().map(payload::Key::text),
            _ => i64::try_from(node.integer().ok_or(None)?)
                .map(payload::Key::Position)
                .map_err(|_| Some("it does not fit 64 bits")),
        })
        .map(|value| value.value)
    }

    pub fn port(&self, key: &str, problems: &mut Problems) -> Option<At<PortWord>> {
        self.read(key, problems, |node, _| {
            Ok(PortWord::Value(match node.value {
                RawValue::Bool(value) => Port::Bool(*value),
                // What Python's own None and its two spellings open is one port (pypushflow's RouterActor).
                RawValue::Text(text) => match &**text {
                    "null" | "None" => Port::Null,
                    "true" => Port::Bool(true),
                    "false" => Port::Bool(false),
                    "other" => return Ok(PortWord::Other),
                    text => Port::Text(text.to_owned()),
                },
                _ => {
                    Port::Int(i64::try_from(node.integer().ok_or(None)?).map_err(|_| Some("it does not fit 64 bits"))?)
                }
            }))
        })
    }

    fn shape(&self, key: &str) -> Option<&'static Shape> {
        self.section.key(key).map(|key: &'static Key| &key.shape)
    }

    /// Reads a value; an error without a reason is a wrong type.
    fn read<T>(
        &self,
        key: &str,
        problems: &mut Problems,
        convert: impl FnOnce(&Node<'t>, &Shape) -> Result<T, Option<&'static str>>,
    ) -> Option<At<T>> {
        let (node, shape) = (self.get(key)?, self.shape(key)?);
        match convert(&node, shape) {
            Ok(value) => Some(At { value, at: node.at }),
            Err(reason) => {
                node.wrong(shape, reason, problems);
                None
            }
        }
    }
}

impl<'t> Node<'t> {
    fn new(entry: &'t RawEntry<'t>) -> Self {
        let RawEntry { key, item } = entry;
        Node { key: &key.name, key_at: key.at, value: &item.value, at: item.at, under: None }
    }

    /// It, with what is beneath it.
    fn above(mut self, under: Option<Node<'t>>) -> Self {
        self.under = under.and_then(|under| under.value.as_table());
        self
    }

    /// It as a table of this section.
    pub fn table(&self, section: &'static Section, problems: &mut Problems) -> Option<Table<'t>> {
        let Some(over) = self.value.as_table() else {
            self.wrong(&Shape::Table(section), None, problems);
            return None;
        };
        let at = if self.key_at.source == self.at.source { self.key_at } else { self.at };
        Some(Table { over, under: self.under, at, section })
    }

    /// It as a table that holds, by name, tables of this section.
    pub fn tables(&self, section: &'static Section, problems: &mut Problems) -> Option<Table<'t>> {
        if self.value.as_table().is_none() {
            self.wrong(&Shape::Tables(section), None, problems);
            return None;
        }
        self.table(section, problems)
    }

    /// The tables of a list; a table there has no key, so its place is its own.
    pub fn list(&self, section: &'static Section, problems: &mut Problems) -> Vec<Table<'t>> {
        let RawValue::List(RawList { items, .. }) = self.value else {
            self.wrong(&Shape::List(section), None, problems);
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(items.len());
        for RawItem { value, at } in items {
            match value {
                RawValue::Table(over) => tables.push(Table { over, under: None, at: *at, section }),
                other => {
                    let kind = other.type_name();
                    problems
                        .error(*at, format!("{} wants tables, not {kind}", quoted(self.key)))
                        .label(kind)
                        .help(Shape::List(section).hint());
                }
            }
        }
        tables
    }

    fn as_text(&self) -> Result<&'t str, Option<&'static str>> {
        match self.value {
            RawValue::Text(text) if text.trim().is_empty() => Err(Some("it is empty")),
            RawValue::Text(text) if text.contains('\0') => Err(Some("it has a null byte")),
            RawValue::Text(text) => Ok(text),
            _ => Err(None),
        }
    }

    fn integer(&self) -> Option<i128> {
        self.value.as_integer()
    }

    fn number(&self) -> Option<f64> {
        match self.value {
            RawValue::Float(float) => float.parse().ok(),
            _ => self.integer().map(|value| value as f64),
        }
    }

    /// Reports a wrong type, or a wrong value where a reason is given.
    pub fn wrong(&self, shape: &Shape, reason: Option<&str>, problems: &mut Problems) {
        let kind = self.value.type_name();
        match reason {
            None => problems
                .error(self.at, format!("{} wants {}, not {kind}", quoted(self.key), shape.noun()))
                .label(kind)
                .help(shape.hint()),
            Some(reason) => problems
                .error(self.at, format!("{} is not {}", quoted(self.key), shape.noun()))
                .label(reason)
                .help(shape.hint()),
        };
    }
}
