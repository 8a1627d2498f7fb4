//! The JSON Schema (draft 2020-12) of the workflow file, for editors. It is made from the list of keys in `keys`.

use serde_json::{Map, Value, json};
use strum::VariantArray;

use super::keys::{FILE, Key, SUBMODEL, Section, Shape, actor_section};
use super::words::KindWord;

/// The schema of a workflow file.
pub fn json_schema() -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "pushflow workflow".into());
    let mut definitions = Map::new();
    schema.extend(object(&FILE, &mut definitions));
    let actor = actor(&mut definitions);
    definitions.insert("actor".into(), actor);
    definitions.insert("duration".into(), duration(json!({ "minimum": 0 }), "."));
    definitions.insert("timeout".into(), duration(json!({ "exclusiveMinimum": 0 }), "[1-9]"));
    definitions.insert("size".into(), size());
    definitions.insert("port".into(), json!({ "type": ["string", "boolean", "integer"] }));
    schema.insert("$defs".into(), Value::Object(definitions));
    Value::Object(schema)
}

fn object(section: &'static Section, definitions: &mut Map<String, Value>) -> Map<String, Value> {
    let mut properties = Map::new();
    for key in section.keys() {
        properties.insert(key.name.into(), property(key, definitions));
    }
    let required: Vec<&str> = section.keys().filter(|key| key.required).map(|key| key.name).collect();
    let mut object = Map::new();
    object.insert("description".into(), section.doc.into());
    object.insert("type".into(), "object".into());
    object.insert("properties".into(), Value::Object(properties));
    if !required.is_empty() {
        object.insert("required".into(), json!(required));
    }
    object.insert("additionalProperties".into(), Value::Bool(false));
    object
}

fn property(key: &Key, definitions: &mut Map<String, Value>) -> Value {
    let mut value = shape(&key.shape, definitions);
    if let Value::Object(map) = &mut value {
        map.insert("description".into(), key.doc.into());
    }
    value
}

fn shape(shape: &Shape, definitions: &mut Map<String, Value>) -> Value {
    match shape {
        Shape::Text => json!({ "type": "string", "pattern": "\\S" }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Integer { least, most } if *most == i64::MAX => json!({ "type": "integer", "minimum": least }),
        Shape::Integer { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Workers => json!({ "type": "integer", "minimum": -1, "maximum": u32::MAX, "not": { "const": 0 } }),
        Shape::Duration { zero: true } => reference("duration"),
        Shape::Duration { zero: false } => reference("timeout"),
        Shape::Size => reference("size"),
        Shape::Cpus => json!({ "anyOf": [
            { "type": "number", "minimum": 0.001, "maximum": 1e6 },
            { "type": "string", "pattern": "^\\s*[0-9]+(\\.[0-9]*)?\\s*%\\s*$" },
        ] }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::Texts { empty } => {
            json!({ "type": "array", "items": { "type": "string" }, "minItems": u8::from(!empty) })
        }
        Shape::Integers { least, most } => {
            let item = json!({ "type": "integer", "minimum": least, "maximum": most });
            json!({ "type": "array", "items": item, "minItems": 1 })
        }
        Shape::Environment => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[^=]+$" },
            "additionalProperties": { "type": "string" },
        }),
        Shape::Item => json!({ "anyOf": [{ "type": "string", "pattern": "\\S" }, { "type": "integer" }] }),
        Shape::Port => reference("port"),
        Shape::Values => json!({ "type": "object" }),
        Shape::Table(section) => named(section, definitions),
        Shape::Tables(section) => json!({ "type": "object", "additionalProperties": named(section, definitions) }),
        Shape::Actors => json!({ "type": "object", "additionalProperties": reference("actor") }),
        Shape::List(section) => json!({ "type": "array", "items": named(section, definitions) }),
    }
}

/// A reference to a section. The section is added to `$defs` once; that of a submodel contains a reference to itself.
fn named(section: &'static Section, definitions: &mut Map<String, Value>) -> Value {
    if !definitions.contains_key(section.id) {
        definitions.insert(section.id.into(), Value::Null);
        let mut object = object(section, definitions);
        if std::ptr::eq(section, &SUBMODEL) {
            let alone = ["actors", "links", "submodels"].map(|key| json!({ "required": [key] }));
            object.insert("dependentSchemas".into(), json!({ "file": { "not": { "anyOf": alone } } }));
        }
        definitions.insert(section.id.into(), Value::Object(object));
    }
    reference(section.id)
}

fn reference(id: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{id}") })
}

/// The schema of an actor: one of the kinds. An actor without `kind` is a python actor.
fn actor(definitions: &mut Map<String, Value>) -> Value {
    let mut kinds: Vec<Value> = KindWord::VARIANTS
        .iter()
        .map(|&kind| {
            let mut object = object(actor_section(kind), definitions);
            object["properties"]["kind"] = json!({ "const": kind.word(), "description": "The kind of the actor." });
            if kind != KindWord::Python {
                let required = object.entry("required").or_insert_with(|| json!([]));
                if let Value::Array(required) = required {
                    required.push("kind".into());
                }
            }
            Value::Object(object)
        })
        .collect();
    // The tables of `start` and `stop` may be empty.
    kinds.push(json!({ "type": "object", "maxProperties": 0 }));
    json!({ "anyOf": kinds })
}

/// `also` is a second pattern for durations in quotation marks.
fn duration(least: Value, also: &str) -> Value {
    let unit = "(us|µs|usec|ms|msec|s|sec|seconds?|m|min|minutes?|h|hr|hours?|d|days?|w|weeks?)";
    let number = "([0-9]+[.]?[0-9]*|[.][0-9]+)";
    let pattern = format!("^\\s*({number}\\s*{unit}\\s*)*({number}\\s*{unit}?)\\s*$");
    let mut number = json!({ "type": "number", "maximum": crate::config::read::units::MAX_SECONDS });
    if let (Value::Object(number), Value::Object(least)) = (&mut number, least) {
        number.extend(least);
    }
    json!({
        "description": "\"1h30m\", \"250ms\", or seconds as a number",
        "anyOf": [number, { "type": "string", "pattern": pattern, "allOf": [{ "pattern": also }] }],
    })
}

fn size() -> Value {
    json!({
        "description": "\"2G\", \"512M\", or bytes as a number; base 1024",
        "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^\\s*[0-9]+(\\.[0-9]*)?\\s*[BKMGTPE]?\\s*$" },
        ],
    })
}
