//! Large files are read in a time that grows with their size.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::Folder;

const ACTORS: usize = 10_000;

/// A chain of actors; every tenth is a router with a link back.
fn large(broken: bool) -> String {
    let mut text = String::new();
    for index in 0..ACTORS {
        let body = if index % 10 == 9 { "kind = \"router\"\nitem = \"x\"" } else { "script = \"tasks/add.py\"" };
        writeln!(text, "[actors.a{index}]\n{body}").unwrap();
        if broken {
            writeln!(text, "timeot = 3").unwrap();
        }
    }
    let mut from = "start".to_owned();
    for index in 0..=ACTORS {
        let to = if index == ACTORS { "stop".to_owned() } else { format!("a{index}") };
        let miss = if broken { "x" } else { "" };
        writeln!(text, "[[links]]\nfrom = \"{from}\"\nto = \"{to}{miss}\"").unwrap();
        from = to;
        if index % 10 == 9 {
            writeln!(text, "[[links]]\nfrom = \"a{index}\"\nto = \"a{}\"\nport = true", index - 5).unwrap();
        }
    }
    text
}

#[test]
fn ten_thousand_actors_are_read_in_a_moment() {
    let folder = Folder::new();
    let text = large(false);
    let begin = Instant::now();
    let loaded = folder.load(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let took = begin.elapsed();
    assert_eq!(loaded.workflow.actors.len(), ACTORS + 2);
    println!("10,000 actors: {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn twenty_thousand_mistakes_are_shown_in_a_moment() {
    let folder = Folder::new();
    let text = large(true);
    let begin = Instant::now();
    let errors = folder.load(&text).unwrap_err();
    let shown = errors.to_string();
    let took = begin.elapsed();
    assert!(errors.diagnostics().len() >= 2 * ACTORS, "{}", errors.diagnostics().len());
    assert!(shown.contains("`timeot`"));
    println!("20,000 mistakes: {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}
