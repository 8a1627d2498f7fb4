//! TOML's rules for tables: which table a header or a dotted key leads to, and which tables may be extended.
//!
//! A duplicate is reported and left out: the first definition stays as it is.

use toml_parser::{ErrorSink, Expected, ParseError};

use super::source::Location;
use super::tree::{Definition, TomlItem, TomlKey, TomlList, TomlTable, TomlValue};

/// What is wrong with a text.
#[derive(Debug)]
pub(in crate::config) struct SyntaxErrors {
    id: u32,
    length: usize,
    /// Keys that are defined a second time.
    pub duplicates: Vec<Location>,
    /// Text that is not valid TOML.
    pub broken: Vec<(Location, String)>,
}

/// Where a key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyPosition {
    /// In the header of a table.
    Header,
    /// In a line of its own.
    Line,
    /// In an inline table.
    Inline,
}

/// The table that a header opens.
#[derive(Debug)]
pub(super) enum Opened<'s> {
    /// A new table, or one that so far was only implied by the tables inside it.
    Table(TomlTable<'s>),
    /// The table is already defined. What is written below the header is dropped.
    Duplicate,
}

/// Inserts an entry at the end of a path of keys. A key that exists keeps its value.
pub(super) fn insert<'s>(
    table: &mut TomlTable<'s>,
    keys: &[TomlKey<'s>],
    item: TomlItem<'s>,
    position: KeyPosition,
    errors: &mut SyntaxErrors,
) {
    let Some((key, path)) = keys.split_last() else { return };
    let Some(inner) = descend(table, path, position, errors) else { return };
    // Dotted keys cannot extend a table that has its own header.
    let complete = !path.is_empty() && matches!(inner.definition, Definition::Header | Definition::Inline);
    if complete || inner.contains(&key.name) {
        errors.duplicates.push(key.at);
    } else {
        inner.push(key.clone(), item);
    }
}

/// Opens the table of a `[header]`. An implied table is taken out of the tree until [`attach`] puts it back.
pub(super) fn open<'s>(
    root: &mut TomlTable<'s>,
    path: &[TomlKey<'s>],
    key: &TomlKey<'s>,
    errors: &mut SyntaxErrors,
) -> Opened<'s> {
    let new = || Opened::Table(TomlTable::new(Definition::Header));
    let Some(parent) = descend(root, path, KeyPosition::Header, errors) else { return new() };
    match parent.get(&key.name).map(|entry| &entry.item.value) {
        None => return new(),
        Some(TomlValue::Table(table)) if table.definition == Definition::Implicit => {}
        Some(_) => {
            errors.duplicates.push(key.at);
            return Opened::Duplicate;
        }
    }
    match parent.remove(&key.name).map(|entry| entry.item.value) {
        Some(TomlValue::Table(mut table)) => {
            table.definition = Definition::Header;
            Opened::Table(table)
        }
        _ => new(),
    }
}

/// Puts the table of a header into its parent: as a value, or as the next item of a list.
pub(super) fn attach<'s>(
    root: &mut TomlTable<'s>,
    path: &[TomlKey<'s>],
    key: TomlKey<'s>,
    item: TomlItem<'s>,
    in_list: bool,
    errors: &mut SyntaxErrors,
) {
    let Some(table) = descend(root, path, KeyPosition::Header, errors) else { return };
    if !in_list {
        table.push(key, item);
        return;
    }
    match table.get_mut(&key.name).map(|list| &mut list.value) {
        Some(TomlValue::List(list)) if list.from_headers => list.items.push(item),
        Some(_) => errors.duplicates.push(key.at),
        None => {
            let at = item.at;
            let list = TomlList { items: vec![item], from_headers: true };
            table.push(key, TomlItem { value: TomlValue::List(list), at });
        }
    }
}

/// The table that a path of keys leads to. Missing tables are added.
fn descend<'t, 's>(
    mut table: &'t mut TomlTable<'s>,
    path: &[TomlKey<'s>],
    position: KeyPosition,
    errors: &mut SyntaxErrors,
) -> Option<&'t mut TomlTable<'s>> {
    for key in path {
        let definition = if position == KeyPosition::Header { Definition::Implicit } else { Definition::Dotted };
        let new = || TomlItem { value: TomlValue::Table(TomlTable::new(definition)), at: key.at };
        let kind = match &mut table.get_or_push(key, new).value {
            TomlValue::Table(inner) => match (inner.definition, position) {
                (Definition::Header, KeyPosition::Line) | (Definition::Inline, KeyPosition::Inline) => {
                    errors.duplicates.push(key.at);
                    return None;
                }
                (Definition::Inline, _) => "inline table",
                (Definition::Implicit, KeyPosition::Line) => {
                    inner.definition = Definition::Dotted;
                    table = inner;
                    continue;
                }
                _ => {
                    table = inner;
                    continue;
                }
            },
            TomlValue::List(list) if list.from_headers => match list.items.last_mut().map(|item| &mut item.value) {
                Some(TomlValue::Table(inner)) => {
                    table = inner;
                    continue;
                }
                _ => "array",
            },
            TomlValue::List(_) => "array",
            TomlValue::Text(_) => "string",
            TomlValue::Integer { .. } => "integer",
            TomlValue::Float(_) => "float",
            TomlValue::Bool(_) => "boolean",
            TomlValue::Datetime(_) => "datetime",
        };
        errors.broken.push((key.at, format!("cannot extend value of type {kind} with a dotted key")));
        return None;
    }
    Some(table)
}

impl SyntaxErrors {
    pub fn new(id: u32, text: &str) -> Self {
        SyntaxErrors { id, length: text.len(), duplicates: Vec::new(), broken: Vec::new() }
    }
}

impl ErrorSink for SyntaxErrors {
    fn report_error(&mut self, error: ParseError) {
        let (start, end) = error.unexpected().map_or((0, 0), |span| (span.start(), span.end()));
        let end = end.min(self.length);
        self.broken.push((Location::new(self.id, start.min(end)..end), message(&error)));
    }
}

/// The description of an error and what the grammar expects instead.
fn message(error: &ParseError) -> String {
    let expected = error.expected().unwrap_or_default().iter().map(|expected| match expected {
        Expected::Literal("\n") => "newline".to_owned(),
        Expected::Literal("`") => "'`'".to_owned(),
        Expected::Literal(text) => format!("`{text}`"),
        Expected::Description(text) => (*text).to_owned(),
        _ => "something else".to_owned(),
    });
    let expected: Vec<String> = expected.collect();
    match &expected[..] {
        [] => error.description().to_owned(),
        expected => format!("{}, expected {}", error.description(), expected.join(", ")),
    }
}
