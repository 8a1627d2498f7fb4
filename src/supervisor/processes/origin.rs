//! The owner of an orphan: the worker or program that a child of the supervisor came from.
//!
//! An announcement says it. A program has it in its environment, which everything that it starts inherits. A fork is in the
//! process group or session of its worker, unless it has left both.

use std::ffi::OsStr;

use super::owners::Owner;
use crate::graph::PoolId;
use crate::pool::WorkerId;
use crate::process::sys::Pid;

/// The environment variable that names the owner of everything that a task starts.
pub(in crate::supervisor) const ORIGIN_VARIABLE: &str = "PUSHFLOW_ORIGIN";

/// What the variable says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The worker with this process.
    Worker(Pid),
    Owner(Owner),
    /// Of another supervisor, or nobody can say.
    Foreign,
}

/// The value of the variable for what an owner starts.
pub(in crate::supervisor) fn origin_of((pool, worker): Owner) -> String {
    format!("{}:{}:{}", Pid::this(), pool.index(), worker.0)
}

/// What the environment of a process says.
pub(super) fn in_environment_of(pid: Pid) -> Option<Origin> {
    let environ = procfs::process::Process::new(pid.as_raw()).and_then(|process| process.environ()).ok()?;
    let value = environ.get(OsStr::new(ORIGIN_VARIABLE))?;
    Some(value.to_str().and_then(parse).unwrap_or(Origin::Foreign))
}

/// Programs have the one form, written by the supervisor, and workers the other. A workflow inside a workflow writes its own.
fn parse(value: &str) -> Option<Origin> {
    let numbers: Vec<i32> = value.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    match numbers.as_slice() {
        [worker] => Some(Origin::Worker(Pid::from_raw(*worker))),
        [supervisor, pool, worker] if *supervisor == Pid::this().as_raw() => {
            Some(Origin::Owner((PoolId::from(usize::try_from(*pool).ok()?), WorkerId(u32::try_from(*worker).ok()?))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_what_a_program_starts_is_read_as_it_was_written() {
        let owner = (PoolId(3), WorkerId(41));
        assert_eq!(parse(&origin_of(owner)), Some(Origin::Owner(owner)));
        assert_eq!(parse("4711"), Some(Origin::Worker(Pid::from_raw(4711))));
    }

    #[test]
    fn the_mark_of_another_supervisor_says_nothing() {
        assert_eq!(parse("1:3:41"), None);
        assert_eq!(parse("x"), None);
        assert_eq!(parse(""), None);
    }
}
