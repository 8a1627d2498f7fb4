//! Reads `[inputs]`: TOML values become Python values.

use toml_datetime::{Date, Datetime, Offset, Time};

use super::table::{Mismatch, Node};
use crate::config::diagnostics::problems::Problems;
use crate::config::diagnostics::suggest::quoted;
use crate::config::schema::keys::Shape;
use crate::config::toml::source::Location;
use crate::config::toml::tree::{TomlEntry, TomlItem, TomlTable, TomlValue};
use crate::payload::{Key, Payload, Plain};

/// The inputs of a file, in the order of the file.
pub(in crate::config) fn inputs(node: Node<'_>, problems: &mut Problems) -> Payload {
    let TomlValue::Table(table) = node.value else {
        node.report(&Shape::Values, Mismatch::Type, problems);
        return Payload::new();
    };
    let mut payload = Payload::new();
    let mut converter = Converter { problems };
    for TomlEntry { key, item } in table.entries() {
        if let Some(plain) = converter.value(item, 0) {
            payload.insert(Key::from_written(&key.name), plain.to_value());
        }
    }
    payload
}

struct Converter<'p> {
    problems: &'p mut Problems,
}

impl Converter<'_> {
    fn value(&mut self, item: &TomlItem<'_>, depth: usize) -> Option<Plain> {
        let at = item.at;
        if depth > 100 {
            self.problems.error(at, "an input is nested too deeply").label("more than 100 levels");
            return None;
        }
        Some(match &item.value {
            TomlValue::Bool(value) => Plain::Bool(*value),
            TomlValue::Text(text) => Plain::Text(text.to_string()),
            TomlValue::Float(float) => Plain::Float(float.parse().ok()?),
            TomlValue::Integer { .. } => match item.value.as_integer() {
                Some(value) => Plain::from(value),
                None => {
                    self.problems
                        .error(at, "an integer does not fit 128 bits")
                        .label("too large")
                        .help("write it as a string, and convert it in the task");
                    return None;
                }
            },
            TomlValue::Datetime(moment) => match python_moment(moment) {
                Ok(plain) => plain,
                Err(reason) => {
                    self.problems.error(at, "Python has no such date or time").label(reason);
                    return None;
                }
            },
            TomlValue::List(list) => {
                Plain::List(list.items.iter().filter_map(|item| self.value(item, depth + 1)).collect())
            }
            TomlValue::Table(table) => self.table(table, at, depth)?,
        })
    }

    fn table(&mut self, table: &TomlTable<'_>, at: Location, depth: usize) -> Option<Plain> {
        if let Some(none) = table.get("$none") {
            if table.entries().len() == 1 && matches!(none.item.value, TomlValue::Bool(true)) {
                return Some(Plain::None);
            }
            self.problems
                .error(at, format!("{} must be the only key of its table, with the value true", quoted("$none")))
                .label("neither None nor a dictionary")
                .help("write None as `{ \"$none\" = true }`");
            return None;
        }
        let mut entries = Vec::with_capacity(table.entries().len());
        for TomlEntry { key, item } in table.entries() {
            if let Some(value) = self.value(item, depth + 1) {
                entries.push((Plain::Text(key.name.to_string()), value));
            }
        }
        Some(Plain::Dict(entries))
    }
}

/// A call of a class of Python's module `datetime`.
fn datetime(class: &str, arguments: Vec<Plain>) -> Plain {
    Plain::Call("datetime".to_owned(), class.to_owned(), arguments)
}

/// An instance of `datetime.datetime`, `date` or `time`. They have microseconds, years from 1 on, and no leap seconds.
fn python_moment(moment: &Datetime) -> Result<Plain, &'static str> {
    let mut arguments = Vec::new();
    if let Some(Date { year, month, day }) = moment.date {
        if year == 0 {
            return Err("Python has no year 0");
        }
        arguments.extend([i128::from(year), month.into(), day.into()]);
    }
    if let Some(Time { hour, minute, second, nanosecond, .. }) = moment.time {
        let second = second.unwrap_or(0);
        if second > 59 {
            return Err("Python has no leap second");
        }
        let microsecond = nanosecond.unwrap_or(0) / 1000;
        arguments.extend([hour.into(), minute.into(), second.into(), i128::from(microsecond)]);
    }
    let mut arguments: Vec<Plain> = arguments.into_iter().map(Plain::from).collect();
    if let Some(offset) = moment.offset {
        let minutes = match offset {
            Offset::Z => 0,
            Offset::Custom { minutes } => i128::from(minutes),
        };
        let delta = datetime("timedelta", vec![Plain::Int(0), Plain::from(minutes * 60)]);
        arguments.push(datetime("timezone", vec![delta]));
    }
    let class = match (moment.date, moment.time) {
        (Some(_), Some(_)) => "datetime",
        (Some(_), None) => "date",
        _ => "time",
    };
    Ok(datetime(class, arguments))
}
