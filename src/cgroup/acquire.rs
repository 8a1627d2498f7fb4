//! Acquires a delegated subtree: the cgroup that this process was started in, or a scope from systemd.

use std::path::Path;

use super::{Manager, NoScope, NotDelegated, NotFound, Own, Scope, Subtree, enter_scope, own};

/// How to acquire a subtree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Use the cgroup that this process was started in, if it is delegated. Costs a few system calls.
    IfDelegated,
    /// Otherwise ask systemd for a scope. Costs some milliseconds.
    AskSystemd {
        /// The name of the scope, ending in `.scope`.
        name: String,
        /// Its description.
        description: String,
    },
}

/// Why there is no subtree. The text follows "because".
#[derive(Debug, thiserror::Error)]
pub enum NoSubtree {
    /// The cgroup of this process is unknown.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// The cgroup of this process is not delegated to it.
    #[error(transparent)]
    NotDelegated(#[from] NotDelegated),
    /// The cgroup is not delegated, and systemd gives no other one.
    #[error("{0}, and {1}")]
    NoScope(NotDelegated, NoScope),
}

/// Acquires a subtree.
///
/// # Errors
/// If there is none for this process.
pub fn acquire(wanted: &Wanted) -> Result<Subtree, NoSubtree> {
    let proc = Path::new("/proc/self");
    let found = own(proc)?.above_supervisor();
    let why = match Subtree::take(&found, false) {
        Ok(subtree) => return Ok(subtree),
        // A scope would move this process out of a cgroup that was set up for it on purpose.
        Err(error @ (NotDelegated::Nested(_) | NotDelegated::Failed(_))) => return Err(error.into()),
        Err(error) => error,
    };
    let Wanted::AskSystemd { name, description } = wanted else { return Err(why.into()) };
    if is_main_process_of_a_unit() {
        // A scope would be outside of the limits of the unit.
        return Err(why.into());
    }
    let manager = Manager::of_this_user();
    // The scope stays in the slice of this process, and so under its limits. A user's systemd does not know the host's slices.
    let slice = slice_of(&found).filter(|_| manager == Manager::System);
    let scope = Scope { name: name.clone(), description: description.clone(), slice };
    if let Err(error) = enter_scope(manager, scope) {
        return Err(NoSubtree::NoScope(why, error));
    }
    Ok(Subtree::take(&own(proc)?, true)?)
}

/// Whether systemd has started this process or its parent (`SYSTEMD_EXEC_PID` in systemd.exec(5)).
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
