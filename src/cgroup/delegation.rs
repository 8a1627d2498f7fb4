//! Whether a cgroup is delegated to this process, so that it may create cgroups below it.
//!
//! Write permission is not enough: root can write everywhere, and a user in all cgroups of the user's systemd, including those of
//! other programs. A cgroup is delegated if it has the mark of systemd's `Delegate=`, or is the topmost one that belongs to this user.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::{CgroupError, Own};

/// The marks of systemd: the first one since version 251, the second one in all versions, visible only to root.
const MARKS: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// Why a cgroup cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NotDelegated {
    /// It is not delegated.
    #[error("the cgroup {0} is not delegated to it")]
    Unmarked(String),
    /// It is below a cgroup that is delegated to another program.
    #[error("its cgroup is below {0}, which is delegated to another program")]
    Nested(String),
    /// It is not writable.
    #[error("the cgroup {0} is read-only for it")]
    ReadOnly(String),
    /// Another supervisor uses it.
    #[error("another pushflow uses the cgroup {0}")]
    Taken(String),
    /// An operation failed.
    #[error(transparent)]
    Failed(#[from] CgroupError),
}

/// Checks that a cgroup is delegated, and locks it: only the holder of the lock manages it.
///
/// `granted`: systemd has just created it as a delegated one. (A user's systemd of version 252 sets no mark.)
pub fn claim(own: &Own, granted: bool) -> Result<File, NotDelegated> {
    let name = || own.folder.display().to_string();
    if granted {
        // The mark is a hint for programs that run in its leaves. A failure does no harm.
        let _ = rustix::fs::setxattr(&own.folder, MARKS[0], b"1", rustix::fs::XattrFlags::empty());
    } else if !is_marked(&own.folder) && !is_boundary(&own.folder, nix::unistd::geteuid().as_raw()) {
        let parent = own.folder.parent().filter(|parent| parent.starts_with(&own.mount));
        // A process in a unit of its own does not interfere with the manager above; one in a leaf does.
        return Err(match parent.filter(|parent| is_marked(parent) && !is_unit(&own.folder)) {
            Some(parent) => NotDelegated::Nested(parent.display().to_string()),
            None => NotDelegated::Unmarked(name()),
        });
    }
    for path in [own.folder.clone(), own.folder.join("cgroup.procs"), own.folder.join("cgroup.subtree_control")] {
        access(&path, AccessFlags::W_OK).map_err(|_| NotDelegated::ReadOnly(name()))?;
    }
    let lock = File::open(&own.folder).map_err(|error| CgroupError::new("open", &own.folder, error))?;
    match rustix::fs::flock(lock.as_fd(), rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(NotDelegated::Taken(name())),
        Err(error) => Err(CgroupError::new("lock", &own.folder, error).into()),
    }
}

fn is_marked(folder: &Path) -> bool {
    MARKS.iter().any(|mark| {
        let mut value = [0; 8];
        rustix::fs::getxattr(folder, *mark, &mut value).is_ok_and(|length| &value[..length] == b"1")
    })
}

/// Whether a cgroup belongs to this user and its parent does not: root can delegate in this way, without a mark.
fn is_boundary(folder: &Path, user: u32) -> bool {
    let owner = |path: &Path| fs::metadata(path).map(|found| found.uid()).ok();
    user != 0 && owner(folder) == Some(user) && folder.parent().and_then(owner).is_some_and(|above| above != user)
}

/// Whether a cgroup is that of a systemd unit.
fn is_unit(folder: &Path) -> bool {
    let name = folder.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    [".service", ".scope", ".slice"].iter().any(|suffix| name.ends_with(suffix))
}
