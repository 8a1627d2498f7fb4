//! The recorder beside the history: a child that copies runs to MongoDB. It is started again when it breaks, outlives every
//! run and task, so that it sees how they end, and holds nobody up.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::processes::Child;
use super::workers::OutputContext;
use super::{Supervisor, SupervisorError};
use crate::process::sys::{self, Pid, PidFd, Signal};
use crate::process::tree::Snapshot;
use crate::process::{Ended, Program};

/// How soon a recorder that broke is started again; twice as late each time, up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// One that has lived so long was well.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// How long the recorder may take for what is left once nothing more comes: it looks for its server for 10 s.
const PATIENCE: Duration = Duration::from_secs(12);

/// The command that records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// The recorder, whether it runs or not.
#[derive(Debug)]
pub(super) struct Recorder {
    command: RecorderCommand,
    running: Option<Running>,
    restart_at: Option<Instant>,
    pause: Duration,
    /// It was said that it does not run.
    said: bool,
    /// It was told that nothing more comes.
    ending: Option<Ending>,
}

#[derive(Debug)]
struct Running {
    pid: Pid,
    process: PidFd,
    /// Its end is the recorder's sign that nothing more comes.
    input: Option<OwnedFd>,
    since: Instant,
}

/// How a recorder ends that is still there.
#[derive(Debug)]
struct Ending {
    /// What records instead of it, once it has ended.
    next: Option<RecorderCommand>,
    /// What it is sent when it has had its time.
    signal: Signal,
    /// When that is; none once it was sent the last.
    press_at: Option<Instant>,
}

impl Recorder {
    fn new(command: RecorderCommand) -> Self {
        Recorder { command, running: None, restart_at: None, pause: PAUSES.0, said: false, ending: None }
    }

    /// What records now, or will.
    fn intended(&self) -> Option<&RecorderCommand> {
        self.ending.as_ref().map_or(Some(&self.command), |ending| ending.next.as_ref())
    }

    /// Tells it that nothing more comes: it records the rest and ends, or is ended.
    fn end(&mut self, next: Option<RecorderCommand>) {
        if let Some(ending) = &mut self.ending {
            ending.next = next;
        } else if let Some(running) = &mut self.running {
            running.input = None;
            let press_at = Some(Instant::now() + PATIENCE);
            self.ending = Some(Ending { next, signal: Signal::SIGTERM, press_at });
        }
    }
}

impl Supervisor {
    /// Starts what records the history, and starts it again whenever it breaks, until [`Supervisor::end_recorder`]. What has
    /// recorded before ends first; without a command, nothing records any more. Whether that is a change.
    pub fn record_with(&mut self, command: Option<RecorderCommand>) -> bool {
        if self.recorder.as_ref().and_then(Recorder::intended) == command.as_ref() {
            return false;
        }
        match &mut self.recorder {
            Some(recorder) if recorder.running.is_some() => recorder.end(command),
            _ => {
                self.recorder = command.map(Recorder::new);
                self.start_recorder();
            }
        }
        true
    }

    fn start_recorder(&mut self) {
        let Some(command) = self.recorder.as_ref().map(|recorder| recorder.command.clone()) else { return };
        let started = self.try_start_recorder(&command);
        let Some(recorder) = &mut self.recorder else { return };
        match started {
            Ok(running) => recorder.running = Some(running),
            Err(error) => {
                recorder.restart_at = Some(Instant::now() + PAUSES.1);
                if !std::mem::replace(&mut recorder.said, true) {
                    match error.kind() {
                        io::ErrorKind::NotFound => warn!(
                            "runs are not recorded in MongoDB: there is no pushflow-mx on this host, which the package \
                             pushflow-mx has; once it is installed, what was missed is recorded"
                        ),
                        _ => warn!(
                            "runs are not recorded in MongoDB now, but later: cannot start {}: {error}",
                            command.program.display()
                        ),
                    }
                }
            }
        }
    }

