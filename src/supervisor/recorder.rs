//! The recorder: a child that copies the history to MongoDB (`pushflow-mx`). It is restarted when it fails, ends after every run and
//! task, so that it records how they end, and delays nothing.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::process::Ended;
use crate::process::sys::{Pid, PidFd, Signal};

/// The pause before a recorder that failed is restarted; doubled each time, up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// A recorder that has run this long has not failed at its start: the pauses begin anew.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// How long the recorder may take for the rest once nothing more comes: it looks for its server for 10 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);

/// The command that records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// The recorder, whether it runs or not.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// None while nothing is recorded.
    command: Option<RecorderCommand>,
    running: Option<Running>,
    restart_at: Option<Instant>,
    /// None before the first failure.
    pause: Option<Duration>,
    /// The log says already that it does not run.
    reported: bool,
    /// It was told that nothing more comes.
    ending: Option<Ending>,
}

/// A recorder that was started.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) pid: Pid,
    pub(super) process: PidFd,
    /// Its end tells the recorder that nothing more comes.
    pub(super) input: Option<OwnedFd>,
    pub(super) since: Instant,
}

/// How a recorder ends that still runs.
#[derive(Debug)]
struct Ending {
    /// What records instead, once it has ended.
    next: Option<RecorderCommand>,
    /// The signal that it gets when its time is over.
    signal: Signal,
    /// When that is; none once it got the last one.
    escalate_at: Option<Instant>,
}

/// What is to be done about the recorder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(super) enum Action {
    Nothing,
    /// Start this, and say how that went ([`Recorder::on_started`]).
    Start(RecorderCommand),
}

impl Recorder {
    /// What records now, or will.
    pub(super) fn intended(&self) -> Option<&RecorderCommand> {
        self.ending.as_ref().map_or(self.command.as_ref(), |ending| ending.next.as_ref())
    }

    /// Records with this command from now on. A recorder that runs ends first.
    pub(super) fn set_command(&mut self, command: Option<RecorderCommand>, now: Instant) -> Action {
        if self.running.is_some() {
            self.end(command, now);
            return Action::Nothing;
        }
        *self = Recorder { command, ..Recorder::default() };
        self.start()
    }

    fn start(&self) -> Action {
        self.command.clone().map_or(Action::Nothing, Action::Start)
    }

    /// Whether it was started or not.
    pub(super) fn on_started(&mut self, started: io::Result<Running>, now: Instant) {
        match started {
            Ok(running) => self.running = Some(running),
            Err(error) => {
                self.restart_at = Some(now + PAUSES.1);
                if !std::mem::replace(&mut self.reported, true) {
                    self.report(&error);
                }
            }
        }
    }

    fn report(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotFound {
            warn!(
                "runs are not recorded in MongoDB: there is no pushflow-mx on this host, which the package pushflow-mx has; \
                 once it is installed, what was missed is recorded"
            );
        } else {
            let program =
                self.command.as_ref().map(|command| command.program.display().to_string()).unwrap_or_default();
            warn!("runs are not recorded in MongoDB now, but later: cannot start {program}: {error}");
        }
    }

    /// Its process was reaped.
    pub(super) fn on_reaped(&mut self, ended: Ended, now: Instant) -> Action {
        let Some(running) = self.running.take() else { return Action::Nothing };
        if let Some(Ending { next, .. }) = self.ending.take() {
            *self = Recorder { command: next, ..Recorder::default() };
            return self.start();
        }
        if now.saturating_duration_since(running.since) >= WELL_AFTER {
            (self.pause, self.reported) = (None, false);
        }
        let pause = self.pause.unwrap_or(PAUSES.0);
        self.restart_at = Some(now + pause);
        if !std::mem::replace(&mut self.reported, true) {
            warn!("the recorder (pushflow-mx) {ended}: it is started again in {pause:?}, and runs go on");
        }
        self.pause = Some((pause * 2).min(PAUSES.1));
        Action::Nothing
    }

    /// Tells it that nothing more comes: it records the rest and ends, or is ended.
    pub(super) fn end(&mut self, next: Option<RecorderCommand>, now: Instant) {
        if let Some(ending) = &mut self.ending {
            ending.next = next;
        } else if let Some(running) = &mut self.running {
            running.input = None;
            self.ending = Some(Ending { next, signal: Signal::SIGTERM, escalate_at: Some(now + PATIENCE) });
        }
    }

