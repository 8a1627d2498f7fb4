//! Where this process is among the cgroups: `/proc/self/cgroup` and `/proc/self/mountinfo`.

use std::path::{Path, PathBuf};

use super::subtree::SUPERVISOR;
use procfs::process::MountInfo;
use procfs::{FromRead, ProcessCGroups};

/// The cgroup that a process is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// Its folder.
    pub folder: PathBuf,
    /// Where the hierarchy is mounted.
    pub mount: PathBuf,
    /// Whether there are version 1 hierarchies beside this one, which may hold the controllers.
    pub hybrid: bool,
}

impl Own {
    /// The cgroup around this one, where this one is the leaf of an earlier supervisor: a second run from the same shell,
    /// which the first one has moved there.
    pub(super) fn above_supervisor(self) -> Own {
        match self.folder.parent() {
            Some(parent) if self.folder.ends_with(SUPERVISOR) && parent.starts_with(&self.mount) => {
                Own { folder: parent.to_owned(), ..self }
            }
            _ => self,
        }
    }
}

/// Why there is no folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// `/proc` could not be read.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The process is in no cgroup of version 2, or no such hierarchy is mounted.
    #[error("this host has no cgroups of version 2")]
    NoHierarchy,
    /// What is mounted is a part of the hierarchy that the process is not in.
    #[error("the cgroup {0} is not below what is mounted here")]
    Outside(String),
}

/// Finds the cgroup of a process; `proc` is its folder in /proc: `/proc/self`.
pub fn own(proc: &Path) -> Result<Own, NotFound> {
    let file = proc.join("cgroup");
    let groups = ProcessCGroups::from_file(&file).map_err(|error| unreadable(&file, &error))?;
    let group = groups.0.iter().find(|group| group.hierarchy == 0).ok_or(NotFound::NoHierarchy)?;
    let hybrid =
        groups.0.iter().any(|group| group.controllers.iter().any(|name| !name.contains('=') && !name.is_empty()));
    let file = proc.join("mountinfo");
    let mounts = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
    let mut seen = false;
    for mount in mounts.lines().filter_map(|line| MountInfo::from_line(line).ok()) {
        if mount.fs_type != "cgroup2" {
            continue;
        }
        seen = true;
        if let Ok(below) = Path::new(&group.pathname).strip_prefix(unescaped(&mount.root)) {
            let point = PathBuf::from(unescaped(&mount.mount_point.to_string_lossy()));
            let folder = if below.as_os_str().is_empty() { point.clone() } else { point.join(below) };
            return Ok(Own { folder, mount: point, hybrid });
        }
    }
    Err(if seen { NotFound::Outside(group.pathname.clone()) } else { NotFound::NoHierarchy })
}

fn unreadable(path: &Path, why: &impl ToString) -> NotFound {
    NotFound::Unreadable { path: path.to_owned(), why: why.to_string() }
}

/// Blanks and backslashes in mountinfo are written in octal (proc(5)).
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, char)| text.replace(code, char))
}
