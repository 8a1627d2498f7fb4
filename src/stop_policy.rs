//! What a signal means to a workflow, in the foreground and as a service.
//!
//! The first SIGTERM stops: no new task starts, and running tasks may finish until a deadline. The first SIGINT interrupts:
//! running tasks are interrupted. A second signal kills. `SIGNALS` in pushflow(1) is the table of it. The policy decides only:
//! time is an argument, and the caller does what it says.

use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGTERM};

/// Who receives the signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// `pushflow run`: SIGHUP says that the terminal is gone.
    Foreground,
    /// `pushflow serve`: SIGHUP asks for a reload, and interrupted tasks have until the deadline.
    Service,
}

/// What a signal asks for.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopAction {
    /// Read the workflow file again.
    Reload,
    /// Start no new task. Running tasks may finish, daemonic ones are terminated.
    Stop,
    /// Start no new task, and interrupt the running tasks.
    Interrupt,
    /// Kill the running tasks.
    Kill,
    /// Leave out of the output what only a worker can write as JSON.
    SkipOutput,
}

/// What has had its time.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// The running tasks: they are to be killed.
    Tasks,
    /// The output: what only a worker can write as JSON is left out.
    Output,
}

/// Which signals have come, and what may go on until when.
#[derive(Debug)]
pub struct StopPolicy {
    host: Host,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// No signal has come.
    Running,
    /// The first signal has come.
    Stopping(Stop),
    /// A second signal has come.
    Killing(Stop),
    /// The tasks have ended, and the output is written as JSON.
    WritingOutput { stop: Option<Stop>, killed: bool, output_by: Option<Instant> },
}

/// The first signal.
#[derive(Debug, Clone, Copy)]
struct Stop {
    signal: i32,
    /// Until when running tasks, and the processes that they leave, may go on.
    deadline: Option<Instant>,
    /// The same, until it has been reported as expired.
    tasks_by: Option<Instant>,
}

impl StopPolicy {
    /// No signal has come.
    pub fn new(host: Host) -> Self {
        StopPolicy { host, state: State::Running }
    }

    /// A signal has come: SIGINT, SIGTERM or SIGHUP. `stop_timeout` is how long tasks may go on after SIGTERM.
    pub fn on_signal(&mut self, signal: i32, now: Instant, stop_timeout: Duration) -> StopAction {
        if (self.host, signal) == (Host::Service, SIGHUP) {
            return StopAction::Reload;
        }
        match &mut self.state {
            State::Running => {
                let (is_stop, is_service) = (signal == SIGTERM, self.host == Host::Service);
                let deadline = (is_stop || is_service).then(|| now.checked_add(stop_timeout)).flatten();
                self.state = State::Stopping(Stop { signal, deadline, tasks_by: deadline });
                if is_stop { StopAction::Stop } else { StopAction::Interrupt }
            }
            State::Stopping(stop) | State::Killing(stop) => {
                self.state = State::Killing(*stop);
                StopAction::Kill
            }
            State::WritingOutput { stop, .. } => {
                stop.get_or_insert(Stop { signal, deadline: None, tasks_by: None });
                StopAction::SkipOutput
            }
        }
    }

    /// The tasks have ended, and the output may be written as JSON until then.
    pub fn on_output(&mut self, output_by: Option<Instant>) {
        let (stop, killed) = (self.stop().copied(), self.is_killing());
        self.state = State::WritingOutput { stop, killed, output_by };
    }

    /// What has had its time by now; each only once.
    pub fn on_time(&mut self, now: Instant) -> Option<Expired> {
        let (by, expired) = match &mut self.state {
            State::Running => return None,
            State::Stopping(stop) | State::Killing(stop) => (&mut stop.tasks_by, Expired::Tasks),
            State::WritingOutput { output_by, .. } => (output_by, Expired::Output),
        };
        by.take_if(|by| *by <= now).map(|_| expired)
    }

    /// When [`StopPolicy::on_time`] has something to say.
    pub fn next_time(&self) -> Option<Instant> {
        match &self.state {
            State::Running => None,
            State::Stopping(stop) | State::Killing(stop) => stop.tasks_by,
            State::WritingOutput { output_by, .. } => *output_by,
        }
    }

    /// The first signal that came.
    pub fn signal(&self) -> Option<i32> {
        self.stop().map(|stop| stop.signal)
    }

    /// Whether a signal has come.
    pub fn is_stopping(&self) -> bool {
        self.stop().is_some()
    }

    /// How long, at the end, the processes that tasks have left are waited for. `ended_early`: the run was stopped, was
    /// aborted, or took too long.
    pub fn patience(&self, now: Instant, ended_early: bool, grace: Duration, stop_timeout: Duration) -> Duration {
        match self.stop() {
            _ if self.is_killing() => Duration::ZERO,
            Some(Stop { signal: SIGTERM, deadline: Some(by), .. }) => by.saturating_duration_since(now),
            None if !ended_early => stop_timeout,
            _ => grace,
        }
    }

    fn stop(&self) -> Option<&Stop> {
        match &self.state {
            State::Running => None,
            State::Stopping(stop) | State::Killing(stop) => Some(stop),
            State::WritingOutput { stop, .. } => stop.as_ref(),
        }
    }

