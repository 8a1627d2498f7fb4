//! The reference of all keys, for the manual. It is made from the list of keys in `keys`.

use strum::VariantArray;

use super::keys::{
    FILE, HISTORY, KIND, Key, LINK, POOL, RECORD, SERVICE, SUBMODEL, Section, Shape, WORKFLOW, actor_section,
};
use super::words::KindWord;

/// A table of the file.
#[derive(Debug)]
pub struct TableReference {
    /// Its header, for example `[pool], [pools.NAME]`.
    pub written: String,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys, except those that are described with an earlier table.
    pub keys: Vec<KeyReference>,
    /// The keys that are described with an earlier table, with the header of that table.
    pub elsewhere: Vec<(String, Vec<&'static str>)>,
}

/// A key of a table.
#[derive(Debug)]
pub struct KeyReference {
    /// Its name.
    pub name: &'static str,
    /// The type of its value in words.
    pub holds: String,
    /// What it is for.
    pub doc: &'static str,
    /// Whether it is required.
    pub required: bool,
}

/// All tables in the order of the manual.
pub fn reference() -> Vec<TableReference> {
    let mut written: Vec<(String, &'static Section)> = vec![
        ("the file".to_owned(), &FILE),
        ("[workflow]".to_owned(), &WORKFLOW),
        ("[pool], [pools.NAME]".to_owned(), &POOL),
        ("[service]".to_owned(), &SERVICE),
        ("[history]".to_owned(), &HISTORY),
        ("[record]".to_owned(), &RECORD),
        ("[[links]], or an entry of links = [ … ]".to_owned(), &LINK),
    ];
    written.extend(KindWord::VARIANTS.iter().map(|&kind| {
        let word = kind.word();
        let default = if kind == KindWord::Python { ", or without kind" } else { "" };
        (format!("[actors.NAME] with kind = \"{word}\"{default}"), actor_section(kind))
    }));
    written.push(("[submodels.NAME]".to_owned(), &SUBMODEL));
    let mut explained: Vec<(&'static [Key], String)> = Vec::new();
    written.into_iter().map(|(written, section)| table(written, section, &mut explained)).collect()
}

fn table(written: String, section: &'static Section, explained: &mut Vec<(&'static [Key], String)>) -> TableReference {
    let mut table = TableReference { written, doc: section.doc, keys: Vec::new(), elsewhere: Vec::new() };
    for group in section.groups.iter().copied().filter(|group| !group.is_empty()) {
        match explained.iter().find(|(known, _)| std::ptr::eq(*known, group)) {
            // `kind` is part of the header.
            Some(_) if std::ptr::eq(group, KIND) => {}
            Some((_, place)) => {
                let keys = group.iter().map(|key| key.name);
                match table.elsewhere.iter_mut().find(|(known, _)| known == place) {
                    Some((_, known)) => known.extend(keys),
                    None => table.elsewhere.push((place.clone(), keys.collect())),
                }
            }
            None => {
                table.keys.extend(group.iter().map(|key| KeyReference {
                    name: key.name,
                    holds: holds(&key.shape),
                    doc: key.doc,
                    required: key.required,
                }));
                explained.push((group, table.written.clone()));
            }
        }
    }
    table
}

fn holds(shape: &Shape) -> String {
    match shape {
        Shape::Text => "a string".to_owned(),
        Shape::Bool => "true or false".to_owned(),
        Shape::Integer { least, most } if *most >= i64::from(u32::MAX) => format!("an integer of at least {least}"),
        Shape::Integer { least, most } => format!("an integer from {least} to {most}"),
        Shape::Workers => "an integer of at least 1, or -1".to_owned(),
        Shape::Duration { .. } => "a duration".to_owned(),
        Shape::Size => "a size".to_owned(),
        Shape::Cpus => "a number of CPUs, or a percentage in quotation marks".to_owned(),
        Shape::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            words.join(", ")
        }
        Shape::Texts { .. } => "a list of strings".to_owned(),
        Shape::Integers { least, most } => format!("a list of integers from {least} to {most}"),
        Shape::Environment => "a table of strings".to_owned(),
        Shape::Item => "a string, or the position of an argument".to_owned(),
        Shape::Port => "a string, a boolean or an integer".to_owned(),
        Shape::Values => "a table of values".to_owned(),
        Shape::Table(_) => "a table".to_owned(),
        Shape::Tables(_) | Shape::Actors => "named tables".to_owned(),
        Shape::List(_) => "a list of tables".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::reference;

    /// Every key that the JSON Schema has.
    fn names(schema: &serde_json::Value, into: &mut BTreeSet<String>) {
        if let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) {
            into.extend(properties.keys().cloned());
        }
        match schema {
            serde_json::Value::Object(object) => object.values().for_each(|value| names(value, into)),
            serde_json::Value::Array(list) => list.iter().for_each(|value| names(value, into)),
            _ => {}
        }
    }

    #[test]
    fn every_key_of_the_schema_is_explained_once_in_each_group() {
        let mut known = BTreeSet::new();
        names(&crate::config::json_schema(), &mut known);
        let tables = reference();
        let explained: BTreeSet<String> =
            tables.iter().flat_map(|table| &table.keys).map(|key| key.name.to_owned()).collect();
        assert_eq!(explained, known);
        let exec = tables.iter().find(|table| table.written.contains("exec")).expect("the kind exec");
        let elsewhere: Vec<_> = exec.elsewhere.iter().flat_map(|(_, keys)| keys).collect();
        assert!(elsewhere.contains(&&"retries") && elsewhere.contains(&&"memory_max"), "{elsewhere:?}");
    }
}
