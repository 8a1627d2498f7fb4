//! Processes that tests start. Each has a mark, by which all that comes of it is found, and each wait for it has a deadline: then
//! all of it is killed, and the test fails with what was seen up to then.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a test waits for anything: many times what it takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// How long it takes at most until what was killed has gone.
const KILLED: Duration = Duration::from_secs(20);

/// A variable of its own in the environment of a command: everything that comes of it inherits that, and whatever it does, nobody
/// can take it away.
#[derive(Clone)]
pub(crate) struct Mark(String);

impl Mark {
    const NAME: &str = "PUSHFLOW_TEST_MARK";

    /// The command's mark; it gets one if it has none.
    pub(crate) fn on(command: &mut Command) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let given = command.get_envs().find(|(name, _)| *name == Mark::NAME).and_then(|(_, value)| value);
        let mark = Mark(match given {
            Some(given) => given.to_string_lossy().into_owned(),
            None => format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)),
        });
        mark.also_on(command);
        mark
    }

    /// Puts it on a further command.
    pub(crate) fn also_on(&self, command: &mut Command) {
        command.env(Mark::NAME, &self.0);
    }

    /// The processes that have it.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let wanted = format!("{}={}\0", Mark::NAME, self.0).into_bytes();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.windows(wanted.len()).any(|window| window == wanted)
        })
        .collect()
    }

    /// Ends them, and what they start meanwhile.
    pub(crate) fn kill_all(&self) {
        let begin = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() || begin.elapsed() > KILLED {
                return;
            }
            for pid in left {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

/// Something took longer than a test waits.
struct TooLate;

/// What a process writes into a pipe: read by a thread of its own, so that the process never waits for the test.
struct Written {
    pieces: mpsc::Receiver<Vec<u8>>,
    /// All of it up to now.
    seen: Vec<u8>,
    /// How much of that was taken as lines.
    taken: usize,
}

impl Written {
    fn by(mut pipe: impl Read + Send + 'static) -> Self {
        let (tell, pieces) = mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut piece) {
                if tell.send(piece[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Written { pieces, seen: Vec::new(), taken: 0 }
    }

    /// Whether there is more; false at the end.
    fn more(&mut self, until: Instant) -> Result<bool, TooLate> {
        match self.pieces.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(piece) => self.seen.extend(piece),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(false),
            Err(mpsc::RecvTimeoutError::Timeout) => return Err(TooLate),
        }
        Ok(true)
    }

    /// The next line; None at the end.
    fn line(&mut self, until: Instant) -> Result<Option<String>, TooLate> {
        loop {
            if let Some(end) = self.seen[self.taken..].iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.take(end + 1)));
            }
            if !self.more(until)? {
                let rest = self.seen.len() - self.taken;
                return Ok((rest > 0).then(|| self.take(rest)));
            }
        }
    }

    fn take(&mut self, count: usize) -> String {
        let line = &self.seen[self.taken..self.taken + count];
        self.taken += count;
        String::from_utf8_lossy(line).into_owned()
    }

    fn run_out(&mut self, until: Instant) -> Result<(), TooLate> {
        while self.more(until)? {}
        Ok(())
    }
}

