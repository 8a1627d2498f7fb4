//! The status of an ended run.

use std::fmt;

/// The status of an ended run. The variants are in order of severity: a more severe status replaces a less severe one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The run finished without errors.
    Finished,
    /// Set by a `status` actor.
    Word(String),
    /// An error-handler was triggered.
    Error,
    /// An error was not handled.
    Failed,
    /// The run reached its time limit.
    Timeout,
    /// The run was stopped.
    Stopped,
    /// The run was aborted.
    Aborted,
}

impl Status {
    /// The name of the status in the history, on D-Bus and on the command line.
    pub fn word(&self) -> &str {
        match self {
            Status::Finished => "finished",
            Status::Word(word) => word,
            Status::Error => "error",
            Status::Failed => "failed",
            Status::Timeout => "timeout",
            Status::Stopped => "stopped",
            Status::Aborted => "aborted",
        }
    }

    fn severity(&self) -> u8 {
        match self {
            Status::Finished => 0,
            Status::Word(_) => 1,
            Status::Error => 2,
            Status::Failed => 3,
            Status::Timeout => 4,
            Status::Stopped => 5,
            Status::Aborted => 6,
        }
    }

    /// Takes the other status unless it is less severe. Of two words the later one is kept.
    pub fn worsen(&mut self, other: Status) {
        if other.severity() >= self.severity() {
            *self = other;
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
