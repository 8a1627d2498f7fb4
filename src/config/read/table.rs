//! Typed access to the tables of a file. Unknown keys, missing keys and wrong types are reported here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::names::Name;
use super::units::{self, UnitError};
use crate::config::diagnostics::problems::Problems;
use crate::config::diagnostics::suggest::{did_you_mean, list, quoted};
use crate::config::schema::keys::{Key, Section, Shape};
use crate::config::toml::source::{Located, Location};
use crate::config::toml::tree::{TomlEntry, TomlItem, TomlKey, TomlList, TomlTable, TomlValue};
use crate::graph::Port;
use crate::payload;

/// A table and its defaults: a second table that has the values of missing keys.
#[derive(Clone, Copy)]
pub(in crate::config) struct Table<'t> {
    own: &'t TomlTable<'t>,
    defaults: Option<&'t TomlTable<'t>>,
    /// Location of its header, for messages about the table as a whole.
    pub at: Location,
    pub section: &'static Section,
}

/// A key and its value.
#[derive(Clone, Copy)]
pub(in crate::config) struct Node<'t> {
    pub key: &'t str,
    pub key_at: Location,
    pub value: &'t TomlValue<'t>,
    pub at: Location,
    defaults: Option<&'t TomlTable<'t>>,
}

/// Why a value cannot be used.
#[derive(Debug)]
pub(in crate::config) enum Mismatch {
    /// It has another type.
    Type,
    /// It has the right type. This text says what is wrong with it.
    Value(Cow<'static, str>),
}

impl From<UnitError> for Mismatch {
    fn from(error: UnitError) -> Self {
        Mismatch::Value(error.to_string().into())
    }
}

/// The port of a link: a value, or all other values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::config) enum PortWord {
    Value(Port),
    Other,
}

impl<'t> Table<'t> {
    /// A whole file and its defaults.
    pub fn root(
        own: &'t TomlTable<'t>,
        source: u32,
        defaults: Option<&'t TomlTable<'t>>,
        section: &'static Section,
    ) -> Self {
        Table { own, defaults, at: Location::new(source, 0..0), section }
    }

