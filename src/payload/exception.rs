//! Python exceptions that are made in Rust: a lost worker, an exceeded timeout, a stopped workflow.

use super::pickle::pickle_call;
use super::{Payload, Plain, RoutingValue, Value};

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
    /// The kernel killed it for want of memory (a `MemoryError`).
    OutOfMemory,
    /// A program ended with an exit code that is an error, by a signal, or could not be started.
    ProgramFailed,
    /// A router had no port for its value.
    NoRoute,
    /// The keys and small values of a payload are too long for one frame (a `ValueError`).
    PayloadTooLong,
}

impl ErrorClass {
    /// The class's name in the module `pushflow`.
    pub fn name(self) -> &'static str {
        match self {
            ErrorClass::WorkflowStopped => "WorkflowStopped",
            ErrorClass::TaskInterrupted => "TaskInterrupted",
            ErrorClass::TaskTimeout => "TaskTimeout",
            ErrorClass::WorkerLost => "WorkerLost",
            ErrorClass::OutOfMemory => "OutOfMemory",
            ErrorClass::ProgramFailed => "ProgramFailed",
            ErrorClass::NoRoute => "NoRoute",
            ErrorClass::PayloadTooLong => "PayloadTooLong",
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
            instance: Value::from_pickle(
                pickle_call("pushflow", class.name(), &[Plain::Text(message.clone())]),
                Some(RoutingValue::Other { truthy: true, text: Some(message.as_str().into()) }),
            ),
            message,
        }
    }

    /// Whether it was made here, of this class.
    pub fn is(&self, class: ErrorClass) -> bool {
        let head = format!("pushflow.{}: ", class.name());
        self.traceback.first().is_some_and(|line| line.strip_prefix(&head).map(str::trim_end) == Some(&self.message))
    }

    /// `{"errorMessage": …, "traceBack": […]}`, as pypushflow writes it under `WorkflowException`.
    pub fn summary(&self) -> Value {
        let lines = self.traceback.iter().cloned().map(Plain::Text).collect();
        Plain::Dict(vec![
            (Plain::Text("errorMessage".into()), Plain::Text(self.message.clone())),
            (Plain::Text("traceBack".into()), Plain::List(lines)),
        ])
        .to_value()
    }

    /// The error payload: the input with the error's two entries.
    pub fn payload(&self, input: &Payload) -> Payload {
        let mut payload = input.clone();
        payload.insert(ERROR_KEY.into(), self.summary());
        payload.insert(ERROR_INSTANCE_KEY.into(), self.instance.clone());
        payload
    }
}
