//! The status of runs and of tasks, and the words for them in the history, on D-Bus and on the command line.

use std::fmt;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};

use crate::engine::{FailureKind, Status};

/// The status of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunStatus {
    /// It was accepted and has not begun.
    Queued,
    /// It has begun.
    Running,
    /// It has ended so.
    Ended(Status),
    /// The supervisor ended before it did.
    Interrupted,
}

impl RunStatus {
    /// The word for it.
    pub fn word(&self) -> &str {
        match self {
            RunStatus::Queued => "queued",
            RunStatus::Running => "running",
            RunStatus::Ended(status) => status.word(),
            RunStatus::Interrupted => "interrupted",
        }
    }

    /// Whether the run has ended and succeeded.
    pub fn is_success(&self) -> bool {
        matches!(self, RunStatus::Ended(Status::Finished | Status::Word(_)))
    }

    /// What a word stands for. A workflow can set any word as the status of its runs, also `running`: such a run has ended.
    pub fn of_word(word: &str, has_ended: bool) -> Self {
        match word {
            "queued" if !has_ended => RunStatus::Queued,
            "running" if !has_ended => RunStatus::Running,
            "interrupted" => RunStatus::Interrupted,
            word => {
                let known = [
                    Status::Finished,
                    Status::Error,
                    Status::Failed,
                    Status::Timeout,
                    Status::Stopped,
                    Status::Aborted,
                ];
                let found = known.into_iter().find(|status| status.word() == word);
                RunStatus::Ended(found.unwrap_or_else(|| Status::Word(word.to_owned())))
            }
        }
    }
}

impl From<Status> for RunStatus {
    fn from(status: Status) -> Self {
        RunStatus::Ended(status)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The status of an attempt to execute an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStatus {
    /// It has not ended.
    Running,
    /// It returned a result.
    Finished,
    /// It raised an error, its program failed, or its router had no port for the result.
    Error,
    /// It was interrupted.
    Interrupted,
    /// Its worker died.
    Lost,
    /// It took longer than its timeout.
    TimedOut,
    /// Its run was stopped before it could start.
    Stopped,
    /// It has ended; how was not recorded.
    Unrecorded,
}

impl TaskStatus {
    const ALL: [TaskStatus; 8] = [
        TaskStatus::Running,
        TaskStatus::Finished,
        TaskStatus::Error,
        TaskStatus::Interrupted,
        TaskStatus::Lost,
        TaskStatus::TimedOut,
        TaskStatus::Stopped,
        TaskStatus::Unrecorded,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            TaskStatus::Running => "running",
            TaskStatus::Finished => "finished",
            TaskStatus::Error => "error",
            TaskStatus::Interrupted => "interrupted",
            TaskStatus::Lost => "lost",
            TaskStatus::TimedOut => "timeout",
            TaskStatus::Stopped => "stopped",
            TaskStatus::Unrecorded => "unrecorded",
        }
    }
}

impl From<FailureKind> for TaskStatus {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Raised | FailureKind::NoRoute => TaskStatus::Error,
            FailureKind::Interrupted => TaskStatus::Interrupted,
            FailureKind::Lost => TaskStatus::Lost,
            FailureKind::TimedOut => TaskStatus::TimedOut,
            FailureKind::Stopped => TaskStatus::Stopped,
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromSql for TaskStatus {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let word = value.as_str()?;
        let unknown = || FromSqlError::Other(format!("there is no task status {word:?}").into());
        TaskStatus::ALL.into_iter().find(|status| status.word() == word).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_run_comes_back_as_its_status() {
        for status in [RunStatus::Queued, RunStatus::Running] {
            assert_eq!(RunStatus::of_word(status.word(), false), status);
        }
        for status in [Status::Finished, Status::Timeout, Status::Word("calibrated".to_owned())] {
            let status = RunStatus::from(status);
            assert_eq!(RunStatus::of_word(status.word(), true), status);
        }
        assert_eq!(RunStatus::of_word("interrupted", true), RunStatus::Interrupted);
        // A word of the workflow's own.
        assert_eq!(RunStatus::of_word("running", true), RunStatus::Ended(Status::Word("running".to_owned())));
    }

    #[test]
    fn a_task_status_that_no_version_writes_is_an_error() {
        let read = |word: &str| TaskStatus::column_result(ValueRef::Text(word.as_bytes()));
        assert!(TaskStatus::ALL.into_iter().all(|status| read(status.word()) == Ok(status)));
        assert!(read("asleep").is_err());
    }
}
