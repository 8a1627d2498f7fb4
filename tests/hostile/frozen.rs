//! A disk that hangs: a file system of its own that can be frozen. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::process::output;

/// It goes with the value: whatever uses it must have ended before.
pub(crate) struct Disk {
    _folder: tempfile::TempDir,
    mount: PathBuf,
}

fn command(program: &str, arguments: &[&str], path: &Path) {
    let output = output(Command::new(program).args(arguments).arg(path));
    assert!(output.status.success(), "{program} (this test needs root): {}", String::from_utf8_lossy(&output.stderr));
}

impl Disk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (image, mount) = (folder.path().join("image"), folder.path().join("mount"));
        std::fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        std::fs::create_dir(&mount).unwrap();
        command("mke2fs", &["-q", "-t", "ext4"], &image);
        command("mount", &["-o", "loop", image.to_str().unwrap()], &mount);
        Disk { _folder: folder, mount }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    /// From now on nothing that writes to it returns, not even for SIGKILL, until the value goes.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        command("fsfreeze", &["--freeze"], &self.mount);
        Frozen(&self.mount)
    }
}

/// A disk that hangs. As if nothing had been, it goes on when the value goes.
pub(crate) struct Frozen<'d>(&'d Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("--unfreeze").arg(self.0).output();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What has just been killed may use it for a moment longer.
        for _ in 0..200 {
            if Command::new("umount").arg(&self.mount).output().is_ok_and(|done| done.status.success()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        eprintln!("{} is still mounted", self.mount.display());
    }
}
