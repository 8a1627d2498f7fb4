//! Getting a delegated subtree: the one this process was started in, or a scope from systemd.

use std::path::Path;

use super::{Manager, NotDelegated, Own, Scope, Subtree, enter_scope, own};

/// How much a subtree is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The one that this process was started in, if it is ours: costs a few system calls.
    IfDelegated,
    /// One from systemd otherwise: costs some milliseconds.
    AskSystemd {
        /// The name of the scope, ending in `.scope`.
        name: String,
        /// What people see of it.
        description: String,
    },
}

/// Gets a subtree, or says why there is none: a clause that follows "because".
pub fn settle(wanted: &Wanted) -> Result<Subtree, String> {
    let proc = Path::new("/proc/self");
    let found = own(proc).map_err(|error| error.to_string())?.above_supervisor();
    let why = match Subtree::take(&found, false) {
        Ok(subtree) => return Ok(subtree),
        // The scope would lead out of what somebody has set up for this process on purpose.
        Err(error @ (NotDelegated::Nested(_) | NotDelegated::Failed(_))) => return Err(error.to_string()),
        Err(error) => error.to_string(),
    };
    let Wanted::AskSystemd { name, description } = wanted else { return Err(why) };
    if is_main_process_of_a_unit() {
        // It would leave the limits of its unit.
        return Err(why);
    }
    let manager = Manager::of_this_user();
    // The limits of the slice that it was started in go on to hold. A user's systemd knows nothing of the host's slices.
    let slice = slice_of(&found).filter(|_| manager == Manager::System);
    let scope = Scope { name: name.clone(), description: description.clone(), slice };
    enter_scope(manager, scope).map_err(|error| format!("{why}, and {error}"))?;
    let moved = own(proc).map_err(|error| error.to_string())?;
    Subtree::take(&moved, true).map_err(|error| error.to_string())
}

/// Whether systemd has started this very process, or the one right above it (`SYSTEMD_EXEC_PID` in systemd.exec(5)).
fn is_main_process_of_a_unit() -> bool {
    let main = std::env::var("SYSTEMD_EXEC_PID").ok().and_then(|pid| pid.parse().ok());
    main.is_some_and(|main: i32| [nix::unistd::getpid(), nix::unistd::getppid()].iter().any(|pid| pid.as_raw() == main))
}

/// The innermost slice around a cgroup.
fn slice_of(own: &Own) -> Option<String> {
    let below = own.folder.strip_prefix(&own.mount).ok()?;
    let mut names = below.iter().map(|name| name.to_string_lossy());
    names.rfind(|name| name.ends_with(".slice")).map(|name| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Own, slice_of};

    #[test]
    fn the_innermost_slice_is_found() {
        let own = |folder: &str| Own { folder: folder.into(), mount: "/sys/fs/cgroup".into(), hybrid: false };
        let slice = slice_of(&own("/sys/fs/cgroup/user.slice/user-0.slice/session-1.scope"));
        assert_eq!(slice.as_deref(), Some("user-0.slice"));
        assert_eq!(slice_of(&own("/sys/fs/cgroup/init.scope")), None);
    }
}
