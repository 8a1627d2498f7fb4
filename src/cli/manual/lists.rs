//! Generated lists in the manual pages. The test compares them with the program. If `PUSHFLOW_UPDATE_MANUAL` is set, it writes them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::{TableReference, reference};

/// Each list: its file, its name, and its text.
fn lists() -> [(&'static str, &'static str, String); 2] {
    [("pushflow.1.md", "commands", commands()), ("pushflow.toml.5.md", "keys", reference().iter().map(table).collect())]
}

/// Each verb with its description in `--help`.
fn commands() -> String {
    let mut markdown = String::new();
    for verb in crate::cli::command().get_subcommands() {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        markdown.push_str(&format!("- **pushflow-{}**(1)\\\n  {about}.\n\n", verb.get_name()));
    }
    markdown
}

/// A table of the workflow file, and its keys.
fn table(table: &TableReference) -> String {
    let written = escaped(&table.written).replacen("the file", "The file", 1);
    let mut markdown = format!("### {written}\n\n{}\n\n", table.doc);
    for key in &table.keys {
        let required = if key.required { "; required" } else { "" };
        markdown.push_str(&format!(
            "- **{}** ({}{required})\\\n  {}\n\n",
            key.name,
            escaped(&key.holds),
            escaped(key.doc)
        ));
    }
    for (place, keys) in &table.elsewhere {
        let keys: Vec<String> = keys.iter().map(|key| format!("**{key}**")).collect();
        markdown.push_str(&format!("Keys described under {}: {}.\n\n", escaped(place), keys.join(", ")));
    }
    markdown
}

/// Text with Markdown's special characters escaped, except in code.
fn escaped(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts: Vec<String> = parts
        .map(|(at, part)| match at % 2 {
            0 => part
                .chars()
                .flat_map(|char| "*[]<\\".contains(char).then_some('\\').into_iter().chain([char]))
                .collect(),
            _ => part.to_owned(),
        })
        .collect();
    parts.join("`")
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/man").join(file)
}

#[test]
fn the_lists_in_the_pages_are_those_of_the_program() {
    for (file, name, list) in lists() {
        let page = fs::read_to_string(path(file)).expect("a page");
        let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->\n"));
        let (before, rest) = page.split_once(&begin).expect("the beginning of the list");
        let (_, after) = rest.split_once(&end).expect("the end of the list");
        let updated = format!("{before}{begin}\n{list}{end}{after}");
        if std::env::var_os("PUSHFLOW_UPDATE_MANUAL").is_some() {
            fs::write(path(file), &updated).expect("a page that can be written");
            continue;
        }
        assert!(
            page == updated,
            "packaging/man/{file} is out of date: run PUSHFLOW_UPDATE_MANUAL=1 cargo test --lib manual"
        );
    }
}
