//! The packages: what is in them, and what the tools of the distributions say. `tests/systemd` installs them.

#![allow(clippy::unwrap_used)]

mod built;
mod notices;
#[allow(dead_code, reason = "no test crate uses all of it")]
#[path = "../binary/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use built::{Built, PACKAGES, PATIENCE, unpack};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| Built::version(VERSION, &[]))
}

fn output(command: &mut Command) -> String {
    let called = format!("{command:?}");
    let output = process::output_within(command, PATIENCE);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{called}: {said}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

/// A field of a .deb.
fn field(package: &str, name: &str) -> String {
    output(Command::new("dpkg-deb").arg("--field").arg(built().deb(package)).arg(name)).trim().to_owned()
}

/// What a .rpm says to a query.
fn query(package: &str, arguments: &[&str]) -> String {
    output(Command::new("rpm").arg("-qp").args(arguments).arg(built().rpm(package)))
}

/// Mode and text of each file, by path; of manual pages, what is compressed in them.
type Files = BTreeMap<String, (u32, Vec<u8>)>;

fn files(root: &Path, folder: &Path, into: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(root, &path, into);
            continue;
        }
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let text = match name.strip_suffix(".gz") {
            Some(_) => process::output(Command::new("gzip").arg("-dc").arg(&path)).stdout,
            None => fs::read(&path).unwrap(),
        };
        into.insert(name, (fs::metadata(&path).unwrap().permissions().mode() & 0o7777, text));
    }
}

/// The files of a package, in the .deb and in the .rpm.
fn both(package: &str) -> (Files, Files) {
    let (deb, rpm) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    output(Command::new("dpkg-deb").arg("--extract").arg(built().deb(package)).arg(deb.path()));
    unpack(&built().rpm(package), rpm.path());
    let (mut ours, mut theirs) = (Files::new(), Files::new());
    files(deb.path(), deb.path(), &mut ours);
    files(rpm.path(), rpm.path(), &mut theirs);
    (ours, theirs)
}

#[test]
fn both_kinds_have_the_same_files_with_the_same_modes() {
    for package in PACKAGES {
        let (deb, rpm) = both(package);
        // Each has its own place for what the distribution's tools look for.
        let own = ["usr/share/doc/", "usr/share/licenses/", "usr/share/lintian/", "usr/share/zsh/"];
        let common = |files: &Files| {
            let files = files.clone().into_iter();
            files.filter(|(name, _)| !own.iter().any(|own| name.starts_with(own))).collect::<Files>()
        };
        let (deb, rpm) = (common(&deb), common(&rpm));
        let names =
            |files: &Files| files.iter().map(|(name, (mode, _))| format!("{mode:o} {name}")).collect::<Vec<_>>();
        assert_eq!(names(&deb), names(&rpm));
        for (name, file) in &deb {
            assert!(file.1 == rpm[name].1, "{name} is not the same in both");
        }
        assert!(!deb.keys().any(|name| name.contains("__pycache__")), "{:?}", deb.keys());
        if *package == "pushflow-mx" {
            assert_eq!(names(&deb), ["755 usr/bin/pushflow-mx", "644 usr/share/man/man1/pushflow-mx.1.gz"]);
        }
    }
    let (deb, _) = both("pushflow");
    for (mode, name) in [
        (0o755, "usr/bin/pushflow"),
        (0o644, "usr/lib/systemd/system/pushflow@.service"),
        (0o644, "usr/lib/systemd/user/pushflow.slice"),
        (0o644, "usr/share/dbus-1/interfaces/org.pushflow.Run1.xml"),
        (0o644, "usr/share/man/man8/pushflow@.service.8.gz"),
        (0o644, "etc/pushflow/pushflow.toml"),
        (0o644, "usr/share/pushflow/workflows/hello.toml"),
        (0o644, "usr/share/pushflow/workflow.schema.json"),
        (0o755, "usr/share/pushflow/workflows/data-reduction/programs/index.py"),
        (0o644, "usr/share/bash-completion/completions/pushflow"),
    ] {
        assert_eq!(deb.get(name).map(|(mode, _)| *mode), Some(mode), "{name}");
    }
}

