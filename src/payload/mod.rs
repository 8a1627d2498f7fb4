//! The data that flows along links: keys to Python values, each value its own pickle, opaque to Rust.
//!
//! A merge or a join moves handles, never bytes. What Rust must know of it (a router's item, output as
//! JSON) it decodes as JSON ([`to_json`]), or reads from the [`RoutingValue`] that the worker sent with it.

mod decoded;
mod exception;
mod json;
mod key;
mod limits;
mod pickle;
mod plain;
#[cfg(test)]
mod property_tests;
mod repr;
mod text;
mod value;

pub use exception::{ERROR_INSTANCE_KEY, ERROR_KEY, ErrorClass, PythonError};
pub use json::{JsonObject, json_text, to_json};
pub use key::Key;
pub use limits::MOST_DIGITS;
pub use plain::{Plain, payload_from_json};
pub use repr::builtin_repr;
pub use value::{Chunk, MemoryFile, RoutingValue, Value};

use std::sync::Arc;

use indexmap::IndexMap;

/// A map of keys to values, in Python's order: a key keeps the place where it was first put. Cloning copies no data.
#[derive(Debug, Clone, Default)]
pub struct Payload(Arc<IndexMap<Key, Value>>);

impl Payload {
    /// A payload without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value under a key.
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.0.get(key)
    }

    /// The value under a key as it is written where all keys are text: a canonical integer may be a position or a name.
    pub fn get_written(&self, key: &str) -> Option<&Value> {
        let position = || key.parse().ok().map(Key::Position).filter(|position| position.to_string() == key);
        self.get(&Key::from_written(key)).or_else(|| self.get(&Key::text(key))).or_else(|| self.get(&position()?))
    }

    /// The values under keys as JSON has them: text, each different. A name that is written like a position that is there
    /// too gets Python's quotes.
    pub fn written(&self) -> impl Iterator<Item = (String, &Value)> {
        self.iter().map(|(key, value)| {
            let position = |name: &str| Some(Key::from_written(name)).filter(|key| matches!(key, Key::Position(_)));
            let written = match key {
                Key::Text(name) if position(name).is_some_and(|key| self.get(&key).is_some()) => format!("'{name}'"),
                key => key.to_string(),
            };
            (written, value)
        })
    }

    /// Puts a value under a key, replacing what was there.
    pub fn insert(&mut self, key: Key, value: Value) {
        Arc::make_mut(&mut self.0).insert(key, value);
    }

    /// `{**self, **other}`.
    pub fn merge(&mut self, other: &Payload) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = other.clone();
            return;
        }
        let map = Arc::make_mut(&mut self.0);
        for (key, value) in other.iter() {
            map.insert(key.clone(), value.clone());
        }
    }

    /// The keys and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Value)> {
        self.0.iter()
    }

    /// The memory files of its buffers, in order.
    pub fn memory(&self) -> impl Iterator<Item = &MemoryFile> {
        self.iter().flat_map(|(_, value)| value.buffers()).filter_map(Chunk::memory)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it carries an error: `WorkflowException` is there and true, as pypushflow's stop actor asks.
    pub fn is_error(&self) -> bool {
        self.get(&Key::text(ERROR_KEY)).is_some_and(|value| value.routing_value().is_true())
    }
}

impl FromIterator<(Key, Value)> for Payload {
    fn from_iter<I: IntoIterator<Item = (Key, Value)>>(entries: I) -> Self {
        Payload(Arc::new(entries.into_iter().collect()))
    }
}
