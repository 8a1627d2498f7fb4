//! Whether a cgroup was given to this process to make cgroups below it.
//!
//! Being able to write is not enough: root can write everywhere, and a user in every cgroup of the user's systemd, also in
//! those of other programs. What counts is the mark that systemd leaves with `Delegate=`, or that the cgroup is the
//! topmost one that belongs to this user.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::{CgroupError, Own};

/// The marks: the first one of systemd 251 and newer, the second one of all, which only root can see.
const MARKS: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// Why a cgroup is not ours.
#[derive(Debug, thiserror::Error)]
pub enum NotDelegated {
    /// Nobody gave it to us.
    #[error("the cgroup {0} is not delegated to it")]
    Unmarked(String),
    /// It was given to another manager, in whose cgroup this process runs.
    #[error("it runs in a cgroup that {0} was given to another program to divide up")]
    Nested(String),
    /// It may not be written to.
    #[error("the cgroup {0} is read-only for it")]
    ReadOnly(String),
    /// A second supervisor was started in the same cgroup.
    #[error("another pushflow has divided up the cgroup {0}")]
    Taken(String),
    /// Something failed.
    #[error(transparent)]
    Failed(#[from] CgroupError),
}

/// Checks that a cgroup was delegated to whoever runs in it, and locks it: the holder of the lock is its only manager.
///
/// `granted`: it was asked for and given as a delegated one. (A user's systemd of version 252 leaves no mark.)
pub fn claim(own: &Own, granted: bool) -> Result<File, NotDelegated> {
    let name = || own.folder.display().to_string();
    if granted {
        // So that whoever runs in a leaf of it knows; without it, nothing worse happens than that they do not.
        let _ = rustix::fs::setxattr(&own.folder, MARKS[0], b"1", rustix::fs::XattrFlags::empty());
    } else if !is_marked(&own.folder) && !is_boundary(&own.folder, nix::unistd::geteuid().as_raw()) {
        let parent = own.folder.parent().filter(|parent| parent.starts_with(&own.mount));
        // A process in a unit of its own is in nobody's way; one in a leaf that another manager has made is.
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

/// Whether a cgroup belongs to this user and the one above does not: how root gives one to a user without a mark.
fn is_boundary(folder: &Path, user: u32) -> bool {
    let owner = |path: &Path| fs::metadata(path).map(|found| found.uid()).ok();
    user != 0 && owner(folder) == Some(user) && folder.parent().and_then(owner).is_some_and(|above| above != user)
}

/// Whether a cgroup is that of a systemd unit.
fn is_unit(folder: &Path) -> bool {
    let name = folder.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    [".service", ".scope", ".slice"].iter().any(|suffix| name.ends_with(suffix))
}
