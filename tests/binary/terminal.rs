//! `pushflow run` as the job of a shell at a terminal: Ctrl-C, Ctrl-Z, fg, and `timeout` in front.

use crate::support::process::output;
use crate::support::{Project, finished, python};

/// A shell with one job, at a terminal of its own. `at(text)` waits for output, `key(bytes)` types.
const SHELL: &str = r"
import fcntl, json, os, pty, select, signal, sys, termios, time

master, slave = pty.openpty()
status_read, status = os.pipe()
control, control_write = os.pipe()
shell = os.fork()
if shell == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2): os.dup2(slave, fd)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        for fd in (master, slave, status, status_read, control, control_write): os.set_inheritable(fd, False)
        os.execv(sys.argv[1], sys.argv[1:])
    while True:
        _, how = os.waitpid(job, os.WUNTRACED)
        if not os.WIFSTOPPED(how): break
        os.write(status, b'stopped %d\n' % job)
        os.read(control, 1)
        os.tcsetpgrp(0, job)
        os.killpg(job, signal.SIGCONT)
    os.write(status, b'exit %d\n' % os.WEXITSTATUS(how))
    os._exit(0)
os.close(slave); os.close(status)
seen = b''

def late(*_): sys.exit(f'this takes too long; up to now there came: {seen.decode()}')
signal.signal(signal.SIGALRM, late)
signal.alarm(120)

def at(text, seconds=60):
    global seen
    until = time.monotonic() + seconds
    while text not in seen:
        if not select.select([master], [], [], max(0, until - time.monotonic()))[0]:
            sys.exit(f'{text!r} never came: {seen.decode()}')
        seen += os.read(master, 65536)

def rest():
    global seen
    try:
        while True:
            data = os.read(master, 65536)
            if not data: break
            seen += data
    except OSError: pass
    return seen.decode()

def key(what): os.write(master, what)
def told(): return os.read(status_read, 100).decode().split()

def state(pid):
    stat = open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()
    return stat[0]

def children(pid):
    found = []
    for entry in os.listdir('/proc'):
        try:
            if entry.isdigit() and open(f'/proc/{entry}/stat').read().rpartition(')')[2].split()[1] == str(pid): found.append(int(entry))
        except OSError: pass
    return found
";

const TASK: &str = "
import os, time
def run(**_):
    interrupts = 0
    print('ready', flush=True)
    while not os.path.exists('go'):
        try: time.sleep(0.01)
        except KeyboardInterrupt:
            print('interrupt', flush=True)
            raise
    return {'done': True}
";

fn at_a_terminal(project: &Project, script: &str) -> String {
    let mut command = project.program(python().to_str().unwrap());
    command.args(["-c", &format!("{SHELL}\n{script}"), env!("CARGO_BIN_EXE_pushflow"), "run", "w.toml"]);
    command.env("NO_COLOR", "1");
    let finished = finished(output(&mut command));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    finished.stdout
}

#[test]
fn one_ctrl_c_is_one_interrupt() {
    let project = Project::task(TASK);
    let seen = at_a_terminal(&project, "at(b'ready'); key(b'\\x03'); print(told()); print(rest())");
    assert!(seen.starts_with("['exit', '130']"), "{seen}");
    assert_eq!(seen.matches("task | interrupt").count(), 1, "{seen}");
    assert_eq!(seen.matches("press Ctrl-C again").count(), 1, "{seen}");
    assert!(!seen.contains("killing the running tasks"), "{seen}");
}

#[test]
fn two_ctrl_c_are_two_interrupts() {
    let project = Project::task(&TASK.replace("raise", "pass"));
    let script = "at(b'ready'); key(b'\\x03'); at(b'interrupt\\r'); key(b'\\x03'); print(told()); print(rest())";
    let seen = at_a_terminal(&project, script);
    assert!(seen.starts_with("['exit', '130']"), "{seen}");
    assert!(seen.contains("killing the running tasks"), "{seen}");
}

#[test]
fn ctrl_z_stops_the_supervisor_and_fg_lets_it_go_on() {
    let project = Project::task(TASK);
    let script = "
at(b'ready')
key(b'\\x1a')
word, job = told()
[supervisor] = children(int(job))
stopped = state(supervisor)
os.write(control_write, b'1')
while state(supervisor) == 'T': time.sleep(0.01)
open('go', 'w').close()
print(word, stopped, told())
print(rest())";
    let seen = at_a_terminal(&project, script);
    assert!(seen.starts_with("stopped T ['exit', '0']"), "{seen}");
    assert!(seen.contains("\"done\":true"), "{seen}");
}

#[test]
fn timeout_in_front_sends_its_signal_twice_which_is_one_stop() {
    let project = Project::task("import time\ndef run(**_):\n    time.sleep(1.5)\n    return {'done': True}");
    let mut command = project.program("timeout");
    command.args(["1", env!("CARGO_BIN_EXE_pushflow"), "run", "w.toml"]);
    let finished = project.start_as(&mut command).finish();
    assert_eq!(finished.code, Some(124), "{}", finished.stderr);
    assert_eq!(finished.any_json()["done"], true, "{}", finished.stderr);
}
