//! The manual pages and completions that the packages install, in the eyes of the programs that read them; and what the
//! README says of commands and messages, held against the program. (tests/systemd runs the commands that it prints.)

#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "no test crate uses all of it")]
#[path = "binary/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn output(command: &mut Command) -> String {
    let called = format!("{command:?}");
    let output = process::output(command);
    assert!(output.status.success(), "{called}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn pushflow(arguments: &[&str]) -> String {
    output(Command::new(env!("CARGO_BIN_EXE_pushflow")).args(arguments))
}

/// The verbs, as `--help` lists them.
fn verbs() -> Vec<String> {
    let help = pushflow(&["--help"]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    // What an entry goes on with is indented further.
    let lines = lines.filter(|line| !line.starts_with("   "));
    let verbs: Vec<String> = lines.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
    assert!(verbs.iter().any(|verb| verb == "run") && verbs.len() > 10, "{verbs:?}");
    verbs.into_iter().filter(|verb| verb != "help").collect()
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    pushflow(&["man", folder.to_str().unwrap()]);
    let sections = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    sections.flat_map(|section| fs::read_dir(section).unwrap()).map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_verb_has_a_page_and_an_example() {
    let folder = tempfile::tempdir().unwrap();
    pages(folder.path());
    for verb in verbs() {
        let help = pushflow(&[&verb, "--help"]);
        assert!(help.contains("\nExample"), "pushflow {verb} --help has no example:\n{help}");
        let page = folder.path().join(format!("man1/pushflow-{verb}.1"));
        let page = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "\"SEE ALSO\""] {
            assert!(page.contains(&format!(".SH {section}\n")), "pushflow-{verb}(1) has no {section}:\n{page}");
        }
    }
}

#[test]
fn the_pages_are_what_man_expects() {
    // clap_mangen's pages have no other faults; theirs are not mended here.
    let known = ["missing date, using \"\"", "skipping paragraph macro: br"];
    let folder = tempfile::tempdir().unwrap();
    for page in pages(folder.path()) {
        let said = process::output(Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&page)).stdout;
        let said = String::from_utf8(said).unwrap();
        let wrong: Vec<&str> = said.lines().filter(|line| !known.iter().any(|known| line.contains(known))).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        // Asks what packagers ask.
        let mut groff = Command::new("man");
        let said = groff.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]).arg(&page).env("MANROFFSEQ", "");
        let said = process::output(said.env("MANWIDTH", "80")).stderr;
        assert_eq!(String::from_utf8(said).unwrap(), "", "{}", page.display());
    }
}

/// The first lines after a heading that stay lines, as they are read.
fn printed(page: &str, heading: &str) -> String {
    let (_, rest) = page.split_once(&format!("\n.SH {heading}\n")).unwrap();
    let (_, rest) = rest.split_once("\n.nf\n").unwrap();
    let (lines, _) = rest.split_once("\n.fi\n").unwrap();
    lines.replace("\\(dq", "\"")
}

#[test]
fn the_example_of_the_manual_runs_as_it_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let page = pages(folder.path()).into_iter().find(|page| page.ends_with("pushflow.toml.5")).unwrap();
    let page = fs::read_to_string(page).unwrap();
    let workflow = folder.path().join("own.toml");
    fs::write(&workflow, printed(&page, "EXAMPLE")).unwrap();
    fs::create_dir(folder.path().join("tasks")).unwrap();
    fs::write(folder.path().join("tasks/measure.py"), printed(&page, "TASKS")).unwrap();
    let said = pushflow(&["run", "-q", workflow.to_str().unwrap()]);
    assert_eq!(said, "{\"sample\":\"lysozyme\",\"round\":3,\"good_enough\":true}\n");
}

#[test]
fn no_page_shows_what_only_a_formatter_understands() {
    let folder = tempfile::tempdir().unwrap();
    for page in pages(folder.path()) {
        let text = output(Command::new("mandoc").args(["-T", "utf8"]).arg(&page));
        for request in [".ie ", ".el ", ".ds ", ".PP", "\\f", "@VERSION@"] {
            assert!(!text.contains(request), "{} shows {request}:\n{text}", page.display());
        }
    }
}

#[test]
fn pages_refer_to_pages_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let pages = pages(folder.path());
    let names: BTreeSet<String> =
        pages.iter().map(|page| page.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    for page in &pages {
        let text = output(Command::new("mandoc").args(["-T", "utf8"]).arg(page));
        // Bold is a letter, a backspace, and the letter again.
        let mut plain = String::new();
        for char in text.chars() {
            match char {
                '\u{8}' => plain.truncate(plain.len() - plain.chars().next_back().map_or(0, char::len_utf8)),
                char => plain.push(char),
            }
        }
        for word in plain.split_whitespace().filter(|word| word.contains("pushflow")) {
            let Some((name, rest)) = word.split_once('(') else { continue };
            let Some(section) = rest.chars().next().filter(char::is_ascii_digit) else { continue };
            assert!(names.contains(&format!("{name}.{section}")), "{} refers to {word}", page.display());
        }
    }
}

