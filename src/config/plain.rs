//! TOML values as Python values: what `[inputs]` holds.

use toml_datetime::{Date, Datetime, Offset, Time};

use super::diagnostics::Problems;
use super::raw::{RawEntry, RawItem, RawTable, RawValue};
use super::source::Place;
use super::suggest::quoted;
use super::table::Node;
use crate::payload::{Key, Payload, Plain};

/// The inputs of a file, in its order.
pub(super) fn inputs(node: Node<'_>, problems: &mut Problems) -> Payload {
    let RawValue::Table(table) = node.value else {
        node.wrong(&super::keys::Shape::Values, None, problems);
        return Payload::new();
    };
    let mut payload = Payload::new();
    let mut reader = Reader { problems };
    for RawEntry { key, item } in table.entries() {
        if let Some(plain) = reader.read(item, 0) {
            payload.insert(Key::from_written(&key.name), plain.to_value());
        }
    }
    payload
}

struct Reader<'p> {
    problems: &'p mut Problems,
}

impl Reader<'_> {
    fn read(&mut self, item: &RawItem<'_>, depth: usize) -> Option<Plain> {
        let at = item.at;
        if depth > 100 {
            self.problems.error(at, "an input is nested too deeply").label("the hundredth level");
            return None;
        }
        Some(match &item.value {
            RawValue::Bool(value) => Plain::Bool(*value),
            RawValue::Text(text) => Plain::Text(text.to_string()),
            RawValue::Float(float) => Plain::Float(float.parse().ok()?),
            RawValue::Integer { .. } => match item.value.as_integer() {
                Some(value) => Plain::from(value),
                None => {
                    self.problems
                        .error(at, "an integer does not fit 128 bits")
                        .label("too long")
                        .help("write it as a string, and let the task make a number of it");
                    return None;
                }
            },
            RawValue::Datetime(moment) => match python_moment(moment) {
                Ok(plain) => plain,
                Err(reason) => {
                    self.problems.error(at, "Python has no such date or time").label(reason);
                    return None;
                }
            },
            RawValue::List(list) => {
                Plain::List(list.items.iter().filter_map(|item| self.read(item, depth + 1)).collect())
            }
            RawValue::Table(table) => self.table(table, at, depth)?,
        })
    }

    fn table(&mut self, table: &RawTable<'_>, at: Place, depth: usize) -> Option<Plain> {
        if let Some(none) = table.get("$none") {
            if table.entries().len() == 1 && matches!(none.item.value, RawValue::Bool(true)) {
                return Some(Plain::None);
            }
            self.problems
                .error(at, format!("{} is only for None, and alone", quoted("$none")))
                .label("not None, and not a dictionary")
                .help("None is `{ \"$none\" = true }`");
            return None;
        }
        let mut entries = Vec::with_capacity(table.entries().len());
        for RawEntry { key, item } in table.entries() {
            if let Some(value) = self.read(item, depth + 1) {
                entries.push((Plain::Text(key.name.to_string()), value));
            }
        }
        Some(Plain::Dict(entries))
    }
}

/// A class of Python's `datetime`, called.
fn datetime(class: &str, arguments: Vec<Plain>) -> Plain {
    Plain::Call("datetime".to_owned(), class.to_owned(), arguments)
}

/// `datetime.datetime`, `date` or `time`, which count microseconds, from year 1, and know no leap second.
fn python_moment(moment: &Datetime) -> Result<Plain, &'static str> {
    let mut arguments = Vec::new();
    if let Some(Date { year, month, day }) = moment.date {
        if year == 0 {
            return Err("Python's years begin with 1");
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
