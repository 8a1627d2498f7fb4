//! What the packages say of the crates that are linked into their programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::built::{PACKAGES, PATIENCE};
use crate::{Files, both, output, process, query};

/// The text of a file.
fn text(files: &Files, name: &str) -> String {
    let (_, text) = files.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", files.keys()));
    String::from_utf8(text.clone()).unwrap()
}

/// NAME-VERSION of the crates whose sources are named in a program, mostly by what it says when it panics.
fn named_in(program: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(program);
    // The folders of crates are below one for each registry.
    let paths = text.split("registry/src/").skip(1).filter_map(|path| path.split('/').nth(1));
    let known = |name: &&str| {
        name.len() < 100 && name.chars().all(|char| char.is_ascii_alphanumeric() || "-_.+".contains(char))
    };
    paths.filter(known).map(str::to_owned).collect()
}

/// NAME-VERSION of the crates that cargo links into a program.
fn linked(package: &str) -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "tree",
        "--locked",
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
    ]);
    tree.args(["--no-dedupe", "--format", "{p}"]).args((package == "pushflow-mx").then_some("--features=mx"));
    let tree = output(&mut tree);
    let crates = tree.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join("-").replace("-v", "-"));
    crates.filter(|name| !name.starts_with("pushflow-")).collect()
}

#[test]
fn each_crate_that_is_linked_is_named_with_its_licence() {
    for package in PACKAGES {
        let (deb, rpm) = both(package);
        let copyright = text(&deb, &format!("usr/share/doc/{package}/copyright"));
        let notices = text(&deb, &format!("usr/share/doc/{package}/THIRD-PARTY-NOTICES.gz"));
        let named: BTreeSet<&str> =
            copyright.lines().filter_map(|line| line.strip_prefix("Files: vendor/")?.strip_suffix("/*")).collect();
        let linked = linked(package);
        assert!(linked.len() > 100, "{linked:?}");
        let program = named_in(&deb[&format!("usr/bin/{package}")].1);
        assert!(program.len() > 10, "{program:?}");
        for name in linked.union(&program) {
            assert!(named.contains(name.as_str()), "{package}: {name} is linked, and not in the copyright");
            assert!(notices.contains(&format!("\n{name}: ")), "{package}: {name} is not in the notices");
        }
        for part in ["rust-library-", "libsqlite3-sys-"] {
            assert!(named.iter().any(|name| name.starts_with(part)), "{package}: {part}… is not in the copyright");
        }
        assert!(named.iter().any(|name| name.ends_with("/sqlite3")), "{package}: nothing is said of SQLite");
        // What only tests need is not in there.
        assert!(!named.iter().any(|name| name.starts_with("insta-")), "{package}: names crates that are not linked");
        assert_eq!(text(&rpm, &format!("usr/share/licenses/{package}/THIRD-PARTY-NOTICES")), notices);
        assert!(rpm.contains_key(&format!("usr/share/licenses/{package}/LICENSE")));
        let license = query(package, &["--qf", "%{LICENSE}"]);
        assert!(license.starts_with("MIT AND ") && license.contains("Unicode-3.0"), "{license}");
    }
}

#[test]
fn every_licence_in_the_copyright_has_a_text() {
    for package in PACKAGES {
        let (deb, _) = both(package);
        let copyright = text(&deb, &format!("usr/share/doc/{package}/copyright"));
        let paragraphs: Vec<&str> = copyright.split("\n\n").collect();
        // A paragraph that begins with a licence has its text.
        let texts: BTreeSet<&str> = paragraphs
            .iter()
            .filter_map(|paragraph| paragraph.strip_prefix("License: ")?.split_once("\n ").map(|(name, _)| name))
            .collect();
        let mut used = BTreeSet::new();
        for paragraph in paragraphs.iter().filter(|paragraph| paragraph.starts_with("Files: ")) {
            let fields: Vec<&str> = paragraph.lines().filter(|line| !line.starts_with(' ')).collect();
            let [_, copyright, license] = fields[..] else { panic!("{paragraph}") };
            assert!(copyright.strip_prefix("Copyright: ").is_some_and(|holder| !holder.is_empty()), "{paragraph}");
            let license = license.strip_prefix("License: ").unwrap().replace(", and ", " and ");
            used.extend(license.split(" and ").flat_map(|part| part.split(" or ")).map(str::to_owned));
        }
        let used: BTreeSet<&str> = used.iter().map(String::as_str).collect();
        assert_eq!(used, texts, "{package}");
    }
}

#[test]
fn a_licence_whose_text_nobody_has_written_down_stops_the_build() {
    let folder = tempfile::tempdir().unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts = fs::read_to_string(here.join("packaging/debian/copyright")).unwrap();
    let without = folder.path().join("copyright");
    fs::write(&without, texts.replace("License: Zlib", "License: another")).unwrap();
    let mut notices = Command::new(here.join("packaging/notices"));
    let said =
        process::output_within(notices.arg("--copyright").arg(&without).arg(folder.path().join("out")), PATIENCE);
    let message = String::from_utf8(said.stderr).unwrap();
    assert!(!said.status.success() && message.contains("no text of Zlib in "), "{message}");
}
