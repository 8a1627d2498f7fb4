//! Texts are read like the crate `toml` reads them: the same tables at the same locations, and the same errors.

use proptest::prelude::*;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::mutations::{mutate, mutation};
use super::{EXAMPLE, NESTED};
use crate::config::toml::source::Location;
use crate::config::toml::syntax;
use crate::config::toml::tree::{TomlEntry, TomlItem, TomlTable, TomlValue};

/// Headers and dotted keys, in orders that a mutation can make invalid.
const HEADS: &str = r#"
"quo\u0074ed".'li.teral' = 0x1F
a.b.c = [1, [2.0, { d = inf, e.f = 'g', e.h = {} }], 1979-05-27 07:32:00]
a.b.d = """
three
lines\
   """
[x.y.z]
one = { }
[x.y]
two.three = 0o7
[x]
y.four = 1
[[x.list]]
five = 07:32:00
[x.list.inner]
six = nan
[[x.list]]
inner.seven = true
[[x.list.deep]] # a comment
[a.b.e]
[x.list.deep.er]
eight = 1_000
"#;

/// One line for each key and value, with its location.
fn ours(text: &str) -> (Vec<String>, Vec<Location>, Vec<(Location, String)>) {
    fn table(table: &TomlTable<'_>, depth: usize, lines: &mut Vec<String>) {
        for TomlEntry { key, item } in table.entries() {
            assert!(std::ptr::eq(&table.get(&key.name).unwrap().item, item), "{} is not found", key.name);
            lines.push(format!("{depth} {:?} {:?}", key.name, key.at.span()));
            value(item, depth + 1, lines);
        }
    }
    fn value(item: &TomlItem<'_>, depth: usize, lines: &mut Vec<String>) {
        let shown = match &item.value {
            TomlValue::Text(text) => format!("{text:?}"),
            TomlValue::Integer { digits, radix } => format!("{digits} {radix}"),
            TomlValue::Float(float) => float.to_string(),
            TomlValue::Bool(value) => value.to_string(),
            TomlValue::Datetime(moment) => format!("{moment:?}"),
            TomlValue::List(_) => "list".to_owned(),
            TomlValue::Table(_) => "table".to_owned(),
        };
        lines.push(format!("{depth} {shown} {:?}", item.at.span()));
        match &item.value {
            TomlValue::List(list) => list.items.iter().for_each(|item| value(item, depth + 1, lines)),
            TomlValue::Table(inner) => table(inner, depth + 1, lines),
            _ => {}
        }
    }
    let read = syntax::read(0, text);
    let mut lines = Vec::new();
    table(&read.table, 0, &mut lines);
    (lines, read.errors.duplicates, read.errors.broken)
}

/// The same for the crate `toml`.
fn theirs(text: &str) -> (Vec<String>, Vec<Location>, Vec<(Location, String)>) {
    fn table(table: &DeTable<'_>, depth: usize, lines: &mut Vec<String>) {
        for (key, item) in table {
            let key: &Spanned<DeString<'_>> = key;
            lines.push(format!("{depth} {:?} {:?}", key.get_ref(), key.span()));
            value(item, depth + 1, lines);
        }
    }
    fn value(item: &Spanned<DeValue<'_>>, depth: usize, lines: &mut Vec<String>) {
        let shown = match item.get_ref() {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(integer) => format!("{} {}", integer.as_str(), integer.radix()),
            DeValue::Float(float) => float.as_str().to_owned(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(moment) => format!("{moment:?}"),
            DeValue::Array(_) => "list".to_owned(),
            DeValue::Table(_) => "table".to_owned(),
        };
        lines.push(format!("{depth} {shown} {:?}", item.span()));
        match item.get_ref() {
            DeValue::Array(items) => items.iter().for_each(|item| value(item, depth + 1, lines)),
            DeValue::Table(inner) => table(inner, depth + 1, lines),
            _ => {}
        }
    }
    let (read, errors) = DeTable::parse_recoverable(text);
    let mut lines = Vec::new();
    table(read.get_ref(), 0, &mut lines);
    let (mut duplicates, mut broken) = (Vec::new(), Vec::new());
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let end = span.end.min(text.len());
        let at = Location::new(0, span.start.min(end)..end);
        match error.message() {
            message if message.starts_with("duplicate key") => duplicates.push(at),
            message => broken.push((at, message.trim_end_matches(", expected nothing").to_owned())),
        }
    }
    (lines, duplicates, broken)
}

