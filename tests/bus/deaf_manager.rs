//! A service manager that does not read its socket.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::bus::{Bus, Installed};

#[test]
fn a_service_manager_that_never_reads_holds_up_neither_calls_nor_runs_nor_the_end() {
    let (bus, project) = (Bus::new(), Installed::resident("", "def run(**_): return {}"));
    let path = project.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    // Filled, so that the first message of the service waits already.
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    let error = std::iter::repeat_with(|| filler.send_to(b"STATUS=full", &path)).find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);

    let mut command = bus.pushflow_command(&project, &["serve", "w"]);
    let mut service = project.start_as(command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "2000000"));
    service.wait_for("ready");
    for _ in 0..3 {
        assert_eq!(bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]).code, Some(0));
        service.wait_for("run ended: finished");
    }
    assert_eq!(bus.call("w", "Reload", &[]).code, Some(0));
    assert_eq!(bus.workflow("w", "State"), "idle");
    service.signal(Signal::SIGTERM);
    service.wait_for("every process is gone");
    let gone = Instant::now();
    let ended = service.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // It leaves a second for messages; the rest is for a loaded machine.
    assert!(gone.elapsed() < Duration::from_secs(30), "{:?}", gone.elapsed());
    drop(socket);
}
