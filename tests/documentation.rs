//! The manual pages and completions that the packages install, checked by the programs that read them; and what the README, the
//! manual and CONTRIBUTING.md say, compared with the program and the sources. (tests/systemd runs the commands that they print.)

#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "no test crate uses all of it")]
#[path = "binary/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::fmt::Write as _;
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

/// A file of the repository.
fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The documents in Markdown, by their paths: the README, the manual, and those for developers.
fn documents() -> Vec<(String, String)> {
    let mut paths = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/bench/README.md", "tests/parity/README.md"]
        .map(str::to_owned)
        .to_vec();
    for entry in fs::read_dir(here("packaging/man")).unwrap() {
        paths.push(format!("packaging/man/{}", entry.unwrap().file_name().to_str().unwrap()));
    }
    assert!(paths.len() > 10, "{paths:?}");
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(here(&path)).unwrap())).collect()
}

/// Those that users read.
fn for_users() -> impl Iterator<Item = (String, String)> {
    documents().into_iter().filter(|(path, _)| path == "README.md" || path.starts_with("packaging/man/"))
}

fn page(name: &str) -> String {
    fs::read_to_string(here("packaging/man").join(format!("{name}.md"))).unwrap()
}

/// The blocks of code of this kind: `toml`, `python`.
fn blocks(markdown: &str, kind: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Option<(bool, String)> = None;
    for line in markdown.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(named)) => block = Some((named == kind, String::new())),
            (None, None) => {}
            (Some((wanted, text)), Some(_)) => {
                if *wanted {
                    found.push(std::mem::take(text));
                }
                block = None;
            }
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    found
}

/// Markdown without its blocks of code.
fn prose(markdown: &str) -> String {
    markdown.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_run_as_they_are_printed() {
    for (document, script) in [("README.md", "measure.py"), ("packaging/man/pushflow.toml.5.md", "tasks/measure.py")] {
        let text = fs::read_to_string(here(document)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let one = |kind: &str, part: &str| blocks(&text, kind).into_iter().find(|block| block.contains(part)).unwrap();
        let workflow = folder.path().join("own.toml");
        fs::write(&workflow, one("toml", "good_enough")).unwrap();
        fs::create_dir(folder.path().join("tasks")).unwrap();
        fs::write(folder.path().join(script), one("python", "good_enough")).unwrap();
        let said = pushflow(&["run", "-q", workflow.to_str().unwrap()]);
        assert_eq!(said, "{\"sample\":\"lysozyme\",\"round\":3,\"good_enough\":true}\n", "{document}");
    }
}

/// A part of a workflow file, made whole.
fn whole(part: &str) -> String {
    let mut text = part.to_owned();
    if !part.contains("[actors.") {
        text.push_str("[actors.some]\nkind = \"fork\"\n");
    }
    if !part.contains("links = [") {
        let (_, actor) = text.split_once("[actors.").unwrap();
        let (actor, _) = actor.split_once(']').unwrap();
        let links =
            format!("links = [{{ from = \"start\", to = \"{actor}\" }}, {{ from = \"{actor}\", to = \"stop\" }}]\n");
        text.insert_str(0, &links);
    }
    text
}

#[test]
fn every_workflow_that_is_printed_is_valid() {
    let mut count = 0;
    for (document, text) in for_users() {
        for block in blocks(&text, "toml") {
            count += 1;
            let folder = tempfile::tempdir().unwrap();
            for script in block.lines().filter_map(|line| line.strip_prefix("script = \"")?.split('"').next()) {
                let script = folder.path().join(script);
                fs::create_dir_all(script.parent().unwrap()).unwrap();
                fs::write(script, "def run(**inputs):\n    return {}\n").unwrap();
            }
            fs::write(folder.path().join("mongo-url"), "mongodb://localhost/\n").unwrap();
            let file = folder.path().join("printed.toml");
            fs::write(&file, whole(&block)).unwrap();
            let checked = process::output(Command::new(env!("CARGO_BIN_EXE_pushflow")).arg("check").arg(&file));
            let said = String::from_utf8_lossy(&checked.stderr);
            assert!(checked.status.success(), "{document} prints\n{block}{said}");
        }
    }
    assert!(count > 6, "{count}");
}

#[test]
fn every_python_that_is_printed_is_python() {
    for (document, text) in for_users() {
        for block in blocks(&text, "python") {
            let mut python = Command::new("python3");
            let said =
                process::output(python.args(["-c", "import sys; compile(sys.argv[1], 'printed', 'exec')", &block]));
            assert!(said.status.success(), "{document}:\n{block}{}", String::from_utf8_lossy(&said.stderr));
        }
    }
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
fn without_the_converter_the_pages_of_the_verbs_are_written_and_the_others_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushflow"));
    let output = process::output(command.arg("man").arg(folder.path()).env("PATH", folder.path()));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("pushflow.toml(5)") && said.contains("apt install lowdown"), "{said}");
    assert!(folder.path().join("man1/pushflow-run.1").exists());
}

#[test]
fn a_folder_for_pages_that_cannot_be_made_is_named() {
    let output = process::output(Command::new(env!("CARGO_BIN_EXE_pushflow")).args(["man", "/dev/null/man"]));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("pushflow: cannot make the folder /dev/null/man/man1: "), "{said}");
}

