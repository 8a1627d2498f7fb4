//! Tasks that were killed by the kernel because of memory.

use tracing::error;

use crate::accounting::size;
use crate::process::Ended;
use crate::process::sys::{Pid, Signal};
use crate::supervisor::event::RunId;

/// The kernel has killed a process because of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) struct OutOfMemory {
    /// The limit that was reached, in bytes, and whose it is. None: a limit further up was reached, or the host's memory.
    pub(super) limit: Option<(u64, String)>,
    /// In bytes.
    pub(super) peak: Option<u64>,
}

impl OutOfMemory {
    /// The error message of a task.
    fn message(&self, task: &str) -> String {
        let peak = self.peak.map(|peak| format!(", peak {}", size(peak))).unwrap_or_default();
        match &self.limit {
            Some((limit, whose)) => {
                format!("{task} ran out of memory and was killed: limit {} (memory_max of {whose}){peak}", size(*limit))
            }
            None => format!("{task} was killed because the host, or a limit around pushflow, was out of memory{peak}"),
        }
    }

    /// Logs it at once, with the figures, whatever becomes of the error. Returns the error message of the task.
    pub(in crate::supervisor) fn log(&self, victim: Victim<'_>) -> String {
        let Victim { run, actor, pool, pid } = victim;
        let message = self.message(actor.unwrap_or("the output"));
        let (limit, limit_of) = self.limit.as_ref().map(|(limit, limit_of)| (*limit, limit_of.as_str())).unzip();
        error!(
            target: "task_out_of_memory",
            actor,
            run = run.map(|run| run.0),
            pool,
            worker_pid = pid.map(Pid::as_raw),
            memory_limit = limit,
            memory_limit_of = limit_of,
            memory_peak = self.peak,
            "{message}"
        );
        message
    }
}

/// The task that was killed, and where.
#[derive(Debug, Clone, Copy)]
pub(in crate::supervisor) struct Victim<'a> {
    pub(in crate::supervisor) run: Option<RunId>,
    pub(in crate::supervisor) actor: Option<&'a str>,
    pub(in crate::supervisor) pool: &'a str,
    pub(in crate::supervisor) pid: Option<Pid>,
}

/// Whether a process may have ended because the kernel killed it for its memory, or a child of which a shell reports the end by its
/// exit code.
pub(super) fn is_possible(ended: Option<Ended>) -> bool {
    !matches!(ended, Some(Ended::Exited(0))) && ended != Some(Ended::Killed(Signal::SIGTERM as i32))
}

#[cfg(test)]
mod tests {
    use super::OutOfMemory;

    #[test]
    fn an_out_of_memory_names_task_limit_and_peak() {
        let oom = OutOfMemory { limit: Some((200 << 20, "pool default".into())), peak: Some(199 << 20) };
        assert_eq!(
            oom.message("integrate"),
            "integrate ran out of memory and was killed: limit 200 MiB (memory_max of pool default), peak 199 MiB"
        );
        assert!(OutOfMemory { limit: None, peak: None }.message("integrate").contains("the host"));
    }
}
