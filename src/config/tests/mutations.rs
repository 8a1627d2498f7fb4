//! No text breaks the reader: it is a workflow, or errors with places in the text.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{EXAMPLE, Folder, NESTED};
use crate::config::{Diagnostic, Style, render};

#[derive(Debug, Clone)]
pub(super) enum Mutation {
    Flip(Index, u8),
    Insert(Index, &'static str),
    DropLine(Index),
    DoubleLine(Index),
    SwapLines(Index, Index),
    SwapTokens(Index, Index),
    Cut(Index),
}

const PIECES: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'''",
    "=",
    ".",
    "\n",
    "\0",
    "é",
    "\u{1b}[31m",
    "-1",
    "1e999",
    "true",
    "[[links]]",
    "[actors.x]",
    "kind = \"join\"",
    "file = \"integrate.toml\"",
    "99999999999999999999",
    "$none",
    "/",
    "stop",
];

pub(super) fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Flip(at, byte)),
        (any::<Index>(), prop::sample::select(PIECES)).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        any::<Index>().prop_map(Mutation::DropLine),
        any::<Index>().prop_map(Mutation::DoubleLine),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Mutation::SwapLines(one, other)),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Mutation::SwapTokens(one, other)),
        any::<Index>().prop_map(Mutation::Cut),
    ]
}

pub(super) fn mutate(text: &str, mutation: &Mutation) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut lines: Vec<&str> = text.split('\n').collect();
    match mutation {
        Mutation::Flip(at, byte) => {
            let mut bytes = text.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = *byte;
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        Mutation::Insert(at, piece) => {
            let at = text.floor_char_boundary(at.index(text.len()));
            return [&text[..at], piece, &text[at..]].concat();
        }
        Mutation::Cut(at) => return text[..text.floor_char_boundary(at.index(text.len()))].to_owned(),
        Mutation::SwapTokens(one, other) => {
            let mut tokens: Vec<&str> = text.split_inclusive([' ', '\n', '"', '.']).collect();
            let length = tokens.len();
            tokens.swap(one.index(length), other.index(length));
            return tokens.concat();
        }
        Mutation::DropLine(at) => drop(lines.remove(at.index(lines.len()))),
        Mutation::DoubleLine(at) => {
            let at = at.index(lines.len());
            lines.insert(at, lines[at]);
        }
        Mutation::SwapLines(one, other) => {
            let length = lines.len();
            lines.swap(one.index(length), other.index(length));
        }
    }
    lines.join("\n")
}

fn check_places(diagnostics: &[Diagnostic]) {
    for found in diagnostics {
        let text = found.source.text();
        assert!(!found.message.is_empty());
        for label in &found.labels {
            assert!(label.span.start <= label.span.end && label.span.end <= text.len(), "{found:?}");
        }
        if let Some(position) = found.position() {
            let line = text.lines().nth(position.line - 1).unwrap_or_default();
            assert!(position.column <= line.chars().count() + 2, "{position:?} {line:?}");
        }
    }
    for style in [Style::Plain, Style::Colour, Style::Ascii] {
        render(diagnostics, style);
    }
}

proptest! {
    #![proptest_config(crate::test_seed::property_test(1000))]

    #[test]
    fn a_broken_file_is_refused_with_places_in_it(
        sample in prop::sample::select(&[EXAMPLE, NESTED][..]),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        thread_local! {
            static FOLDER: Folder = Folder::new();
        }
        let text = mutations.iter().fold(sample.to_owned(), |text, mutation| mutate(&text, mutation));
        let loaded = FOLDER.with(|folder| folder.load(&text));
        match &loaded {
            Ok(loaded) => check_places(&loaded.warnings),
            Err(errors) => {
                prop_assert!(!errors.diagnostics().is_empty());
                check_places(errors.diagnostics());
            }
        }
    }
}

#[test]
fn deep_nesting_is_refused() {
    let folder = Folder::new();
    for text in [
        format!("x = {}", "[".repeat(100_000)),
        format!("inputs.x = {}1{}", "[".repeat(70), "]".repeat(70)),
        format!("[{}x]\n", "submodels.a.".repeat(3_000)),
        format!("inputs.{}x = 1", "a.".repeat(3_000)),
        format!("[[{}links]]\nfrom = 'In'\nto = 'Out'", "submodels.a.".repeat(70)),
    ] {
        if let Err(errors) = folder.load(&text) {
            check_places(errors.diagnostics());
        }
    }
}