/// The text with spaces in place of the tables whose headers are duplicates, and these headers. One after the other: what a table that
/// is left out defines makes no later one a duplicate. `None` if such a table has a string of several lines: a line of it may look like
/// the next header.
fn without_duplicate_tables(text: &str) -> Option<(String, Vec<Location>)> {
    let (mut text, mut headers) = (text.to_owned(), Vec::new());
    loop {
        let line = |at: &Location| text[..at.span().start].rfind('\n').map_or(0, |end| end + 1);
        let is_header = |at: &Location| text[line(at)..].trim_start_matches([' ', '\t']).starts_with('[');
        let (_, duplicates, _) = theirs(&text);
        let Some(at) = duplicates.into_iter().filter(is_header).min_by_key(|at| at.span().start) else {
            return Some((text, headers));
        };
        let start = line(&at);
        let end = text[at.span().end..].find("\n[").map_or(text.len(), |length| at.span().end + length);
        if ["\"\"\"", "'''"].iter().any(|quotes| text[start..end].contains(quotes)) {
            return None;
        }
        let blank: String = text[start..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        text.replace_range(start..end, &blank);
        headers.push(at);
    }
}

fn compare(text: &str) {
    let (our_lines, our_duplicates, our_broken) = ours(text);
    let (lines, duplicates, broken) = theirs(text);
    // `toml` merges the keys of a duplicate table into the first one; here the whole table is left out.
    let Some((reduced, headers)) = without_duplicate_tables(text) else { return };
    if headers.is_empty() {
        // In a list that is broken, strings are looked at here as well.
        assert_eq!(our_broken.is_empty(), broken.is_empty(), "{text}");
        assert!(broken.iter().all(|error| our_broken.contains(error)), "{text}");
        assert_eq!(our_duplicates, duplicates, "{text}");
        if broken.is_empty() {
            assert_eq!(our_lines, lines, "{text}");
        }
    } else if broken.is_empty() {
        let (lines, duplicates, broken) = theirs(&reduced);
        // Duplicates within a table that is left out are reported as well.
        let is_known =
            |at: &Location| duplicates.contains(at) || headers.contains(at) || reduced[at.span()].trim().is_empty();
        assert!(our_duplicates.iter().all(is_known), "{text}");
        assert!(headers.iter().chain(&duplicates).all(|at| our_duplicates.contains(at)), "{text}");
        assert_eq!(our_broken, broken, "{text}");
        if broken.is_empty() {
            assert_eq!(our_lines, lines, "{text}");
        }
    }
}

#[test]
fn a_duplicate_table_is_left_out_with_everything_in_it() {
    let (lines, duplicates, broken) = ours("[a]\nx = 1\n[b]\n[a]\nx = 2\ny.z = 3\n[c]\n");
    assert_eq!(duplicates.iter().map(|at| at.span()).collect::<Vec<_>>(), vec![15..16; 1]);
    assert_eq!(broken, []);
    assert!(lines.iter().any(|line| line.starts_with("2 \"x\"")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("\"y\"")), "{lines:?}");
}

#[test]
fn valid_texts_are_read_like_the_crate_toml_reads_them() {
    for text in [EXAMPLE, NESTED, HEADS, "", "\u{feff}a = 1", "a = 1\r\nb = 2 # c\r\n"] {
        assert_eq!(theirs(text).2, []);
        compare(text);
    }
}

#[test]
fn large_tables_are_read_like_the_crate_toml_reads_them() {
    let lines = |from: usize, to: usize| (from..to).map(|index| format!("k{index} = {{ x = {index} }}\n"));
    let text: String = lines(0, 200).chain(lines(5, 20)).collect();
    compare(&text);
    let heads: String = (0..50).map(|index| format!("[t.k{index}.inner]\n[t.k{}]\n", index / 2 * 2)).collect();
    compare(&heads);
}

#[test]
fn errors_are_those_of_the_crate_toml() {
    for text in [
        "a",
        "a\nb = 1\nb = 2",
        "a =",
        "a = =1",
        "a = = { b = 1 }\nb = 2",
        "= 1",
        ". = 1",
        "a..b = 1",
        "a. = 1",
        "[",
        "[a",
        "[[a]",
        "[a\nb = 1\n[c]\nd = 1\nd = 2",
        "[a]\n[a]",
        "[a]\n[[a]]",
        "[[a]]\n[a]",
        "a = 1\n[a.b]",
        "a = {}\n[a.b]",
        "a = {}\na.b = 1",
        "a = []\n[[a]]",
        "a = []\na.b = 1",
        "[[a]]\n[a.b]\n[a.b]",
        "a.b = 1\n[a]",
        "[a.b]\n[a]\nb.c = 1",
        "[a]\nb = 1\n[x]\n[a.b.c]",
        "a = { b = 1, b = 2 }",
        "a = { b.c = 1, b = 2 }",
        "a = { b = {}, b.c = 1 }",
        "a = { b = 1 c = 2 }",
        "a = { b }",
        "a = { b =",
        "a = { , }",
        "a = [1 2",
        "a = [,]",
        "a = ]",
        "a = }",
        "a = { [1] }",
        "a = { b = 2\nc = 3",
        "a = \"x",
        "a = 'x\n'",
        "a = \"\\q\"",
        "a = 1979-99-99",
        "a = 12:99",
        "a = 1__0",
        "a = truthy",
        "a = 1 # \u{1}\n",
        "a\u{1} = 1",
        "x = 1\ry = 2",
        "'''a''' = 1",
        "[[a]]\n[b.c]\n[b]\nc.d = 1\n[[b.e]]\n[x]\n[b.e.f]\n[b]",
        "[x.y]\n[[x]]",
        "[[x.y]]\n[x]\ny.z = 1\ny.w.v = 2",
    ] {
        compare(text);
    }
    compare(&format!("x = {}", "[".repeat(1_000)));
    compare(&format!("x = {}1{}", "[".repeat(90), "]".repeat(90)));
    compare(&format!("x = {}1{}", "{ a = ".repeat(90), "}".repeat(90)));
    compare(&format!("{}x = 1", "a.".repeat(79)));
    compare(&format!("{}x = 1\nb = 1\nb = 2", "a.".repeat(90)));
    compare(&format!("[{}x]", "a.".repeat(90)));
}

proptest! {
    #![proptest_config(crate::test_seed::property_test(2000))]

    #[test]
    fn mutated_texts_are_read_like_the_crate_toml_reads_them(
        sample in prop::sample::select(&[EXAMPLE, NESTED, HEADS][..]),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        compare(&mutations.iter().fold(sample.to_owned(), |text, mutation| mutate(&text, mutation)));
    }
}