    fn try_start_recorder(&mut self, command: &RecorderCommand) -> io::Result<Running> {
        let (input, ours) = sys::pipe()?;
        let (printed, output) = sys::pipe()?;
        let program = Program::new(&command.program, output.as_fd()).args(&command.arguments).stdin(input);
        let (pid, process) = self.workers.affinity.start(program)?;
        let context = OutputContext { pid: Some(pid.as_raw()), ..OutputContext::default() };
        self.workers.outputs.watch(printed, context, &mut self.event_loop)?;
        self.processes.add_child(pid, Child::Recorder);
        Ok(Running { pid, process, input: Some(ours), since: Instant::now() })
    }

    pub(super) fn on_recorder_reaped(&mut self, ended: Ended) {
        let Some(recorder) = &mut self.recorder else { return };
        let Some(running) = recorder.running.take() else { return };
        if let Some(Ending { next, .. }) = recorder.ending.take() {
            self.recorder = next.map(Recorder::new);
            return self.start_recorder();
        }
        let now = Instant::now();
        if now - running.since >= WELL_AFTER {
            (recorder.pause, recorder.said) = (PAUSES.0, false);
        }
        recorder.restart_at = Some(now + recorder.pause);
        if !std::mem::replace(&mut recorder.said, true) {
            warn!("the recorder (pushflow-mx) {ended}: it is started again in {:?}, and runs go on", recorder.pause);
        }
        recorder.pause = (recorder.pause * 2).min(PAUSES.1);
    }

    pub(super) fn recorder_on_time(&mut self, now: Instant) {
        let grace = self.grace();
        let Some(recorder) = &mut self.recorder else { return };
        if let (Some(running), Some(ending)) = (&recorder.running, &mut recorder.ending)
            && ending.press_at.take_if(|at| *at <= now).is_some()
        {
            info!("the recorder does not end by itself: sent {}", ending.signal.as_str());
            // It is a child that was not waited for yet: the number is its own.
            let _ = running.process.signal(ending.signal);
            if std::mem::replace(&mut ending.signal, Signal::SIGKILL) != Signal::SIGKILL {
                ending.press_at = Some(now + grace);
            }
        }
        if recorder.restart_at.take_if(|at| *at <= now).is_some() {
            self.start_recorder();
        }
    }

    pub(super) fn next_recorder_time(&self) -> Option<Instant> {
        let recorder = self.recorder.as_ref()?;
        recorder.ending.as_ref().map_or(recorder.restart_at, |ending| ending.press_at)
    }

    /// The recorder's process.
    pub(super) fn recorder_pid(&self) -> Option<Pid> {
        self.recorder.as_ref()?.running.as_ref().map(|running| running.pid)
    }

    /// Whether there is nothing below the supervisor, but for the recorder.
    pub(super) fn nothing_is_left(&self) -> bool {
        match self.recorder_pid() {
            None => sys::has_no_children(),
            Some(recorder) => Snapshot::take().children(Pid::this()).iter().all(|child| child.pid == recorder),
        }
    }

    /// Nothing more is written to the history: the recorder records the rest and ends, or is ended. After
    /// [`Supervisor::shut_down`].
    pub fn end_recorder(&mut self) -> Result<(), SupervisorError> {
        if self.recorder.as_ref().is_some_and(|recorder| recorder.running.is_none()) {
            // It broke: the end of the runs is for another one.
            self.start_recorder();
        }
        if let Some(recorder) = &mut self.recorder {
            // One that could not be started has no end to wait for.
            recorder.end(None);
        }
        let by = Instant::now() + PATIENCE + 2 * self.grace() + Duration::from_secs(1);
        while let Some(pid) = self.recorder_pid() {
            if Instant::now() >= by {
                warn!("the recorder ({pid}) survives SIGKILL: it hangs in the kernel, and is not waited for");
                break;
            }
            self.turn(Some(by))?;
        }
        self.recorder = None;
        Ok(())
    }
}
