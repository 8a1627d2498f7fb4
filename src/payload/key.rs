//! Keys of a payload: names of keyword arguments, or positions.

use std::fmt;
use std::sync::Arc;

/// So many positional arguments a task can have (`MOST_POSITIONS` in `src/worker/python/tasks.py`).
const MOST_POSITIONS: i64 = 1_000_000;

/// A key: a string becomes a keyword argument of `run`, an integer a positional one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A position.
    Position(i64),
    /// A name.
    Text(Arc<str>),
}

impl Key {
    /// A name.
    pub fn text(name: &str) -> Self {
        Key::Text(name.into())
    }

    /// A key as it is written where all keys are text (JSON, TOML, D-Bus, the command line): a position is written as it is
    /// printed (0, 1, 12). Everything else is a name: `007`, `+1`, and dates and numbers of samples like 20240101, which are
    /// no positions that a call can have.
    pub fn from_written(text: &str) -> Self {
        let canonical = text == "0" || !text.starts_with('0');
        match text.parse() {
            Ok(position @ ..MOST_POSITIONS) if canonical && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Key::Position(position)
            }
            _ => Key::text(text),
        }
    }
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Key::text(name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Position(position) => position.fmt(f),
            Key::Text(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_written_as_it_is_printed_and_all_else_is_a_name() {
        for (text, position) in [("0", 0), ("1", 1), ("12", 12), ("999999", 999_999)] {
            assert_eq!(Key::from_written(text), Key::Position(position));
        }
        for text in [
            "00", "007", "0001", "01", "+1", "-1", " 1", "1 ", "1.0", "1e3", "1_0", "", "\u{661}", "1000000",
            "20240101",
        ] {
            assert_eq!(Key::from_written(text), Key::text(text));
        }
        assert_eq!(Key::from_written("99999999999999999999"), Key::text("99999999999999999999"));
    }
}
