//! How messages describe the type of a key.

use super::keys::{Section, Shape};
use crate::config::diagnostics::suggest::list;

impl Shape {
    /// The type with its article, after "must be".
    pub fn noun(&self) -> String {
        match self {
            Shape::Text => "a string".into(),
            Shape::Bool => "true or false".into(),
            Shape::Integer { least: 0, .. } => "an integer of at least 0".into(),
            Shape::Integer { least, most: 10_000 } => format!("an integer from {least} to 10000"),
            Shape::Integer { least, .. } => format!("an integer of at least {least}"),
            Shape::Workers => "a number of workers".into(),
            Shape::Duration { .. } => "a duration".into(),
            Shape::Size => "a size".into(),
            Shape::Cpus => "a number of CPUs".into(),
            Shape::Word(words) => format!("one of {}", list(words.iter().copied())),
            Shape::Texts { .. } => "a list of strings".into(),
            Shape::Integers { least, most } => format!("a list of integers from {least} to {most}"),
            Shape::Environment => "a table of strings".into(),
            Shape::Item => "a key of the payload".into(),
            Shape::Port => "a port".into(),
            Shape::Values | Shape::Table(_) => "a table".into(),
            Shape::Tables(_) | Shape::Actors => "a table of tables".into(),
            Shape::List(_) => "a list of tables".into(),
        }
    }

    /// How to write a value.
    pub fn hint(&self) -> String {
        match self {
            Shape::Text => "write it in quotation marks".into(),
            Shape::Bool => "write true or false, without quotation marks".into(),
            Shape::Integer { .. } => "write a whole number, without quotation marks".into(),
            Shape::Workers => {
                "write 1 or more, write -1 for one worker per python actor, or leave it out to scale automatically"
                    .into()
            }
            Shape::Duration { .. } => "write \"1h30m\", \"250ms\", or seconds as a number".into(),
            Shape::Size => "write \"2G\", \"512M\", or bytes as a number".into(),
            Shape::Cpus => "write 1.5 or \"150%\"".into(),
            Shape::Word(words) => format!("valid values: {}", list(words.iter().copied())),
            Shape::Texts { .. } => "write [\"a\", \"b\"]".into(),
            Shape::Integers { .. } => "write [0, 1]".into(),
            Shape::Environment => "write { NAME = \"value\" }".into(),
            Shape::Item => "write the key's name as a string, or its position as an integer".into(),
            Shape::Port => "a port is a string, a boolean, an integer, \"null\" or \"other\"".into(),
            Shape::Values => "write lines of the form key = value below [inputs]".into(),
            Shape::Table(section) => format!("known keys: {}", list(section.keys().map(|key| key.name))),
            Shape::Tables(section) => format!("give each a name: [{}.NAME]", plural(section)),
            Shape::Actors => "give each a name: [actors.NAME]".into(),
            Shape::List(_) => "write [[links]] above each, or links = [{ from = \"a\", to = \"b\" }]".into(),
        }
    }

    /// An example of a value.
    pub fn example(&self) -> &'static str {
        match self {
            Shape::Texts { .. } => "[\"…\"]",
            Shape::Item => "\"key\"",
            _ => "\"…\"",
        }
    }
}

fn plural(section: &Section) -> &'static str {
    match section.id {
        "pool" => "pools",
        "submodel" => "submodels",
        _ => "actors",
    }
}
