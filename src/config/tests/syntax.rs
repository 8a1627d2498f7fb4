//! Texts are read as the crate `toml` reads them: the same tables, in the same places, and the same said of what is wrong.

use proptest::prelude::*;
use proptest::test_runner::Config;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::mutations::{mutate, mutation};
use super::{EXAMPLE, NESTED};
use crate::config::raw::{RawEntry, RawItem, RawTable, RawValue};
use crate::config::source::Place;
use crate::config::syntax;

/// Heads and dotted keys in every order that a mutation may make wrong.
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

/// One line for each key and value, with its place.
fn ours(text: &str) -> (Vec<String>, Vec<Place>, Vec<(Place, String)>) {
    fn table(table: &RawTable<'_>, depth: usize, lines: &mut Vec<String>) {
        for RawEntry { key, item } in table.entries() {
            assert!(std::ptr::eq(&table.get(&key.name).unwrap().item, item), "{} is not found", key.name);
            lines.push(format!("{depth} {:?} {:?}", key.name, key.at.span()));
            value(item, depth + 1, lines);
        }
    }
    fn value(item: &RawItem<'_>, depth: usize, lines: &mut Vec<String>) {
        let shown = match &item.value {
            RawValue::Text(text) => format!("{text:?}"),
            RawValue::Integer { digits, radix } => format!("{digits} {radix}"),
            RawValue::Float(float) => float.to_string(),
            RawValue::Bool(value) => value.to_string(),
            RawValue::Datetime(moment) => format!("{moment:?}"),
            RawValue::List(_) => "list".to_owned(),
            RawValue::Table(_) => "table".to_owned(),
        };
        lines.push(format!("{depth} {shown} {:?}", item.at.span()));
        match &item.value {
            RawValue::List(list) => list.items.iter().for_each(|item| value(item, depth + 1, lines)),
            RawValue::Table(inner) => table(inner, depth + 1, lines),
            _ => {}
        }
    }
    let read = syntax::read(0, text);
    let mut lines = Vec::new();
    table(&read.table, 0, &mut lines);
    (lines, read.wrong.doubled, read.wrong.broken)
}

/// The same of what the crate reads.
fn theirs(text: &str) -> (Vec<String>, Vec<Place>, Vec<(Place, String)>) {
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
    let (mut doubled, mut broken) = (Vec::new(), Vec::new());
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let end = span.end.min(text.len());
        let at = Place::new(0, span.start.min(end)..end);
        match error.message() {
            message if message.starts_with("duplicate key") => doubled.push(at),
            message => broken.push((at, message.trim_end_matches(", expected nothing").to_owned())),
        }
    }
    (lines, doubled, broken)
}

fn compare(text: &str) {
    let (our_lines, our_doubled, our_broken) = ours(text);
    let (lines, doubled, broken) = theirs(text);
    assert_eq!(our_broken, broken, "{text}");
    assert_eq!(our_doubled, doubled, "{text}");
    if broken.is_empty() {
        assert_eq!(our_lines, lines, "{text}");
    }
}

#[test]
fn good_texts_are_read_alike() {
    for text in [EXAMPLE, NESTED, HEADS, "", "\u{feff}a = 1", "a = 1\r\nb = 2 # c\r\n"] {
        assert_eq!(theirs(text).2, []);
        compare(text);
    }
}

#[test]
fn a_large_table_is_read_alike() {
    let lines = |from: usize, to: usize| (from..to).map(|index| format!("k{index} = {{ x = {index} }}\n"));
    let text: String = lines(0, 200).chain(lines(5, 20)).collect();
    compare(&text);
    let heads: String = (0..50).map(|index| format!("[t.k{index}.inner]\n[t.k{}]\n", index / 2 * 2)).collect();
    compare(&heads);
}

#[test]
fn what_is_wrong_is_said_alike() {
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
    #![proptest_config(Config { cases: 2000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_mutated_text_is_read_alike(
        sample in prop::sample::select(&[EXAMPLE, NESTED, HEADS][..]),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        compare(&mutations.iter().fold(sample.to_owned(), |text, mutation| mutate(&text, mutation)));
    }
}
