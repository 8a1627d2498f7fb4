//! Packages of the binary under test. `packaging/build` makes those that people get in the same way, of binaries of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages of one version, in a folder that goes with the value.
pub(crate) struct Built(tempfile::TempDir);

impl Built {
    pub(crate) fn version(version: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let binaries = Path::new(env!("CARGO_BIN_EXE_pushflow")).parent().expect("the folder of the binary");
        let mut build = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/build"));
        build.arg("--binaries").arg(binaries).arg("--out").arg(folder.path()).args(["--version", version]);
        let output = build.output().expect("packaging/build starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "packaging/build: {said}\ntests/run installs what it needs");
        Built(folder)
    }

    /// The package `pushflow` of Debian.
    pub(crate) fn deb(&self) -> PathBuf {
        self.one("pushflow_", ".deb")
    }

    /// That of Red Hat.
    pub(crate) fn rpm(&self) -> PathBuf {
        self.one("pushflow-", ".rpm")
    }

    fn one(&self, start: &str, end: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.0.path()).expect("the folder of the packages");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
        // Not pushflow-mx.
        let mut names = names.filter(|name| name.starts_with(start) && name.ends_with(end) && !name.contains("-mx"));
        self.0.path().join(names.next().unwrap_or_else(|| panic!("no {start}*{end}")))
    }
}
