//! A supervisor or guardian that is killed with SIGKILL, at any moment, leaves nothing.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::scene::Scene;
use crate::seed::Random;
use crate::support::process::status_after;

/// Starts daemons, other sessions and plain children, again and again.
const BUSY: &str = "
    for _ in range(1000):
        daemon()
        subprocess.Popen(['sh', '-c', 'sleep 1000 & setsid sleep 1000'], start_new_session=True)
        time.sleep(0.01)
    time.sleep(1000)";

fn children_of(pid: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|child| {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<i32>().ok());
        parent == Some(pid)
    })
    .collect()
}

#[derive(Clone, Copy, Debug)]
enum Whom {
    Supervisor,
    Guardian,
    Group,
}

fn kill_at_random_moments(whom: Whom, times: usize, seed: u64) {
    let mut random = Random::new(seed);
    for round in 0..times {
        let scene = Scene::task(BUSY, "grace = '300ms'");
        let mut command = scene.command(&["-q"]);
        command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
        // The moments are what is tested: from before there is a supervisor to when many processes are there.
        let moment = Duration::from_micros(random.below(300_000));
        let status = status_after(&mut command, |guardian| {
            std::thread::sleep(moment);
            match whom {
                Whom::Guardian => kill(guardian, Signal::SIGKILL).unwrap(),
                Whom::Group => killpg(guardian, Signal::SIGKILL).unwrap(),
                Whom::Supervisor => {
                    // Before the guardian has forked it is the supervisor to be.
                    let supervisor = children_of(guardian.as_raw()).first().copied().unwrap_or(guardian.as_raw());
                    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
                }
            }
        });
        let context = format!("{whom:?} killed in round {round}, after {moment:?}: {status}");
        match whom {
            // The guardian has waited for everything.
            Whom::Supervisor if status.code().is_some() => {
                assert_eq!(status.code(), Some(137), "{context}");
                scene.nothing_is_left(&context);
            }
            _ => scene.soon_nothing_is_left(&context),
        }
    }
}

#[test]
fn a_supervisor_that_is_killed_at_50_moments_leaves_nothing() {
    kill_at_random_moments(Whom::Supervisor, 50, 0x9e37_79b9_7f4a_7c15);
}

#[test]
fn a_supervisor_that_is_killed_at_50_other_moments_leaves_nothing() {
    kill_at_random_moments(Whom::Supervisor, 50, 0xd1b5_4a32_d192_ed03);
}

#[test]
fn a_guardian_that_is_killed_at_30_moments_leaves_nothing() {
    kill_at_random_moments(Whom::Guardian, 30, 0x2545_f491_4f6c_dd1d);
}

#[test]
fn a_process_group_that_is_killed_at_30_moments_leaves_nothing() {
    kill_at_random_moments(Whom::Group, 30, 0x8547_2af1_03c9_6b57);
}

#[test]
fn the_guardian_says_what_became_of_a_killed_supervisor() {
    let scene = Scene::task("    daemon()\n    note('ready')\n    time.sleep(1000)", "grace = '300ms'");
    let mut running = scene.start();
    running.wait_for("note ready");
    let supervisor = children_of(running.pid().as_raw())[0];
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    let finished = running.finish();
    scene.nothing_is_left(&finished.stderr);
    assert_eq!(finished.code, Some(137));
    assert!(finished.stderr.contains("pushflow: the supervisor was killed by SIGKILL; "), "{}", finished.stderr);
}
