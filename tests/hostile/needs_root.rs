//! A process that not even SIGKILL ends: it writes to a file system that is frozen, as one whose disk does not answer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::scene::Scene;

/// A file system of its own, frozen. It thaws and goes with the value.
struct Frozen {
    _folder: tempfile::TempDir,
    mount: PathBuf,
}

fn command(program: &str, arguments: &[&str], path: &Path) {
    let output = Command::new(program).args(arguments).arg(path).output().unwrap();
    assert!(output.status.success(), "{program} (this test needs root): {}", String::from_utf8_lossy(&output.stderr));
}

impl Frozen {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (image, mount) = (folder.path().join("image"), folder.path().join("mount"));
        std::fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
        std::fs::create_dir(&mount).unwrap();
        command("mke2fs", &["-q", "-t", "ext4"], &image);
        command("mount", &["-o", "loop", image.to_str().unwrap()], &mount);
        let frozen = Frozen { _folder: folder, mount };
        command("fsfreeze", &["--freeze"], &frozen.mount);
        frozen
    }

    fn thaw(&self) {
        command("fsfreeze", &["--unfreeze"], &self.mount);
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Thawed already, where the test has come so far.
        let _ = Command::new("fsfreeze").arg("--unfreeze").arg(&self.mount).output();
        let _ = Command::new("umount").arg(&self.mount).output();
    }
}

/// Waits until a process of the scene is in state D.
fn wait_until_blocked(scene: &Scene) {
    let state = |pid: &i32| procfs::process::Process::new(*pid).and_then(|it| it.stat()).map(|stat| stat.state);
    while !scene.left().iter().any(|pid| matches!(state(pid), Ok('D'))) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_process_that_the_kernel_does_not_let_go_is_named_and_waited_for() {
    let frozen = Frozen::new();
    let body = format!("    deaf()\n    note('ready')\n    open({:?}, 'w').write('x')", frozen.mount.join("file"));
    let scene = Scene::task(&body, "grace = '300ms'");
    let mut running = scene.start();
    // Thaws first, should the test fail: nothing else ends the process.
    let frozen = frozen;
    running.wait_for("note ready");
    wait_until_blocked(&scene);
    running.signal(Signal::SIGINT);
    let said = running.wait_for("killed, and still there");
    assert!(said.contains("blocked in the kernel"), "{said}");
    frozen.thaw();
    let finished = running.finish();
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    scene.nothing_is_left(&finished.stderr);
}
