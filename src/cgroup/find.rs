//! Finds the cgroup of this process, from `/proc/self/cgroup` and `/proc/self/mountinfo`.

use std::path::{Path, PathBuf};

use super::subtree::SUPERVISOR;
use procfs::process::MountInfo;
use procfs::{FromRead, ProcessCGroups};

/// The cgroup of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// Its folder.
    pub folder: PathBuf,
    /// The mount point of the hierarchy.
    pub mount: PathBuf,
    /// Whether there are also v1 hierarchies, which may have the controllers.
    pub hybrid: bool,
}

impl Own {
    /// The parent, if this cgroup is the leaf `supervisor` of an earlier run: that run has moved the shell into it, and this is a second
    /// run from the same shell.
    pub(super) fn above_supervisor(self) -> Own {
        match self.folder.parent() {
            Some(parent) if self.folder.ends_with(SUPERVISOR) && parent.starts_with(&self.mount) => {
                Own { folder: parent.to_owned(), ..self }
            }
            _ => self,
        }
    }
}

/// Why the cgroup is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// `/proc` could not be read.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error.
        why: String,
    },
    /// The process is in no v2 cgroup, or the v2 hierarchy is not mounted.
    #[error("this host has no cgroups v2")]
    NoHierarchy,
    /// Only a part of the hierarchy is mounted, and the cgroup is outside of it.
    #[error("the cgroup {0} is outside of the mounted part of the hierarchy")]
    Outside(String),
}

/// Finds the cgroup of a process. `proc` is its folder in /proc, such as `/proc/self`.
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

/// Decodes octal escapes of white space and backslashes in mountinfo (proc(5)).
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, char)| text.replace(code, char))
}