    fn is_killing(&self) -> bool {
        matches!(self.state, State::Killing(_) | State::WritingOutput { killed: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::SIGINT;

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);
    const STOP_TIMEOUT: Duration = Duration::from_secs(90);

    /// The table of signals of pushflow(1): for each row the signals, one a second, what each of them means, when running tasks
    /// are killed, and how long left processes are waited for after the last signal.
    #[test]
    fn signals_mean_what_the_manual_says() {
        use Host::{Foreground, Service};
        use StopAction::{Interrupt, Kill, Reload, Stop};
        type Row<'r> = (Host, &'r [i32], &'r [StopAction], Option<u64>, u64);
        let table: [Row<'_>; 15] = [
            (Foreground, &[], &[], None, 90),
            (Foreground, &[SIGINT], &[Interrupt], None, 5),
            (Foreground, &[SIGHUP], &[Interrupt], None, 5),
            (Foreground, &[SIGINT, SIGINT], &[Interrupt, Kill], None, 0),
            (Foreground, &[SIGHUP, SIGHUP], &[Interrupt, Kill], None, 0),
            (Foreground, &[SIGINT, SIGTERM], &[Interrupt, Kill], None, 0),
            (Foreground, &[SIGTERM], &[Stop], Some(90), 90),
            (Foreground, &[SIGTERM, SIGTERM], &[Stop, Kill], Some(90), 0),
            (Foreground, &[SIGTERM, SIGINT, SIGINT], &[Stop, Kill, Kill], Some(90), 0),
            (Service, &[], &[], None, 90),
            (Service, &[SIGHUP], &[Reload], None, 90),
            (Service, &[SIGINT], &[Interrupt], Some(90), 5),
            (Service, &[SIGTERM], &[Stop], Some(90), 90),
            (Service, &[SIGTERM, SIGHUP], &[Stop, Reload], Some(90), 89),
            (Service, &[SIGINT, SIGTERM], &[Interrupt, Kill], Some(90), 0),
        ];
        let start = Instant::now();
        let second = |number: u64| start + Duration::from_secs(number);
        for (host, signals, actions, tasks_end, patience) in table {
            let mut policy = StopPolicy::new(host);
            let got = signals.iter().zip(0..).map(|(signal, at)| policy.on_signal(*signal, second(at), STOP_TIMEOUT));
            assert_eq!(got.collect::<Vec<_>>(), actions, "{host:?} {signals:?}");
            assert_eq!(policy.next_time(), tasks_end.map(second), "{host:?} {signals:?}");
            let now = second(signals.len().saturating_sub(1) as u64);
            let waits = policy.patience(now, false, GRACE, STOP_TIMEOUT);
            assert_eq!(waits, Duration::from_secs(patience), "{host:?} {signals:?}");
            let first = signals.iter().find(|signal| (host, **signal) != (Service, SIGHUP));
            assert_eq!(
                (policy.signal(), policy.is_stopping()),
                (first.copied(), first.is_some()),
                "{host:?} {signals:?}"
            );
        }
    }

    #[test]
    fn tasks_that_do_not_finish_in_time_are_reported_once() {
        let start = Instant::now();
        let mut policy = StopPolicy::new(Host::Service);
        assert_eq!(policy.on_time(start), None);
        assert_eq!(policy.on_signal(SIGTERM, start, STOP_TIMEOUT), StopAction::Stop);
        assert_eq!(policy.on_time(start + STOP_TIMEOUT - GRACE), None);
        assert_eq!(policy.on_time(start + STOP_TIMEOUT), Some(Expired::Tasks));
        assert_eq!((policy.on_time(start + 2 * STOP_TIMEOUT), policy.next_time()), (None, None));
        assert_eq!(policy.patience(start + STOP_TIMEOUT, false, GRACE, STOP_TIMEOUT), Duration::ZERO);
    }

    #[test]
    fn a_signal_while_the_output_is_written_ends_only_that() {
        let start = Instant::now();
        let mut policy = StopPolicy::new(Host::Foreground);
        policy.on_output(Some(start + GRACE));
        assert_eq!(policy.on_signal(SIGTERM, start, STOP_TIMEOUT), StopAction::SkipOutput);
        assert_eq!(policy.on_signal(SIGINT, start, STOP_TIMEOUT), StopAction::SkipOutput);
        assert_eq!(policy.signal(), Some(SIGTERM));
        assert_eq!(policy.patience(start, false, GRACE, STOP_TIMEOUT), GRACE);
        assert_eq!(policy.on_time(start + GRACE), Some(Expired::Output));
        assert_eq!(policy.on_time(start + GRACE), None);
    }

    #[test]
    fn the_deadline_of_sigterm_outlives_the_output_and_a_timeout_of_any_length_is_taken() {
        let start = Instant::now();
        let mut policy = StopPolicy::new(Host::Foreground);
        assert_eq!(policy.on_signal(SIGTERM, start, STOP_TIMEOUT), StopAction::Stop);
        policy.on_output(None);
        assert_eq!(policy.next_time(), None);
        assert_eq!(policy.patience(start + GRACE, true, GRACE, STOP_TIMEOUT), STOP_TIMEOUT - GRACE);
        let mut endless = StopPolicy::new(Host::Service);
        assert_eq!(endless.on_signal(SIGTERM, start, Duration::MAX), StopAction::Stop);
        assert_eq!((endless.next_time(), endless.patience(start, false, GRACE, Duration::MAX)), (None, GRACE));
        assert_eq!(StopPolicy::new(Host::Foreground).patience(start, true, GRACE, STOP_TIMEOUT), GRACE);
    }
}
