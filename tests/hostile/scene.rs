//! One run of hostile tasks, and the look from outside at what is left of it.

use std::fs;
use std::process::Command;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::process::{Mark, PATIENCE, output, wait_until_gone};
use crate::support::{Finished, Project, Running, finished, is_alive};

/// What every task begins with. `note` says in the log and in a file that something has happened.
pub(crate) const PRELUDE: &str = "
import ctypes, os, signal, subprocess, sys, time

def note(text):
    with open('notes', 'a') as notes: notes.write(text + '\\n')
    print('note', text, flush=True)

def forever():
    while True:
        try: time.sleep(1000)
        except BaseException: pass

def ignore(*signals):
    'Ignores signals, in whichever thread.'
    for one in signals: ctypes.CDLL(None).signal(int(one), ctypes.c_void_p(1))

def deaf(): ignore(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

def fork(child):
    pid = os.fork()
    if pid == 0:
        try: child()
        finally: os._exit(0)
    return pid

def daemon(name='some-daemon'):
    'Starts a daemon as books say it: twice forked, in a session of its own, with no descriptor left.'
    read, write = os.pipe()
    def first():
        os.setsid()
        def second():
            os.chdir('/')
            ctypes.CDLL(None).prctl(15, name.encode())
            deaf()
            os.write(write, str(os.getpid()).encode())
            os.closerange(0, 1024)
            forever()
        fork(second)
    os.waitpid(fork(first), 0)
    os.close(write)
    pid = int(os.read(read, 20))
    os.close(read)
    return pid
";

/// A workflow of one task, run with a mark.
pub(crate) struct Scene {
    pub(crate) project: Project,
    mark: Mark,
}

impl Scene {
    /// The task's `run` has this body, indented by four spaces.
    pub(crate) fn task(body: &str, pool: &str) -> Self {
        let script = format!("{PRELUDE}\ndef run(**_):\n{body}\n");
        Scene::of(Project::task(&script).with_pool(pool))
    }

    pub(crate) fn of(project: Project) -> Self {
        let mark = Mark::on(&mut Command::new("pushflow"));
        Scene { project, mark }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.command(&[&["run", "w.toml"], arguments].concat());
        self.mark.also_on(&mut command);
        command
    }

    pub(crate) fn start(&self) -> Running {
        self.project.start_as(&mut self.command(&[]))
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        finished(output(&mut self.command(arguments)))
    }

    /// The lines of the notes that tasks have made.
    pub(crate) fn notes(&self) -> Vec<String> {
        let notes = fs::read_to_string(self.project.path("notes")).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }

    /// The processes that have come of it, whatever they have become: those with its mark, and those that tasks have noted as `pid N`.
    pub(crate) fn left(&self) -> Vec<i32> {
        let noted =
            self.notes().iter().filter_map(|note| note.strip_prefix("pid ")?.parse().ok()).collect::<Vec<i32>>();
        let mut left = self.mark.processes();
        left.extend(noted.into_iter().filter(|pid| !left.contains(pid) && is_alive(*pid)).collect::<Vec<_>>());
        left
    }

    /// Pushflow has exited: from then on there must be nothing.
    pub(crate) fn nothing_is_left(&self, context: &str) {
        let left = self.left();
        let names = left.iter().map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default());
        let names: Vec<_> = names.collect();
        assert!(left.is_empty(), "{left:?} {names:?} are left: {context}");
    }

    /// One that was killed had no chance to wait: soon there must be nothing.
    pub(crate) fn soon_nothing_is_left(&self, context: &str) {
        let begin = Instant::now();
        loop {
            let left = self.left();
            if left.is_empty() {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{left:?} are still there: {context}");
            left.into_iter().for_each(wait_until_gone);
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // A test that failed must not leave behind what it found.
        self.mark.kill_all();
        for pid in self.left() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
