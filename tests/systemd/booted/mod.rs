//! What needs a systemd that is really running.

mod access;
mod clients;
mod hardening;
mod instances;
mod limits;
mod packages;
mod printed;
mod service;
mod users;

use crate::machine::Machine;

const COMES_UP: &str = "
set -e
systemctl is-system-running --wait
pushflow --version
cat /sys/fs/cgroup/cgroup.controllers
";

#[test]
fn a_container_comes_up_with_pushflow_in_it() {
    let output = Machine::container().run(COMES_UP).ok();
    assert!(output.starts_with(&format!("running\npushflow {}\n", env!("CARGO_PKG_VERSION"))), "{output}");
}

#[test]
fn a_virtual_machine_comes_up_with_all_controllers() {
    let output = Machine::vm().run(COMES_UP).ok();
    for controller in ["cpu", "io", "memory", "pids"] {
        assert!(output.lines().last().unwrap_or_default().split(' ').any(|word| word == controller), "{output}");
    }
}

#[test]
fn a_script_that_fails_is_told_by_its_status_and_its_words() {
    let machine = Machine::container().file("/etc/greeting", "so far\n");
    let outcome = machine.run("cat /etc/greeting; echo wrong >&2; exit 7");
    assert_eq!((outcome.code, outcome.output.as_str()), (Some(7), "so far\nwrong\n"));
}
