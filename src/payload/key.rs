//! Keys of a payload: names of keyword arguments, or positions.

use std::fmt;
use std::sync::Arc;

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

    /// A key as it is written where all keys are text (JSON, TOML, the command line): digits alone are a position.
    pub fn from_written(text: &str) -> Self {
        match text.parse() {
            Ok(position) if text.bytes().all(|byte| byte.is_ascii_digit()) => Key::Position(position),
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
