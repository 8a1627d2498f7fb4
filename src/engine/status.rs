//! How a run ends.

use std::fmt;

/// The status of a run that is over, from good to bad: a worse one wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It went through.
    Finished,
    /// A `status` actor gave this word, and nothing worse happened.
    Word(String),
    /// An error-handler was reached.
    Error,
    /// An error was handled by nobody.
    Failed,
    /// It took longer than its timeout.
    Timeout,
    /// It was stopped.
    Stopped,
    /// It was aborted.
    Aborted,
}

impl Status {
    /// The word for it, as history, D-Bus and the command line have it.
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

    fn badness(&self) -> u8 {
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

    /// Takes the other status if it is no better; of two words the later wins.
    pub fn worsen(&mut self, other: Status) {
        if other.badness() >= self.badness() {
            *self = other;
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
