//! Python exceptions that are made in Rust: a lost worker, an exceeded timeout, a stopped workflow.

use super::{Value, plain};

/// The key that holds `{errorMessage, traceBack}` in an error payload, as in pypushflow.
pub const ERROR_KEY: &str = "WorkflowException";
/// The key that holds the exception itself.
pub const ERROR_INSTANCE_KEY: &str = "WorkflowExceptionInstance";

/// The classes that errors made here have in Python; the worker's `pushflow` module defines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The workflow was stopped before the task could start (pypushflow's `StopPypushflowWorkflow`).
    WorkflowStopped,
    /// The task was interrupted (pypushflow's `StopPypushflowTask`).
    TaskInterrupted,
    /// The task took longer than its timeout (a `TimeoutError`).
    TaskTimeout,
    /// The worker died, or broke the protocol.
    WorkerLost,
    /// A program ended with an exit code that is an error, by a signal, or could not be started.
    ProgramFailed,
    /// A router had no port for its value.
    NoRoute,
}

impl ErrorClass {
    /// The class's name in the module `pushflow`.
    pub fn name(self) -> &'static str {
        match self {
            ErrorClass::WorkflowStopped => "WorkflowStopped",
            ErrorClass::TaskInterrupted => "TaskInterrupted",
            ErrorClass::TaskTimeout => "TaskTimeout",
            ErrorClass::WorkerLost => "WorkerLost",
            ErrorClass::ProgramFailed => "ProgramFailed",
            ErrorClass::NoRoute => "NoRoute",
        }
    }
}

/// An error as the graph carries it.
#[derive(Debug, Clone)]
pub struct PythonError {
    /// `str(exception)`.
    pub message: String,
    /// The lines of `traceback.format_exception`.
    pub traceback: Vec<String>,
    /// The exception itself.
    pub instance: Value,
}

impl PythonError {
    /// An error made here: `pushflow.CLASS(message)`.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        let message = message.into();
        PythonError {
            traceback: vec![format!("pushflow.{}: {message}\n", class.name())],
            instance: Value::from_pickle(pickled_exception(class.name(), &message), None),
            message,
        }
    }

    /// The two entries of an error payload: `WorkflowException` as pypushflow writes it.
    pub fn summary(&self) -> Value {
        plain::error_summary(&self.message, &self.traceback)
    }
}

/// `pushflow.CLASS(message)` in pickle protocol 4 (opcodes: Lib/pickletools.py).
fn pickled_exception(class: &str, message: &str) -> Vec<u8> {
    let mut pickle = vec![0x80, 4];
    for text in ["pushflow", class] {
        pickle.extend([0x8c, text.len() as u8]); // SHORT_BINUNICODE
        pickle.extend(text.as_bytes());
    }
    pickle.push(0x93); // STACK_GLOBAL
    pickle.push(b'X'); // BINUNICODE
    pickle.extend((message.len() as u32).to_le_bytes());
    pickle.extend(message.as_bytes());
    pickle.extend([0x85, b'R', b'.']); // TUPLE1, REDUCE, STOP
    pickle
}
