//! How tables grow while a text is read: TOML has rules for which of them may.

use toml_parser::{ErrorSink, Expected, ParseError};

use super::raw::{Made, RawItem, RawKey, RawList, RawTable, RawValue};
use super::source::Place;

/// What is wrong with a text.
#[derive(Debug)]
pub(super) struct Wrong {
    id: u32,
    length: usize,
    /// What is there a second time.
    pub doubled: Vec<Place>,
    /// What is no TOML.
    pub broken: Vec<(Place, String)>,
}

/// Where a key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// In the head of a table.
    Head,
    /// In a line of its own.
    Line,
    /// In an inline table.
    Inline,
}

/// Adds an entry, at the end of this path of keys. One that is there already stays as it is.
pub(super) fn add<'s>(
    table: &mut RawTable<'s>,
    keys: &[RawKey<'s>],
    item: RawItem<'s>,
    written: Written,
    wrong: &mut Wrong,
) {
    let Some((key, path)) = keys.split_last() else { return };
    let Some(inner) = descend(table, path, written, wrong) else { return };
    // A table with a head of its own gets nothing by dotted keys.
    let headed = !path.is_empty() && matches!(inner.made, Made::Head | Made::Inline);
    if headed || inner.contains(&key.name) {
        wrong.doubled.push(key.at);
    } else {
        inner.push(key.clone(), item);
    }
}

/// The table that a head begins: a new one, or what tables inside it have made of it.
pub(super) fn take<'s>(
    root: &mut RawTable<'s>,
    path: &[RawKey<'s>],
    key: &RawKey<'s>,
    wrong: &mut Wrong,
) -> Option<RawTable<'s>> {
    let old = descend(root, path, Written::Head, wrong)?.remove(&key.name)?;
    let RawValue::Table(mut table) = old.item.value else {
        wrong.doubled.push(key.at);
        return None;
    };
    match table.made {
        Made::Implied => table.made = Made::Head,
        Made::Head | Made::Dotted => {
            wrong.doubled.push(key.at);
            table.made = Made::Head;
        }
        Made::Inline => wrong.doubled.push(key.at),
    }
    Some(table)
}

/// Puts the table of a head where it belongs, alone or as one of a list.
pub(super) fn put<'s>(
    root: &mut RawTable<'s>,
    path: &[RawKey<'s>],
    key: RawKey<'s>,
    item: RawItem<'s>,
    of_list: bool,
    wrong: &mut Wrong,
) {
    let Some(table) = descend(root, path, Written::Head, wrong) else { return };
    if !of_list {
        table.push(key, item);
        return;
    }
    match table.get_mut(&key.name).map(|list| &mut list.value) {
        Some(RawValue::List(list)) if list.of_heads => list.items.push(item),
        Some(_) => wrong.doubled.push(key.at),
        None => {
            let at = item.at;
            let list = RawList { items: vec![item], of_heads: true };
            table.push(key, RawItem { value: RawValue::List(list), at });
        }
    }
}

/// The table that a path of keys leads to; what is not there is made.
fn descend<'t, 's>(
    mut table: &'t mut RawTable<'s>,
    path: &[RawKey<'s>],
    written: Written,
    wrong: &mut Wrong,
) -> Option<&'t mut RawTable<'s>> {
    for key in path {
        let made = if written == Written::Head { Made::Implied } else { Made::Dotted };
        let new = || RawItem { value: RawValue::Table(RawTable::new(made)), at: key.at };
        let kind = match &mut table.get_or_push(key, new).value {
            RawValue::Table(inner) => match (inner.made, written) {
                (Made::Head, Written::Line) | (Made::Inline, Written::Inline) => {
                    wrong.doubled.push(key.at);
                    return None;
                }
                (Made::Inline, _) => "inline table",
                (Made::Implied, Written::Line) => {
                    inner.made = Made::Dotted;
                    table = inner;
                    continue;
                }
                _ => {
                    table = inner;
                    continue;
                }
            },
            RawValue::List(list) if list.of_heads => match list.items.last_mut().map(|item| &mut item.value) {
                Some(RawValue::Table(inner)) => {
                    table = inner;
                    continue;
                }
                _ => "array",
            },
            RawValue::List(_) => "array",
            RawValue::Text(_) => "string",
            RawValue::Integer { .. } => "integer",
            RawValue::Float(_) => "float",
            RawValue::Bool(_) => "boolean",
            RawValue::Datetime(_) => "datetime",
        };
        wrong.broken.push((key.at, format!("cannot extend value of type {kind} with a dotted key")));
        return None;
    }
    Some(table)
}

impl Wrong {
    pub fn new(id: u32, text: &str) -> Self {
        Wrong { id, length: text.len(), doubled: Vec::new(), broken: Vec::new() }
    }
}

impl ErrorSink for Wrong {
    fn report_error(&mut self, error: ParseError) {
        let (start, end) = error.unexpected().map_or((0, 0), |span| (span.start(), span.end()));
        let end = end.min(self.length);
        self.broken.push((Place::new(self.id, start.min(end)..end), message(&error)));
    }
}

/// What is wrong, and what would be right there.
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
