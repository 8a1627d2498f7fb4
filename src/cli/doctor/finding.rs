//! The result of one check, with advice.

use serde_json::{Value as Json, json};

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No problem.
    Fine,
    /// A problem for some workflows.
    Note,
    /// A problem for all workflows.
    Fault,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Fine => "ok",
            State::Note => "note",
            State::Fault => "FAULT",
        }
    }

    pub(super) fn colour(self) -> &'static str {
        match self {
            State::Fine => "\x1b[32m",
            State::Note => "\x1b[33m",
            State::Fault => "\x1b[1;31m",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: String,
    pub(super) state: State,
    pub(super) found: String,
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn fine(check: impl Into<String>, found: impl Into<String>) -> Self {
        Finding { check: check.into(), state: State::Fine, found: found.into(), advice: None }
    }

    pub(super) fn note(check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { check: check.into(), state: State::Note, found: found.into(), advice: Some(advice.into()) }
    }

    pub(super) fn fault(check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { check: check.into(), state: State::Fault, found: found.into(), advice: Some(advice.into()) }
    }

    pub(super) fn json(&self) -> Json {
        let state = self.state.word().to_lowercase();
        json!({ "check": self.check, "state": state, "found": self.found, "advice": self.advice })
    }
}