/// What stands between grave accents in prose.
fn inline_code(markdown: &str) -> Vec<String> {
    // A line may end within it. In a table a bar is written with a backslash.
    let words = |code: &str| code.split_whitespace().collect::<Vec<_>>().join(" ").replace("\\|", "|");
    prose(markdown).split('`').skip(1).step_by(2).map(words).collect()
}

#[test]
fn the_documents_name_verbs_and_options_that_there_are() {
    let verbs = verbs();
    let mut seen = 0;
    for (document, code) in
        for_users().flat_map(|(path, text)| inline_code(&text).into_iter().map(move |code| (path.clone(), code)))
    {
        let Some(rest) = code.strip_prefix("pushflow ") else { continue };
        let verb = rest.split(' ').next().unwrap();
        if verb == "COMMAND" {
            continue;
        }
        assert!(verbs.iter().any(|known| known == verb), "{document}: `{code}`: there is no verb {verb}");
        seen += 1;
        let help = pushflow(&[verb, "--help"]);
        for option in rest.split(' ').skip(1).filter(|word| word.starts_with('-') && *word != "-") {
            assert!(
                help.contains(&format!("{option} ")) || help.contains(&format!("{option}\n")),
                "{document}: `{code}`: no {option}"
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
fn the_documents_explain_messages_that_there_are() {
    // Those of Python and of the kernel.
    let others = [
        "No module named",
        "missing 1 required",
        "got an unexpected keyword",
        "daemonic processes are not",
        "Permission denied",
        "Read-only file",
        "Assertion failed on job",
    ];
    let mut code = String::new();
    sources(&here("src"), &mut code);
    let code = code.replace("\\\"", "\"");
    let readme = fs::read_to_string(here("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## When something goes wrong\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let page = page("pushflow-troubleshooting.7");
    let rows = |text: &str| text.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect::<Vec<_>>();
    let (few, all) = (rows(section), rows(&page));
    assert!(few.len() == 5 && all.len() > 30, "{few:?} {all:?}");
    for row in few.iter().chain(&all) {
        let first = row.split(" | ").next().unwrap().trim_start_matches("| ");
        for message in first.split('`').skip(1).step_by(2) {
            assert!(all.iter().any(|row| row.contains(message)), "the manual does not explain {message:?}");
            if others.iter().any(|other| message.starts_with(other)) {
                continue;
            }
            // What varies is written as … or NAME, and is a pair of braces in the code. So are the two buses.
            let message = message.replace("system bus", "…").replace("session bus", "…").replace("N tasks", "… tasks");
            let message = message.replace("10 seconds", "…").replace("no interpreter", "no …");
            for part in message.split(['…']).flat_map(|part| part.split("NAME")).map(str::trim) {
                let part = part
                    .replace("SIGSEGV", "")
                    .replace("SIGKILL", if message.contains("survive") { "SIGKILL" } else { "" })
                    .replace(".broken-TIME", "");
                let part = part.trim();
                assert!(code.contains(part), "the documents explain {message:?}: nothing says {part:?}");
            }
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut count = 0;
    for (document, text) in documents() {
        // Not what stands between grave accents.
        let prose: String = prose(&text).split('`').step_by(2).collect();
        for link in prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { here(&document) } else { here(&document).parent().unwrap().join(path) };
            let there =
                fs::read_to_string(&target).unwrap_or_else(|error| panic!("{document} links to {link}: {error}"));
            let anchor = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            let found = there.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
            assert!(heading.is_empty() || found, "{document} links to {link}: no such heading");
        }
    }
    assert!(count > 60, "{count}");
}

#[test]
fn the_readme_is_short() {
    let size = fs::metadata(here("README.md")).unwrap().len();
    assert!(size <= 12_000, "{size} bytes: move details to the manual");
}

#[test]
fn contributors_are_told_of_files_that_there_are() {
    let mut count = 0;
    for (document, text) in documents() {
        for code in inline_code(&text) {
            let path = code.split([',', ' ', ':']).next().unwrap();
            let roots = ["src/", "tests/", "packaging/", "conf/", "units/", ".ci/"];
            if !roots.iter().any(|root| path.starts_with(root)) || path.contains(['*', '…']) || path.contains("NAME")
            {
                continue;
            }
            count += 1;
            assert!(here(path).exists(), "{document} names {path}, which does not exist");
        }
    }
    assert!(count > 40, "{count}");
}

/// The members of a D-Bus interface, as the manual writes them: `**Stop**(in s reason)`, `**Id** (t)`.
fn members(interface: &str) -> Vec<String> {
    let xml = fs::read_to_string(here("packaging/dbus").join(format!("{interface}.xml"))).unwrap();
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    let document = roxmltree::Document::parse_with_options(&xml, options).unwrap();
    let interface = document.descendants().find(|node| node.has_tag_name("interface")).unwrap();
    let attribute = |node: roxmltree::Node<'_, '_>, name: &str| node.attribute(name).unwrap_or_default().to_owned();
    let mut members = Vec::new();
    for member in interface.children().filter(roxmltree::Node::is_element) {
        let mut written = format!("**{}**", attribute(member, "name"));
        if member.has_tag_name("property") {
            let _ = write!(written, " ({})", attribute(member, "type"));
        } else {
            let arguments = member.children().filter(|node| node.has_tag_name("arg"));
            let arguments: Vec<String> = arguments
                .map(|argument| {
                    let [direction, kind, name] = ["direction", "type", "name"].map(|name| attribute(argument, name));
                    format!("{direction} {kind} {name}").trim().to_owned()
                })
                .collect();
            let _ = write!(written, "({})", arguments.join(", "));
        }
        members.push(written);
    }
    assert!(!members.is_empty());
    members
}

#[test]
fn the_manual_explains_every_member_on_d_bus() {
    let page = page("org.pushflow.Workflow1.5");
    let (_, all) = page.split_once("\n## THE WORKFLOW OBJECT\n").unwrap();
    let mut parts = all.split("\n## ");
    for interface in ["org.pushflow.Workflow1", "org.pushflow.Run1", "org.pushflow.Actor1", "org.pushflow.Process1"] {
        let part = parts.next().unwrap();
        let words = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&format!("interface `{interface}`")), "{interface} in {part}");
        let entries: Vec<&str> = part.lines().filter(|line| line.starts_with("- **")).collect();
        let members = members(interface);
        for member in &members {
            assert!(
                entries.iter().any(|line| line.contains(member)),
                "org.pushflow.Workflow1(5): {interface}: {member}"
            );
        }
        let explained: usize = entries.iter().map(|line| line.matches("**").count() / 2).sum();
        assert_eq!(explained, members.len(), "{interface}: {entries:#?}");
    }
}

#[test]
fn the_manual_explains_every_error_on_d_bus() {
    let mut code = String::new();
    sources(&here("src/bus"), &mut code);
    let names: BTreeSet<&str> = code.split('"').filter(|text| text.starts_with("org.pushflow.Error.")).collect();
    assert!(names.len() > 4, "{names:?}");
    let page = page("org.pushflow.Workflow1.5");
    for name in names {
        assert!(page.contains(&format!("- `{name}`\\\n")), "org.pushflow.Workflow1(5) says nothing of {name}");
    }
}

#[cfg(feature = "mx")]
#[test]
fn the_manual_explains_every_option_of_the_recorder() {
    let help = output(Command::new(env!("CARGO_BIN_EXE_pushflow-mx")).arg("--help"));
    let page = page("pushflow-mx.1");
    let options: BTreeSet<&str> = help
        .lines()
        .filter(|line| line.trim_start().starts_with('-'))
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with("--"))
        .collect();
    assert!(options.len() > 10, "{options:?}");
    for option in options {
        assert!(page.contains(&format!("**{option}**")), "pushflow-mx(1) says nothing of {option}");
    }
}
