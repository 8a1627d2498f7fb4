//! Packages of the binary under test. `packaging/build` makes those that people get in the same way, of binaries of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The packages of one version.
pub(crate) struct Built {
    folder: PathBuf,
    /// Goes with the value.
    _temporary: Option<tempfile::TempDir>,
}

impl Built {
    /// Those of this version, made once, in the target folder.
    pub(crate) fn current() -> &'static Self {
        static CURRENT: OnceLock<Built> = OnceLock::new();
        CURRENT.get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
            build(env!("CARGO_PKG_VERSION"), &folder);
            Built { folder, _temporary: None }
        })
    }

    /// Those of a version, in a folder of their own.
    pub(crate) fn version(version: &str) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        build(version, temporary.path());
        Built { folder: temporary.path().to_owned(), _temporary: Some(temporary) }
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
        let entries = std::fs::read_dir(&self.folder).expect("the folder of the packages");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
        // Not pushflow-mx.
        let mut names = names.filter(|name| name.starts_with(start) && name.ends_with(end) && !name.contains("-mx"));
        self.folder.join(names.next().unwrap_or_else(|| panic!("no {start}*{end}")))
    }
}

fn build(version: &str, folder: &Path) {
    let binaries = Path::new(env!("CARGO_BIN_EXE_pushflow")).parent().expect("the folder of the binary");
    let mut build = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/build"));
    build.arg("--binaries").arg(binaries).arg("--out").arg(folder).args(["--version", version]);
    let output = build.output().expect("packaging/build starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "packaging/build: {said}\ntests/run installs what it needs");
}
