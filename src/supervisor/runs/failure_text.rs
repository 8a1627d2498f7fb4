//! Failures of tasks in the log of the supervisor: one line each, with the place in the user's code.

use std::borrow::Cow;

use tracing::{error, warn};

use crate::engine::{Failure, FailureKind};
use crate::payload::ErrorClass;
use crate::supervisor::event::RunId;
use crate::text;

/// Logs that a task of this actor has failed.
pub(in crate::supervisor) fn log(run: RunId, actor: &str, failure: &Failure, handled: bool) {
    let run = run.0;
    if failure.error.is(ErrorClass::OutOfMemory) {
        // Logged when the kernel had killed it, with the figures.
        return;
    }
    if failure.kind == FailureKind::Lost {
        error!(target: "task_lost", actor, run, "{}", shown(failure));
        return;
    }
    if handled {
        warn!(actor, run, "{} (handled){}", shown(failure), place(failure));
        return;
    }
    if matches!(failure.kind, FailureKind::Interrupted | FailureKind::Stopped) {
        // Somebody asked for it: where the task was does not matter.
        warn!(actor, run, "{}", text::short(&failure.error.message, text::LINE));
        return;
    }
    let traceback = failure.error.traceback.concat();
    let traceback = text::error(traceback.trim_end(), "the output of the run and its history have more of it");
    error!(actor, run, detail = traceback, "{}", shown(failure));
}

/// Logs that a task is tried again.
pub(in crate::supervisor) fn log_retry(
    run: RunId,
    actor: &str,
    failure: &Failure,
    retry: u32,
    delay: std::time::Duration,
) {
    let pause = if delay.is_zero() { String::new() } else { format!(" in {delay:?}") };
    warn!(actor, run = run.0, "{}; retry {retry}{pause}{}", shown(failure), place(failure));
}

/// A failure in a line of the log.
fn shown(failure: &Failure) -> Cow<'_, str> {
    text::short(headline(failure), text::LINE)
}

/// Where a task failed, for a line of the log: `, at tasks/index.py:12 in read`. Empty if there is no traceback.
fn place(failure: &Failure) -> String {
    let frames = failure.error.traceback.iter().flat_map(|part| part.lines()).filter_map(frame);
    let (mut last, mut own) = (None, None);
    for found in frames {
        let is_own = !found.0.starts_with('<')
            && !["/site-packages/", "/dist-packages/", "/lib/python3"].iter().any(|it| found.0.contains(it));
        own = if is_own { Some(found) } else { own };
        last = Some(found);
    }
    own.or(last).map_or_else(String::new, |(file, line, function)| {
        format!(", at {}:{line} in {}", text::short(file, text::CELL), text::short(function, text::CELL))
    })
}

/// The file, the line and the function of a traceback frame: `  File "index.py", line 12, in read`.
fn frame(line: &str) -> Option<(&str, &str, &str)> {
    // In a group of exceptions, marks come first.
    let rest = line.trim_start_matches([' ', '|', '+', '-']).strip_prefix("File \"")?;
    let (file, rest) = rest.split_once("\", line ")?;
    let (line, function) = rest.split_once(", in ")?;
    Some((file, line, function.trim_end()))
}

/// A failure in one line: its message, or the last line of the traceback if the message says too little (`assert` has none, a
/// `KeyError` only the key).
pub(in crate::supervisor) fn headline(failure: &Failure) -> &str {
    let message = failure.error.message.as_str();
    let last = failure.error.traceback.last().map_or("", |line| line.trim_end());
    if message.contains(' ') || !last.ends_with(message) { message } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::PythonError;

    fn failure(message: &str, traceback: &[&str]) -> Failure {
        let mut error = PythonError::new(ErrorClass::ProgramFailed, message);
        error.traceback = traceback.iter().map(|line| (*line).to_owned()).collect();
        Failure { kind: FailureKind::Raised, error }
    }

    #[test]
    fn the_place_is_the_last_frame_of_the_users_code() {
        let failure = failure(
            "no such dataset",
            &[
                "Traceback (most recent call last):\n",
                "  File \"tasks/index.py\", line 12, in read\n    load()\n",
                "  File \"/usr/lib/python3/dist-packages/h5py/__init__.py\", line 3, in load\n",
                "KeyError: 'no such dataset'\n",
            ],
        );
        assert_eq!(place(&failure), ", at tasks/index.py:12 in read");
        assert_eq!(headline(&failure), "no such dataset");
    }

    #[test]
    fn a_message_that_says_too_little_is_replaced_by_the_end_of_the_traceback() {
        assert_eq!(headline(&failure("'x'", &["KeyError: 'x'\n"])), "KeyError: 'x'");
        assert_eq!(headline(&failure("", &["AssertionError\n"])), "AssertionError");
        assert_eq!(headline(&failure("it broke", &["ValueError: it broke\n"])), "it broke");
        assert_eq!((headline(&failure("x", &[])), place(&failure("x", &[]))), ("x", String::new()));
    }
}
