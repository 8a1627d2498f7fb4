//! A process that not even SIGKILL ends: it writes to a file system that is frozen, as one whose disk does not answer.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::frozen::Disk;
use crate::scene::Scene;
use crate::support::process::PATIENCE;

/// Waits until a process of the scene is in state D.
fn wait_until_blocked(scene: &Scene) {
    let state = |pid: &i32| procfs::process::Process::new(*pid).and_then(|it| it.stat()).map(|stat| stat.state);
    let until = Instant::now() + PATIENCE;
    while !scene.left().iter().any(|pid| matches!(state(pid), Ok('D'))) {
        assert!(Instant::now() < until, "none of {:?} is blocked", scene.left());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_process_that_the_kernel_does_not_let_go_is_named_and_waited_for() {
    let disk = Disk::new();
    let body = format!("    deaf()\n    note('ready')\n    open({:?}, 'w').write('x')", disk.path().join("file"));
    let scene = Scene::task(&body, "grace = '300ms'");
    let mut running = scene.start();
    // Thaws first, should the test fail: nothing else ends the process.
    let frozen = disk.freeze();
    running.wait_for("note ready");
    wait_until_blocked(&scene);
    running.signal(Signal::SIGINT);
    let said = running.wait_for("killed, and still there");
    assert!(said.contains("blocked in the kernel"), "{said}");
    drop(frozen);
    let finished = running.finish();
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    scene.nothing_is_left(&finished.stderr);
}
