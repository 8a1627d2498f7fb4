//! Packages of the binaries under test. `packaging/build` makes those that people get in the same way, of binaries of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{output, output_within};

/// Whatever makes or checks packages may take so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// The packages that are made: the recorder's, where the tests are compiled with it (`tests/run` does).
pub(crate) const PACKAGES: &[&str] = if cfg!(feature = "mx") { &["pushflow", "pushflow-mx"] } else { &["pushflow"] };

/// The packages of one version, in a folder that goes with the value.
pub(crate) struct Built(tempfile::TempDir);

impl Built {
    /// Made as people get them, but for the further arguments: `--loose` is for machines that are slow.
    pub(crate) fn version(version: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let binaries = Path::new(env!("CARGO_BIN_EXE_pushflow")).parent().expect("the folder of the binary");
        let mut build = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/build"));
        build.arg("--binaries").arg(binaries).arg("--out").arg(folder.path()).args(["--version", version]);
        build.args(arguments);
        // One that is there without the feature is of other sources.
        build.args((!cfg!(feature = "mx")).then_some("--without-mx"));
        let output = output_within(&mut build, PATIENCE);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "packaging/build: {said}\ntests/run installs what it needs");
        Built(folder)
    }

    /// A package of Debian.
    pub(crate) fn deb(&self, package: &str) -> PathBuf {
        self.one(&format!("{package}_"), ".deb")
    }

    /// One of Red Hat: `pushflow-0.1.0…`.
    pub(crate) fn rpm(&self, package: &str) -> PathBuf {
        self.one(&format!("{package}-"), ".rpm")
    }

    fn one(&self, start: &str, end: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.0.path()).expect("the folder of the packages");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
        let version_follows = |name: &String| {
            let rest = name.strip_prefix(start);
            name.ends_with(end) && rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        };
        self.0.path().join({ names }.find(version_follows).unwrap_or_else(|| panic!("no {start}*{end}")))
    }
}

/// Unpacks an .rpm into a folder.
pub(crate) fn unpack(rpm: &Path, folder: &Path) {
    let script = "set -o pipefail; rpm2archive --nocompression - <\"$0\" | tar -xp -C \"$1\"";
    let done = output(Command::new("bash").args(["-c", script]).arg(rpm).arg(folder));
    assert!(done.status.success(), "{done:?}");
}
