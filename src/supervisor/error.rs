//! What makes a supervisor impossible. Everything smaller is an error of a task.

use std::io;

/// A failure of the supervisor itself.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The system refused something without which there is no supervision.
    #[error("cannot set up the supervisor: {0}")]
    Setup(io::Error),
    /// Waiting for events failed.
    #[error("cannot wait for events: {0}")]
    Poll(io::Error),
    /// The process that the user started was killed; so is everything of the run by now.
    #[error("the process that the run was started as is gone: {0}")]
    Unguarded(String),
    /// Workers of a workflow that is to be replaced do not end.
    #[error("these processes of the old workflow survive SIGKILL: {0}")]
    Survivors(String),
}