    /// The value of a key of this table's section.
    pub fn get(&self, key: &str) -> Option<Node<'t>> {
        debug_assert!(self.section.key(key).is_some(), "{key} is no key of {}", self.section.title);
        self.peek(key)
    }

    /// The value of a key, which the section need not have.
    pub fn peek(&self, key: &str) -> Option<Node<'t>> {
        let defaults = self.defaults.and_then(|table| table.get(key)).map(Node::new);
        match self.own.get(key) {
            Some(entry) => Some(Node::new(entry).with_defaults(defaults)),
            None => defaults,
        }
    }

    /// Whether the table itself has the key, not only its defaults.
    pub fn has(&self, key: &str) -> bool {
        self.own.contains(key)
    }

    /// All entries: those of the table itself, then the defaults of missing keys.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'t>> + use<'t> {
        let Table { own, defaults, .. } = *self;
        let defaults = defaults.into_iter();
        let beneath = defaults.clone().flat_map(TomlTable::entries).filter(move |entry| !own.contains(&entry.key.name));
        let above = own.entries().iter().map(move |entry| {
            let defaults = defaults.clone().find_map(|table| table.get(&entry.key.name));
            Node::new(entry).with_defaults(defaults.map(Node::new))
        });
        above.chain(beneath.map(Node::new))
    }

    /// Reports unknown keys and missing required keys.
    pub fn check_keys(&self, problems: &mut Problems) {
        self.check_unknown(problems, |_, _| false);
        self.check_required(problems);
    }

    /// Reports unknown keys. If `explain` returns true, it has reported the key itself.
    pub fn check_unknown(&self, problems: &mut Problems, mut explain: impl FnMut(&mut Problems, Node<'_>) -> bool) {
        for node in self.own.entries().iter().map(Node::new) {
            if self.section.key(node.key).is_some() || explain(problems, node) {
                continue;
            }
            let near = problems.suggestions.nearest(node.key, self.section.keys().map(|key| key.name));
            let help = did_you_mean(near)
                .unwrap_or_else(|| format!("known keys: {}", list(self.section.keys().map(|key| key.name))));
            problems
                .error(node.key_at, format!("unknown key {} in {}", quoted(node.key), self.section.title))
                .label("unknown key")
                .help(help);
        }
    }

    /// Reports missing required keys.
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

    pub fn text(&self, key: &str, problems: &mut Problems) -> Option<Located<String>> {
        self.read(key, problems, |node, _| node.as_text().map(str::to_owned))
    }

    pub fn name(&self, key: &str, problems: &mut Problems) -> Option<Located<Name>> {
        self.read(key, problems, |node, _| node.as_text().map(Name::new))
    }

    pub fn bool(&self, key: &str, problems: &mut Problems) -> Option<bool> {
        self.read(key, problems, |node, _| match node.value {
            TomlValue::Bool(value) => Ok(*value),
            _ => Err(Mismatch::Type),
        })
        .map(|value| value.value)
    }

    pub fn duration(&self, key: &str, problems: &mut Problems) -> Option<Duration> {
        self.read(key, problems, |node, shape| {
            let duration = match node.value {
                TomlValue::Text(text) => units::duration(text),
                _ => units::seconds(node.number().ok_or(Mismatch::Type)?),
            };
            match (duration, shape) {
                (Ok(Duration::ZERO), Shape::Duration { zero: false }) => {
                    Err(Mismatch::Value("must be longer than zero".into()))
                }
                (duration, _) => duration.map_err(Mismatch::from),
            }
        })
        .map(|value| value.value)
    }

    pub fn size(&self, key: &str, problems: &mut Problems) -> Option<u64> {
        self.read(key, problems, |node, _| match node.value {
            TomlValue::Text(text) => units::size(text).map_err(Mismatch::from),
            _ => u64::try_from(node.integer().ok_or(Mismatch::Type)?)
                .map_err(|_| Mismatch::Value("must not be negative".into())),
        })
        .map(|value| value.value)
    }

    pub fn cpus(&self, key: &str, problems: &mut Problems) -> Option<f64> {
        self.read(key, problems, |node, _| {
            let cpus = match node.value {
                TomlValue::Text(text) => units::percent_of_cpus(text).map_err(Mismatch::from)?,
                _ => node.number().ok_or(Mismatch::Type)?,
            };
            if (0.001..=1e6).contains(&cpus) {
                Ok(cpus)
            } else {
                Err(Mismatch::Value("must be between 0.001 and 1000000".into()))
            }
        })
        .map(|value| value.value)
    }

    pub fn integer(&self, key: &str, problems: &mut Problems) -> Option<i64> {
        self.read(key, problems, |node, shape| {
            let value = node.integer().ok_or(Mismatch::Type)?;
            let (least, most) = match shape {
                Shape::Integer { least, most } => (*least, *most),
                Shape::Workers if value == 0 => return Err(Mismatch::Value("a pool needs at least one worker".into())),
                _ => (-1, i64::from(u32::MAX)),
            };
            i64::try_from(value)
                .ok()
                .filter(|value| (least..=most).contains(value))
                .ok_or(Mismatch::Value("out of range".into()))
        })
        .map(|value| value.value)
    }

    /// An integer whose range, as given by the section, fits 32 bits.
    pub fn count(&self, key: &str, problems: &mut Problems) -> Option<u32> {
        self.integer(key, problems).and_then(|value| u32::try_from(value).ok())
    }

    pub fn word<W: FromStr>(&self, key: &str, problems: &mut Problems) -> Option<W> {
        let node = self.get(key)?;
        let Some(Shape::Word(words)) = self.shape(key) else { return None };
        let TomlValue::Text(text) = node.value else {
            node.report(self.shape(key)?, Mismatch::Type, problems);
            return None;
        };
        let word = W::from_str(text).ok();
        if word.is_none() {
            let near = problems.suggestions.nearest(text, words.iter().copied());
            let help = did_you_mean(near).unwrap_or_else(|| match &**text {
                "scaling" if key == "type" => {
                    "leave out `max_workers`: then a pool of any type scales automatically".to_owned()
                }
                "submodel" => "write submodels as `[submodels.NAME]`".to_owned(),
                _ => format!("valid values: {}", list(words.iter().copied())),
            });
            problems
                .error(node.at, format!("invalid value {} for {}", quoted(text), quoted(key)))
                .label("unknown value")
                .help(help);
        }
        word
    }

    pub fn texts(&self, key: &str, problems: &mut Problems) -> Option<Vec<Located<String>>> {
        self.strings(key, problems)
    }

    pub fn names(&self, key: &str, problems: &mut Problems) -> Option<Vec<Located<Name>>> {
        self.strings(key, problems)
    }

    fn strings<T: From<&'t str>>(&self, key: &str, problems: &mut Problems) -> Option<Vec<Located<T>>> {
        let node = self.get(key)?;
        let shape = self.shape(key)?;
        let TomlValue::List(TomlList { items, .. }) = node.value else {
            node.report(shape, Mismatch::Type, problems);
            return None;
        };
        if items.is_empty() && matches!(shape, Shape::Texts { empty: false }) {
            node.report(shape, Mismatch::Value("the list is empty".into()), problems);
        }
        let mut texts = Vec::with_capacity(items.len());
        for TomlItem { value, at } in items {
            match value {
                TomlValue::Text(text) => texts.push(Located { value: T::from(text), at: *at }),
                other => {
                    let kind = other.type_name();
                    problems
                        .error(*at, format!("{} must be a list of strings, but this is {kind}", quoted(key)))
                        .label(kind)
                        .help("write it in quotation marks");
                }
            }
        }
        Some(texts)
    }

    pub fn integers(&self, key: &str, problems: &mut Problems) -> Option<Vec<i32>> {
        self.read(key, problems, |node, shape| {
            let (TomlValue::List(TomlList { items, .. }), Shape::Integers { least, most }) = (node.value, shape) else {
                return Err(Mismatch::Type);
            };
            if items.is_empty() {
                return Err(Mismatch::Value("the list is empty".into()));
            }
            let number = |value: &TomlValue<'_>| value.as_integer().and_then(|value| i32::try_from(value).ok());
            items
                .iter()
                .map(|item| number(&item.value).filter(|value| (*least..=*most).contains(&i64::from(*value))))
                .collect::<Option<_>>()
                .ok_or(Mismatch::Value("an item is not such an integer".into()))
        })
        .map(|value| value.value)
    }

    pub fn environment(&self, key: &str, problems: &mut Problems) -> BTreeMap<String, String> {
        let variables = self.read(key, problems, |node, _| {
            let TomlValue::Table(table) = node.value else { return Err(Mismatch::Type) };
            let mut variables = BTreeMap::new();
            for TomlEntry { key: TomlKey { name, .. }, item } in table.entries() {
                let TomlValue::Text(value) = &item.value else {
                    return Err(Mismatch::Value("all values must be strings".into()));
                };
                if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                    return Err(Mismatch::Value(
                        "names must not be empty or contain `=`; names and values must not contain null bytes".into(),
                    ));
                }
                variables.insert(name.to_string(), value.to_string());
            }
            Ok(variables)
        });
        variables.map(|variables| variables.value).unwrap_or_default()
    }

    pub fn item(&self, key: &str, problems: &mut Problems) -> Option<payload::Key> {
        self.read(key, problems, |node, _| match node.value {
            TomlValue::Text(_) => node.as_text().map(payload::Key::text),
            _ => i64::try_from(node.integer().ok_or(Mismatch::Type)?)
                .map(payload::Key::Position)
                .map_err(|_| Mismatch::Value("does not fit 64 bits".into())),
        })
        .map(|value| value.value)
    }

    pub fn port(&self, key: &str, problems: &mut Problems) -> Option<Located<PortWord>> {
        self.read(key, problems, |node, _| {
            Ok(PortWord::Value(match node.value {
                TomlValue::Bool(value) => Port::Bool(*value),
                // pypushflow's RouterActor treats None, "null" and "None" as one port, and likewise booleans and their names.
                TomlValue::Text(text) => match &**text {
                    "null" | "None" => Port::Null,
                    "true" => Port::Bool(true),
                    "false" => Port::Bool(false),
                    "other" => return Ok(PortWord::Other),
                    text => Port::Text(text.to_owned()),
                },
                _ => Port::Int(
                    i64::try_from(node.integer().ok_or(Mismatch::Type)?)
                        .map_err(|_| Mismatch::Value("does not fit 64 bits".into()))?,
                ),
            }))
        })
    }

    fn shape(&self, key: &str) -> Option<&'static Shape> {
        self.section.key(key).map(|key: &'static Key| &key.shape)
    }

    /// Reads a value, or reports why it is wrong.
    fn read<T>(
        &self,
        key: &str,
        problems: &mut Problems,
        convert: impl FnOnce(&Node<'t>, &Shape) -> Result<T, Mismatch>,
    ) -> Option<Located<T>> {
        let (node, shape) = (self.get(key)?, self.shape(key)?);
        match convert(&node, shape) {
            Ok(value) => Some(Located { value, at: node.at }),
            Err(mismatch) => {
                node.report(shape, mismatch, problems);
                None
            }
        }
    }
}