#[test]
fn a_folder_for_pages_that_cannot_be_made_is_named() {
    let output = process::output(Command::new(env!("CARGO_BIN_EXE_pushflow")).args(["man", "/dev/null/man"]));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("pushflow: cannot make the folder /dev/null/man/man1: "), "{said}");
}

#[test]
fn bash_completes_verbs_and_options() {
    let script = r#"source <("$1" completions bash)
        complete_it() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pushflow pushflow "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"; echo "${COMPREPLY[@]}"; }
        complete_it pushflow che; complete_it pushflow run --time; complete_it pushflow run --pool g"#;
    let said = output(Command::new("bash").args(["-c", script, "bash", env!("CARGO_BIN_EXE_pushflow")]));
    assert_eq!(said, "check check-pools check-daemonic\n--timeout\ngevent\n");
}

#[test]
fn fish_and_zsh_take_their_completions() {
    let program = env!("CARGO_BIN_EXE_pushflow");
    let folder = tempfile::tempdir().unwrap();
    let script =
        "$PROGRAM completions fish | source; complete -C 'pushflow check-d'; complete -C 'pushflow run --time'";
    let said = output(Command::new("fish").args(["-c", script]).env("PROGRAM", program).env("HOME", folder.path()));
    assert!(said.starts_with("check-daemonic\t") && said.contains("--timeout\t"), "{said}");
    let script = r#"fpath=("$HOME" $fpath); "$PROGRAM" completions zsh > "$HOME/_pushflow"
        autoload -U compinit && compinit -u -D && print -r -- "$_comps[pushflow]" && autoload -X +X _pushflow && whence -w _pushflow"#;
    let said = output(Command::new("zsh").args(["-fc", script]).env("PROGRAM", program).env("HOME", folder.path()));
    assert_eq!(said, "_pushflow\n_pushflow: function\n");
}

const README: &str = include_str!("../README.md");

/// What stands between grave accents in the prose of the README.
fn inline_code() -> Vec<String> {
    let mut prose = String::new();
    let mut fenced = false;
    for line in README.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    // A line may end within it. In a table a bar is written with a backslash.
    let words = |code: &str| code.split_whitespace().collect::<Vec<_>>().join(" ").replace("\\|", "|");
    prose.split('`').skip(1).step_by(2).map(words).collect()
}

#[test]
fn the_readme_names_verbs_and_options_that_there_are() {
    let verbs = verbs();
    let mut seen = 0;
    for code in inline_code() {
        let Some(rest) = code.strip_prefix("pushflow ") else { continue };
        let verb = rest.split(' ').next().unwrap();
        // `pushflow check-pools`, and the `check-daemonic` that follows it.
        assert!(verbs.iter().any(|known| known == verb) || verb.starts_with("-"), "`{code}`: there is no verb {verb}");
        seen += 1;
        let help = pushflow(&[verb, "--help"]);
        for option in rest.split(' ').skip(1).filter(|word| word.starts_with('-') && *word != "-") {
            assert!(
                help.contains(&format!("{option} ")) || help.contains(&format!("{option}\n")),
                "`{code}`: no {option}"
            );
        }
    }
    assert!(seen > 20, "{seen}");
}

/// All that the sources hold, as they are written.
fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "py") {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn the_readme_explains_messages_that_there_are() {
    // Those of Python and of the kernel.
    let others = [
        "No module named",
        "missing 1 required",
        "got an unexpected keyword",
        "daemonic processes are not",
        "Permission denied",
        "Read-only file",
    ];
    let mut code = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
    let code = code.replace("\\\"", "\"");
    let (_, section) = README.split_once("\n## When something goes wrong\n").unwrap();
    let rows = section.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    let mut count = 0;
    for row in rows {
        let first = row.split(" | ").next().unwrap().trim_start_matches("| ");
        for message in first.split('`').skip(1).step_by(2) {
            count += 1;
            if others.iter().any(|other| message.starts_with(other)) {
                continue;
            }
            // What varies is written as … or NAME, and is a pair of braces in the code. So are the two buses.
            let message = message.replace("system bus", "…").replace("session bus", "…");
            for part in message.split(['…']).flat_map(|part| part.split("NAME")).map(str::trim) {
                let part = part
                    .replace("SIGSEGV", "")
                    .replace("SIGKILL", if message.contains("survive") { "SIGKILL" } else { "" });
                let part = part.trim();
                assert!(code.contains(part), "the README explains {message:?}: nothing says {part:?}");
            }
        }
    }
    assert!(count > 20, "{count}");
}
