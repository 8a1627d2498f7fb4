//! Output of services, for people and as JSON.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Map, Value as Json, json};
use zbus::Variant;

use super::proxies::Properties;
use crate::cli::{Failure, cannot_write};
use crate::text as safe;

/// The properties whose text is JSON.
const JSON_TEXTS: [&str; 4] = ["Inputs", "Outputs", "Error", "Graph"];

/// Properties as a JSON object. Texts that are JSON are parsed.
pub(super) fn to_json(properties: &Properties) -> Map<String, Json> {
    let value = |name: &str, value: &Variant<'_>| match value {
        Variant::Str(text) if JSON_TEXTS.contains(&name) => serde_json::from_str(text.as_str()).unwrap_or(Json::Null),
        value => json_of(value),
    };
    properties.iter().map(|(name, found)| (name.clone(), value(name, found))).collect()
}

fn json_of(value: &Variant<'_>) -> Json {
    match value {
        Variant::Bool(value) => json!(value),
        Variant::U8(value) => json!(value),
        Variant::I16(value) => json!(value),
        Variant::U16(value) => json!(value),
        Variant::I32(value) => json!(value),
        Variant::U32(value) => json!(value),
        Variant::I64(value) => json!(value),
        Variant::U64(value) => json!(value),
        Variant::F64(value) => json!(value),
        Variant::Str(value) => json!(value.as_str()),
        Variant::ObjectPath(value) => json!(value.as_str()),
        Variant::Variant(inner) => json_of(inner),
        Variant::Array(items) => items.inner().iter().map(json_of).collect(),
        Variant::Structure(fields) => fields.fields().iter().map(json_of).collect(),
        _ => Json::Null,
    }
}

pub(super) fn text<'a>(properties: &'a Properties, name: &str) -> &'a str {
    match properties.get(name).map(|value| &**value) {
        Some(Variant::Str(text)) => text.as_str(),
        _ => "",
    }
}

pub(super) fn number(properties: &Properties, name: &str) -> Option<u64> {
    match properties.get(name).map(|value| &**value)? {
        Variant::U64(value) => Some(*value),
        Variant::U32(value) => Some((*value).into()),
        _ => None,
    }
}

/// Prints lines under a heading, in columns on a terminal and elsewhere.
pub(in crate::cli) fn print_table(heading: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(heading.iter().map(|word| word.to_uppercase()));
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| safe::short(cell, safe::CELL))));
    let lines: Vec<String> =
        table.lines().map(|line| line.trim_end().strip_prefix(' ').unwrap_or_default().to_owned()).collect();
    print(&lines.join("\n"))
}

/// Prints a text for people, of one or several lines, and the end of the last one.
pub(in crate::cli) fn print(text: &str) -> Result<(), Failure> {
    put(&safe::lines(text))
}

/// Prints JSON for programs.
pub(in crate::cli) fn print_json(json: &Json) -> Result<(), Failure> {
    print_json_text(&json.to_string())
}

/// The same for a JSON text.
pub(in crate::cli) fn print_json_text(json: &str) -> Result<(), Failure> {
    put(&safe::json(json))
}

fn put(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(cannot_write)
}