#[test]
fn everything_of_packaging_and_units_is_in_them() {
    let (deb, _) = both("pushflow");
    let texts: Vec<&Vec<u8>> = deb.values().map(|(_, text)| text).collect();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [
        "units/system",
        "units/user",
        "packaging/dbus",
        "packaging/polkit",
        "packaging/sysusers",
        "packaging/tmpfiles",
        "packaging/journal",
    ] {
        for entry in fs::read_dir(here.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read(&path).unwrap();
            assert!(texts.iter().any(|found| **found == text), "{} is not in the package", path.display());
        }
    }
}

#[test]
fn links_of_the_readme_lead_to_what_is_installed() {
    let (deb, rpm) = both("pushflow");
    for (kind, files) in [("deb", deb), ("rpm", rpm)] {
        let readme = String::from_utf8(files["usr/share/doc/pushflow/README.md"].1.clone()).unwrap();
        let mut count = 0;
        for link in readme.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            count += 1;
            let path =
                match (link.strip_prefix("man:").and_then(|page| page.split_once('(')), link.strip_prefix("../../")) {
                    // A package of its own.
                    (Some(("pushflow-mx", "1")), _) => continue,
                    (Some((name, section)), _) => format!("usr/share/man/man{section}/{name}.{section}.gz"),
                    (None, Some(beside)) => format!("usr/share/{beside}"),
                    (None, None) => format!("usr/share/doc/pushflow/{link}"),
                };
            assert!(files.contains_key(&path), "README of the {kind}: {link}: there is no {path}");
        }
        assert!(count > 10, "{count}");
    }
}

#[test]
fn the_configuration_is_kept_when_it_was_changed() {
    let listed = output(Command::new("dpkg-deb").arg("--info").arg(built().deb("pushflow")).arg("conffiles"));
    assert_eq!(listed, "/etc/pushflow/pushflow.toml\n");
    assert_eq!(query("pushflow", &["--configfiles"]), "/etc/pushflow/pushflow.toml\n");
    let flags = query("pushflow", &["--qf", "[%{FILEFLAGS:fflags} %{FILENAMES}\\n]"]);
    // c: configuration; n: a changed one is kept.
    assert!(flags.lines().any(|line| line == "cn /etc/pushflow/pushflow.toml"), "{flags}");
}

#[test]
fn they_depend_on_what_they_need_and_no_more() {
    assert_eq!(
        field("pushflow", "Depends"),
        "libc6 (>= 2.34), libgcc-s1 (>= 4.2), systemd | systemd-standalone-sysusers | systemd-sysusers, python3 (>= 3.8)"
    );
    for package in PACKAGES {
        let requires = query(package, &["--requires"]);
        let needs: Vec<&str> = requires.lines().filter(|line| !line.starts_with("rpmlib(")).collect();
        let own: &[&str] = match *package {
            "pushflow" => &["python3 >= 3.8", "systemd >= 247"],
            _ => &[concat!("pushflow = ", env!("CARGO_PKG_VERSION"), "-1")],
        };
        for need in own.iter().chain(&["libc.so.6(GLIBC_2.34)(64bit)", "libgcc_s.so.1()(64bit)"]) {
            assert!(needs.contains(need), "{package}: {need} in {needs:?}");
        }
        // What comes after RHEL 9, Ubuntu 22.04 and Debian 12.
        assert!(!needs.iter().any(|need| need.contains("GLIBC_2.35") || need.contains("GLIBC_2.36")), "{needs:?}");
    }
}

#[test]
fn lintian_has_nothing_to_say() {
    for package in PACKAGES {
        let mut lintian = Command::new("lintian");
        lintian.args(["--allow-root", "--fail-on", "error,warning", "--display-level", ">=warning"]);
        assert_eq!(output(lintian.arg(built().deb(package))), "");
    }
}

#[test]
fn rpmlint_has_nothing_to_say() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/rpm/rpmlint.toml");
    for package in PACKAGES {
        let said = output(Command::new("rpmlint").arg("--config").arg(&config).arg(built().rpm(package)));
        assert!(said.contains("; 0 errors, 0 warnings"), "{said}");
    }
}

#[test]
fn the_same_binaries_make_the_same_bytes() {
    let again = Built::version(VERSION, &[]);
    for package in PACKAGES {
        for (one, other) in [(built().deb(package), again.deb(package)), (built().rpm(package), again.rpm(package))] {
            assert!(fs::read(&one).unwrap() == fs::read(&other).unwrap(), "{} differs", one.display());
        }
    }
}
