//! The process that a run belongs to, distinguished from later processes with the same number.

use std::fs;

/// This process.
pub fn this_process() -> String {
    let pid = std::process::id();
    format!("{}:{pid}:{}", boot(), started(pid).unwrap_or_default())
}

/// Whether the owner of a run is alive. An owner that cannot be read is not.
pub fn is_alive(owner: &str) -> bool {
    let mut parts = owner.split(':');
    let (Some(booted), Some(pid), Some(since)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let Ok(pid) = pid.parse() else { return false };
    booted == boot() && started(pid).is_some_and(|started| started.to_string() == since)
}

/// The id of this boot.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

/// When a process started that has not ended, in clock ticks since boot (proc_pid_stat(5)).
fn started(pid: u32) -> Option<u64> {
    let stat = procfs::process::Process::new(i32::try_from(pid).ok()?).and_then(|process| process.stat()).ok()?;
    (!matches!(stat.state, 'Z' | 'X')).then_some(stat.starttime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_one_with_the_same_number() {
        let this = this_process();
        assert!(is_alive(&this), "{this}");
        let another = format!("{this}1");
        assert!(!is_alive(&another) && !is_alive("") && !is_alive("a:b:c"));
    }
}