/// A process, from its start to its end; killed when the value goes, with all that came of it.
pub(crate) struct Process {
    child: Child,
    what: String,
    mark: Mark,
    stdout: Written,
    stderr: Written,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mark = Mark::on(command);
        let what = named(command);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{what}: {error}; tests/run installs what tests need"));
        let stdout = Written::by(child.stdout.take().unwrap());
        let stderr = Written::by(child.stderr.take().unwrap());
        Process { child, what, mark, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Its standard input, if that was made a pipe. Dropped, it is at its end.
    pub(crate) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits for the next line on its standard error that contains this.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.stderr.line(until) {
                Ok(Some(line)) if line.contains(text) => return line,
                Ok(Some(_)) => {}
                Ok(None) => self.fail(&format!("ended, and {text:?} never came")),
                Err(TooLate) => self.fail(&format!("has not said {text:?} in {PATIENCE:?}")),
            }
        }
    }

    /// Whether a line that was waited for, or one before it, contains this.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.stderr.seen[..self.stderr.taken]).lines().any(|line| line.contains(text))
    }

    /// The next line on its standard error; None at the end.
    pub(crate) fn error_line(&mut self) -> Option<String> {
        let line = self.stderr.line(Instant::now() + PATIENCE);
        line.unwrap_or_else(|TooLate| self.fail(&format!("has said nothing for {PATIENCE:?}")))
    }

    /// The next line on its standard output.
    pub(crate) fn line(&mut self) -> String {
        match self.stdout.line(Instant::now() + PATIENCE) {
            Ok(Some(line)) => line,
            Ok(None) => self.fail("ended, and printed no more"),
            Err(TooLate) => self.fail(&format!("has printed nothing for {PATIENCE:?}")),
        }
    }

    /// Waits until it has ended, and nobody writes into its pipes any more.
    pub(crate) fn end(self) -> Output {
        self.end_with_cpu_time().0
    }

    /// The same, and how long CPUs have worked for it and for those of its children that it has waited for.
    pub(crate) fn end_with_cpu_time(mut self) -> (Output, Duration) {
        drop(self.stdin());
        let until = Instant::now() + PATIENCE;
        let ended = self.stderr.run_out(until).and_then(|()| self.stdout.run_out(until));
        if ended.is_err() || !wait_for_end(self.child.id() as i32, until) {
            self.fail(&format!("has not ended in {PATIENCE:?}"));
        }
        // It has ended, and is not reaped yet.
        let stat = procfs::process::Process::new(self.child.id() as i32).and_then(|process| process.stat());
        let ticks = stat.map_or(0, |stat| stat.utime + stat.stime + (stat.cutime + stat.cstime) as u64);
        let cpu_time = Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64);
        let take = std::mem::take::<Vec<u8>>;
        let status = self.child.wait().unwrap();
        (Output { status, stdout: take(&mut self.stdout.seen), stderr: take(&mut self.stderr.seen) }, cpu_time)
    }

    /// Ends it with SIGKILL, and it alone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        if ended_by(&mut self.child, Instant::now() + KILLED).is_err() {
            self.fail("is still there after SIGKILL");
        }
    }

    /// Kills all of it, so that what it was about to say comes too.
    fn fail(&mut self, why: &str) -> ! {
        self.mark.kill_all();
        let until = Instant::now() + KILLED;
        let _ = self.stderr.run_out(until);
        let _ = self.stdout.run_out(until);
        panic!("{} {why}\n{}", self.what, said(&self.stdout.seen, &self.stderr.seen));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Most have ended by now.
        let _ = self.child.kill();
        let _ = ended_by(&mut self.child, Instant::now() + KILLED);
        // Those that a supervisor has not ended which was killed.
        self.mark.kill_all();
    }
}

/// Waits for a process to end: the kernel tells through a pidfd.
fn ended_by(child: &mut Child, until: Instant) -> Result<ExitStatus, TooLate> {
    if let Some(status) = child.try_wait().unwrap() {
        return Ok(status);
    }
    // It is not reaped yet: the number is its own.
    if wait_for_end(child.id() as i32, until) { Ok(child.wait().unwrap()) } else { Err(TooLate) }
}

/// Whether a process ends before this moment, or has ended.
fn wait_for_end(pid: i32, until: Instant) -> bool {
    let Some(number) = rustix::process::Pid::from_raw(pid) else { return true };
    let Ok(pidfd) = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty()) else { return true };
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match poll(&mut fds, PollTimeout::try_from(left).unwrap()) {
            Err(Errno::EINTR) => {}
            ready => return ready.unwrap() == 1,
        }
    }
}

/// Waits until a process is gone.
pub(crate) fn wait_until_gone(pid: i32) {
    assert!(wait_for_end(pid, Instant::now() + KILLED), "process {pid} is still there after {KILLED:?}");
}

/// Like `Command::status`, where the output goes elsewhere: starts a command, does something meanwhile, and waits for its end.
pub(crate) fn status_after(command: &mut Command, meanwhile: impl FnOnce(Pid)) -> ExitStatus {
    let mark = Mark::on(command);
    let mut child = command.spawn().unwrap();
    meanwhile(Pid::from_raw(child.id() as i32));
    let Ok(status) = ended_by(&mut child, Instant::now() + PATIENCE) else {
        mark.kill_all();
        panic!("{} has not ended in {PATIENCE:?}", named(command));
    };
    status
}

/// Like `Command::output`.
pub(crate) fn output(command: &mut Command) -> Output {
    output_within(command, PATIENCE)
}

/// The same, of what takes longer than usual.
pub(crate) fn output_within(command: &mut Command, patience: Duration) -> Output {
    let (what, mark) = (named(command), Mark::on(command));
    // It is needed no longer; the thread may outlive the test.
    let mut command = std::mem::replace(command, Command::new("true"));
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(command.output()));
    if let Ok(output) = told.recv_timeout(patience) {
        return output.unwrap_or_else(|error| panic!("{what}: {error}; tests/run installs what tests need"));
    }
    mark.kill_all();
    match told.recv_timeout(KILLED) {
        Ok(Ok(output)) => panic!("{what} has not ended in {patience:?}\n{}", said(&output.stdout, &output.stderr)),
        _ => panic!("{what} has not ended in {patience:?}, nor when it was killed"),
    }
}

/// What a command is called in a message: without its environment.
fn named(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut text = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = text.char_indices().nth(300) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn said(stdout: &[u8], stderr: &[u8]) -> String {
    format!("standard output: {}\nstandard error: {}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
}
