//! The JSON Schema says what the reader says: for good files, for every key, and for values that are wrong.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use strum::VariantArray;

use super::{EXAMPLE, Folder, NESTED};
use crate::config::json_schema;
use crate::config::schema::keys::{FILE, Key, Section, Shape, actor_section};
use crate::config::schema::words::KindWord;

fn validator() -> Validator {
    jsonschema::draft202012::new(&json_schema()).unwrap()
}

#[test]
fn the_schema_is_a_schema() {
    assert!(jsonschema::draft202012::meta::is_valid(&json_schema()));
}

#[test]
fn good_files_fit_the_schema() {
    let validator = validator();
    for text in [EXAMPLE, NESTED] {
        Folder::new().load(text).unwrap_or_else(|errors| panic!("{errors}"));
        let file = from_toml(text.parse::<toml::Table>().unwrap().into());
        let wrong: Vec<String> = validator.iter_errors(&file).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

/// Values that are tried for every key, as TOML and JSON both write them.
const VALUES: &[&str] = &[
    "true",
    "0",
    "1",
    "-1",
    "-2",
    "0.5",
    "300",
    "20000",
    "5000000000",
    "\"\"",
    "\" \"",
    "\"x\"",
    "\"1h30m\"",
    "\"5 min\"",
    "\"0\"",
    "\"1.5G\"",
    "\"2X\"",
    "\"150%\"",
    "\"json\"",
    "\"wait\"",
    "\"fork\"",
    "\"thread\"",
    "\"resident\"",
    "\"rerun\"",
    "[]",
    "[\"x\"]",
    "[1]",
    "[256]",
    "[1, \"x\"]",
];

/// The reader and the schema take the same values of each key.
#[test]
fn the_reader_and_the_schema_agree_on_every_key() {
    let (validator, folder) = (validator(), Folder::new());
    let mut tried = 0;
    for (path, key) in places() {
        if matches!(key.shape, Shape::Table(_) | Shape::Tables(_) | Shape::Actors | Shape::List(_) | Shape::Values) {
            continue;
        }
        for value in VALUES {
            let text = path.replace("KEY", key.name).replace("VALUE", value);
            let file = from_toml(text.parse::<toml::Table>().unwrap_or_else(|error| panic!("{text}{error}")).into());
            let told = folder.load(&text).err().map(|errors| errors.to_string()).unwrap_or_default();
            // Only errors about the value: the graph around it makes no sense.
            let shape = [" must be ", "invalid value "];
            let read = !shape.iter().any(|shape| {
                told.lines().any(|line| {
                    line.starts_with("  × ") && line.contains(&format!("`{}`", key.name)) && line.contains(shape)
                })
            });
            assert_eq!(validator.is_valid(&file), read, "{text}\n{told}");
            tried += 1;
        }
    }
    assert!(tried > 1000, "{tried}");
}

/// A key that the reader does not know is refused by the schema too, at every level.
#[test]
fn neither_knows_other_keys() {
    let (validator, folder) = (validator(), Folder::new());
    for (path, _) in places() {
        let text = path.replace("KEY", "unheard_of").replace("VALUE", "1");
        let file = from_toml(text.parse::<toml::Table>().unwrap().into());
        assert!(!validator.is_valid(&file), "{text}");
        assert!(folder.load(&text).unwrap_err().to_string().contains("unheard_of"), "{text}");
    }
}

/// Every key, with a file around it that lacks nothing else.
fn places() -> Vec<(String, &'static Key)> {
    let mut places = Vec::new();
    let mut add = |frame: &str, section: &'static Section, given: &[(&str, &str)]| {
        for key in section.keys() {
            let others = given.iter().filter(|(name, _)| *name != key.name);
            let others: Vec<String> = others.map(|(name, value)| format!("{name} = {value}")).collect();
            places.push((frame.replace("BODY", &format!("KEY = VALUE\n{}", others.join("\n"))), key));
        }
    };
    for key in FILE.keys() {
        match &key.shape {
            Shape::Table(section) => add(&format!("[{}]\nBODY", key.name), section, &[]),
            Shape::Tables(section) => add(&format!("[{}.x]\nBODY", key.name), section, &[]),
            Shape::List(section) => {
                add(&format!("[[{}]]\nBODY", key.name), section, &[("from", "\"start\""), ("to", "\"stop\"")]);
            }
            _ => {}
        }
    }
    for (word, kind) in KindWord::VARIANTS.iter().map(|kind| (kind.word(), *kind)) {
        let section = actor_section(kind);
        let needs = [("script", "\"top.py\""), ("command", "[\"true\"]"), ("item", "\"x\""), ("status", "\"x\"")];
        let kind = format!("\"{word}\"");
        let mut given: Vec<_> = needs.into_iter().filter(|(name, _)| section.key(name).is_some()).collect();
        given.push(("kind", &kind));
        let name = if ["start", "stop"].contains(&word) { word } else { "x" };
        let mut section_places = Vec::new();
        for key in section.keys().filter(|key| key.name != "kind") {
            let others = given.iter().filter(|(name, _)| *name != key.name);
            let others: Vec<String> = others.map(|(name, value)| format!("{name} = {value}")).collect();
            section_places.push((format!("[actors.{name}]\nKEY = VALUE\n{}", others.join("\n")), key));
        }
        places.extend(section_places);
    }
    places
}

/// TOML as an editor's JSON Schema checker sees it.
fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => json!(text),
        toml::Value::Integer(number) => json!(number),
        toml::Value::Float(number) => json!(number),
        toml::Value::Boolean(value) => json!(value),
        toml::Value::Datetime(moment) => json!(moment.to_string()),
        toml::Value::Array(items) => items.into_iter().map(from_toml).collect(),
        toml::Value::Table(entries) => {
            Value::Object(entries.into_iter().map(|(key, value)| (key, from_toml(value))).collect::<Map<_, _>>())
        }
    }
}