impl<'t> Node<'t> {
    fn new(entry: &'t TomlEntry<'t>) -> Self {
        let TomlEntry { key, item } = entry;
        Node { key: &key.name, key_at: key.at, value: &item.value, at: item.at, defaults: None }
    }

    /// Adds the default for this key.
    fn with_defaults(mut self, defaults: Option<Node<'t>>) -> Self {
        self.defaults = defaults.and_then(|node| node.value.as_table());
        self
    }

    /// The value as a table of this section.
    pub fn table(&self, section: &'static Section, problems: &mut Problems) -> Option<Table<'t>> {
        let Some(own) = self.value.as_table() else {
            self.report(&Shape::Table(section), Mismatch::Type, problems);
            return None;
        };
        let at = if self.key_at.source == self.at.source { self.key_at } else { self.at };
        Some(Table { own, defaults: self.defaults, at, section })
    }

    /// The value as a table of named tables of this section.
    pub fn tables(&self, section: &'static Section, problems: &mut Problems) -> Option<Table<'t>> {
        if self.value.as_table().is_none() {
            self.report(&Shape::Tables(section), Mismatch::Type, problems);
            return None;
        }
        self.table(section, problems)
    }

    /// The value as a list of tables of this section. They have no key, so each is located by itself.
    pub fn list(&self, section: &'static Section, problems: &mut Problems) -> Vec<Table<'t>> {
        let TomlValue::List(TomlList { items, .. }) = self.value else {
            self.report(&Shape::List(section), Mismatch::Type, problems);
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(items.len());
        for TomlItem { value, at } in items {
            match value {
                TomlValue::Table(own) => tables.push(Table { own, defaults: None, at: *at, section }),
                other => {
                    let kind = other.type_name();
                    problems
                        .error(*at, format!("{} must be a list of tables, but this is {kind}", quoted(self.key)))
                        .label(kind)
                        .help(Shape::List(section).hint());
                }
            }
        }
        tables
    }

    fn as_text(&self) -> Result<&'t str, Mismatch> {
        match self.value {
            TomlValue::Text(text) if text.trim().is_empty() => Err(Mismatch::Value("must not be empty".into())),
            TomlValue::Text(text) if text.contains('\0') => Err(Mismatch::Value("must not contain a null byte".into())),
            TomlValue::Text(text) => Ok(text),
            _ => Err(Mismatch::Type),
        }
    }

    fn integer(&self) -> Option<i128> {
        self.value.as_integer()
    }

    fn number(&self) -> Option<f64> {
        match self.value {
            TomlValue::Float(float) => float.parse().ok(),
            _ => self.integer().map(|value| value as f64),
        }
    }

    /// Reports a wrong type or a wrong value.
    pub fn report(&self, shape: &Shape, mismatch: Mismatch, problems: &mut Problems) {
        let kind = self.value.type_name();
        let (message, label) = match mismatch {
            Mismatch::Type => (format!("{} must be {}, not {kind}", quoted(self.key), shape.noun()), kind.into()),
            Mismatch::Value(reason) => (format!("{} must be {}", quoted(self.key), shape.noun()), reason),
        };
        problems.error(self.at, message).label(label).help(shape.hint());
    }
}