    /// Nothing more is written to the history. A recorder that failed is started once more, to record the rest.
    pub(super) fn prepare_end(&self) -> Action {
        if self.running.is_none() { self.start() } else { Action::Nothing }
    }

    /// What is due. A recorder that does not end gets a signal, and after the grace time SIGKILL.
    pub(super) fn on_time(&mut self, now: Instant, grace: Duration) -> Action {
        if let (Some(running), Some(ending)) = (&self.running, &mut self.ending)
            && ending.escalate_at.take_if(|at| *at <= now).is_some()
        {
            info!("the recorder does not end by itself: sent {}", ending.signal.as_str());
            // It is a child that was not reaped yet: its process id is not reused.
            let _ = running.process.signal(ending.signal);
            if std::mem::replace(&mut ending.signal, Signal::SIGKILL) != Signal::SIGKILL {
                ending.escalate_at = Some(now + grace);
            }
        }
        if self.restart_at.take_if(|at| *at <= now).is_some() { self.start() } else { Action::Nothing }
    }

    /// When [`Recorder::on_time`] is to be called.
    pub(super) fn next_time(&self) -> Option<Instant> {
        self.ending.as_ref().map_or(self.restart_at, |ending| ending.escalate_at)
    }

    /// Its process.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.running.as_ref().map(|running| running.pid)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn command(program: &str) -> RecorderCommand {
        RecorderCommand { program: program.into(), arguments: Vec::new() }
    }

    fn running(now: Instant) -> Running {
        let pid = Pid::this();
        Running { pid, process: PidFd::open(pid).unwrap(), input: None, since: now }
    }

    /// A recorder that runs.
    fn recorder(now: Instant) -> Recorder {
        let mut recorder = Recorder::default();
        assert_eq!(recorder.set_command(Some(command("mx")), now), Action::Start(command("mx")));
        recorder.on_started(Ok(running(now)), now);
        recorder
    }

    #[test]
    fn a_recorder_that_fails_is_restarted_after_pauses_that_grow() {
        let now = Instant::now();
        let mut recorder = recorder(now);
        for pause in [PAUSES.0, PAUSES.0 * 2, PAUSES.0 * 4] {
            assert_eq!(recorder.on_reaped(Ended::Exited(1), now), Action::Nothing);
            assert_eq!((recorder.pid(), recorder.next_time()), (None, Some(now + pause)));
            assert_eq!(recorder.on_time(now + pause / 2, PATIENCE), Action::Nothing);
            assert_eq!(recorder.on_time(now + pause, PATIENCE), Action::Start(command("mx")));
            recorder.on_started(Ok(running(now)), now);
        }
        let _ = recorder.on_reaped(Ended::Exited(1), now + WELL_AFTER);
        assert_eq!(recorder.next_time(), Some(now + WELL_AFTER + PAUSES.0), "it has run for a while");
    }

    #[test]
    fn another_command_takes_over_when_the_recorder_has_ended() {
        let now = Instant::now();
        let mut recorder = recorder(now);
        assert_eq!(recorder.set_command(Some(command("other")), now), Action::Nothing);
        assert_eq!(recorder.intended(), Some(&command("other")));
        assert_eq!(recorder.next_time(), Some(now + PATIENCE));
        assert_eq!(recorder.on_reaped(Ended::Exited(0), now), Action::Start(command("other")));
    }

    #[test]
    fn without_a_command_nothing_is_started_again() {
        let now = Instant::now();
        let mut recorder = recorder(now);
        recorder.end(None, now);
        assert_eq!(recorder.on_reaped(Ended::Exited(0), now), Action::Nothing);
        assert_eq!((recorder.intended(), recorder.next_time(), recorder.prepare_end()), (None, None, Action::Nothing));
    }

    #[test]
    fn a_recorder_that_cannot_be_started_is_tried_again_later_and_at_the_end() {
        let now = Instant::now();
        let mut recorder = Recorder::default();
        let _ = recorder.set_command(Some(command("mx")), now);
        recorder.on_started(Err(io::ErrorKind::NotFound.into()), now);
        assert_eq!(recorder.next_time(), Some(now + PAUSES.1));
        assert_eq!(recorder.prepare_end(), Action::Start(command("mx")));
    }
}
